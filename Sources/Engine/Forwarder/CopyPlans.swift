import Forwarding
import Wire

/// One copy of a plain packet, with all that the table says about it.
struct PlainCopy {
    /// The send interface.
    var interface: Int
    /// The Ethernet addresses to send with.
    var destination: MACAddress
    var source: MACAddress
    /// The network address that the packet's destination is rewritten to, where `rewrites`; of the packet's family.
    var address: IPAddress
    var rewrites: Bool
    /// Whether it is for a passive application, which gets everything in the order in which it came.
    var isPassive: Bool
}

/// Where the copies of a plain packet go, of which nothing stands in the way.
struct CopyPlan {
    /// The most copies; an entry with more is not plain.
    static let mostCopies = 8

    /// The entry it is of; -1: none.
    var entry = -1
    /// The entry's counter.
    var counter = 0
    /// How many copies.
    var count = 0
    /// How many of them are for passive applications.
    var passive = 0
    /// The longest network packet that every copy's interface takes.
    var mtu = 0
    /// What the source is rewritten to, where `rewritesSource`.
    var source = IPAddress(ipv4: 0)
    var rewritesSource = false
    /// The family of the addresses that are rewritten to; nil where none is.
    var family: AddressFamily?
}

/// The plans of the entries that were used last, each with its copies: what does not differ between the packets of an
/// entry is looked up once. In memory that is allocated once.
struct CopyPlans: ~Copyable {
    private static let capacity = 32
    private let plans: UnsafeMutablePointer<CopyPlan>
    private let copies: UnsafeMutablePointer<PlainCopy>

    init() {
        plans = .allocate(capacity: Self.capacity)
        plans.initialize(repeating: CopyPlan(), count: Self.capacity)
        let none = MACAddress(bits: 0)
        copies = .allocate(capacity: Self.capacity * CopyPlan.mostCopies)
        copies.initialize(
            repeating: PlainCopy(
                interface: 0, destination: none, source: none, address: IPAddress(ipv4: 0), rewrites: false,
                isPassive: false),
            count: Self.capacity * CopyPlan.mostCopies)
    }

    deinit {
        plans.deallocate()
        copies.deallocate()
    }

    /// Where the plan of an entry is, if it is there.
    @inline(__always)
    func place(of entry: Int) -> UnsafeMutablePointer<CopyPlan> { plans + entry & (Self.capacity &- 1) }

    /// The `mostCopies` places for the copies of the plan at `place`.
    @inline(__always)
    func copies(of place: UnsafeMutablePointer<CopyPlan>) -> UnsafeMutablePointer<PlainCopy> {
        copies + (place - plans) &* CopyPlan.mostCopies
    }

    /// Forgets all: the table is another one.
    mutating func removeAll() {
        for index in 0..<Self.capacity { plans[index].entry = -1 }
    }
}

extension Forwarder {
    /// What planning an entry's copies found.
    private enum Planning {
        /// The same for every packet of the entry.
        case lasting
        /// For this packet.
        case passing
        /// Something stands in the way, or may: what the packet says must be looked at.
        case notPlain
    }

    /// The plan of an entry for the packet at hand; nil where not every copy can simply go.
    @inline(__always)
    mutating func plan(_ entry: Int) -> UnsafeMutablePointer<CopyPlan>? {
        let place = plans.place(of: entry)
        return place.pointee.entry == entry || makePlan(entry, at: place) ? place : nil
    }

    /// The plan of an entry that had one, for another frame of the same flow, when only the copies for passive applications
    /// are still to be made: what stands in the way of the others does not matter any more.
    mutating func passivePlan(_ entry: Int) -> UnsafeMutablePointer<CopyPlan>? {
        let place = plans.place(of: entry)
        return place.pointee.entry == entry || makePlan(entry, at: place, onlyPassive: true) ? place : nil
    }

    @inline(never)
    private mutating func makePlan(
        _ index: Int, at place: UnsafeMutablePointer<CopyPlan>, onlyPassive: Bool = false
    ) -> Bool {
        let entry = table.entry(index)
        var plan = CopyPlan()
        plan.counter = entry.counter
        plan.mtu = .max
        if let source = entry.rewriteSource {
            plan.source = source
            plan.rewritesSource = true
            plan.family = source.family
        }
        let found = add(entry.targets, of: entry, onlyPassive, to: &plan, plans.copies(of: place))
        // One for this packet alone is used and forgotten.
        plan.entry = found == .lasting && !onlyPassive ? index : -1
        place.pointee = plan
        return found != .notPlain && plan.count > 0
    }

    private func add(
        _ hops: Range<Int>, of entry: EntryRecord, _ onlyPassive: Bool, to plan: inout CopyPlan,
        _ copies: UnsafeMutablePointer<PlainCopy>
    ) -> Planning {
        var all = Planning.lasting
        for index in hops {
            let one: Planning
            switch table.hop(index) {
            case .target(let target):
                one = add(target, onlyPassive, to: &plan, copies)
            case .instance(let choice):
                var flow = plain.flow
                if let source = entry.rewriteSource { flow.source = source }
                // A slot that changes hands has to see whether the flow begins.
                guard case .member(let member) = table.decide(choice, flow) else { return .notPlain }
                let added = add(table.target(choice, member: member), onlyPassive, to: &plan, copies)
                one = added == .lasting ? .passing : added
            case .hops(let hops):
                guard table.downAnswer(index) == nil else { return .notPlain }
                one = add(hops, of: entry, onlyPassive, to: &plan, copies)
            }
            if one == .notPlain { return .notPlain }
            if one == .passing { all = .passing }
        }
        return all
    }

    private func add(
        _ target: TargetRecord, _ onlyPassive: Bool, to plan: inout CopyPlan, _ copies: UnsafeMutablePointer<PlainCopy>
    ) -> Planning {
        let isPassive = target.system == .passiveApplication
        guard isPassive || !onlyPassive else { return .lasting }
        guard plan.count < CopyPlan.mostCopies else { return .notPlain }
        var copy = PlainCopy(
            interface: target.interface, destination: MACAddress(bits: 0), source: target.sourceMAC,
            address: IPAddress(ipv4: 0), rewrites: false, isPassive: isPassive)
        var lasting = true
        switch target.address {
        case .mac(let mac):
            copy.destination = mac
        case .network(let address):
            guard plan.family ?? address.family == address.family, let found = known(address, on: target.interface)
            else { return .notPlain }
            plan.family = address.family
            copy.address = address
            copy.rewrites = true
            copy.destination = found.mac
            lasting = found.lasting
        case .neighbour(let via):
            guard let found = known(via ?? plain.flow.destination, on: target.interface) else { return .notPlain }
            copy.destination = found.mac
            lasting = found.lasting && via != nil
        }
        copies[plan.count] = copy
        plan.count &+= 1
        if isPassive { plan.passive &+= 1 }
        plan.mtu = min(plan.mtu, table.interface(target.interface).mtu)
        return lasting ? .lasting : .passing
    }

    /// The MAC address of a neighbour that nobody needs to ask for, and whether it is so as long as the table is.
    private func known(_ hop: IPAddress, on interface: Int) -> (mac: MACAddress, lasting: Bool)? {
        if let mac = table.staticNeighbour(hop, on: interface) { return (mac, true) }
        guard !hop.isMulticast, !hop.isLimitedBroadcast, table.isOnLink(hop, on: interface),
            !table.isOwnAddress(hop), let mac = neighbours.known(hop, on: interface, now: now),
            !pending.wait(for: hop, on: interface)
        else { return nil }
        return (mac, false)
    }
}
