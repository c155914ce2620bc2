import Forwarding
import Wire

/// One copy of a packet of the fast path, with everything that the table says about it.
struct FastPathCopy {
    /// The send interface.
    var interface: Int
    /// The Ethernet destination to send with.
    var destination: MACAddress
    var source: MACAddress
    /// The network address that the packet's destination is rewritten to, if `rewrites` is set. It is of the packet's
    /// family.
    var address: IPAddress
    var rewrites: Bool
    /// What is added to the service port.
    var portShift = PortShift.none
    /// True if anything behind the Ethernet header is edited.
    var edits = false
    /// Whether it is for a passive application, which gets all frames in the order of arrival.
    var isPassive: Bool
    /// The access point that judges the packet before it is copied; 0 if none does.
    var access: Int
}

/// The copies of a packet of the fast path. None of them needs an error, waiting or an answer.
struct CopyPlan {
    /// The largest number of copies. An entry with more takes the slow path.
    static let mostCopies = 8

    /// The index of the entry; -1 if there is none.
    var entry = -1
    /// The entry's counter.
    var counter = 0
    /// The number of copies.
    var count = 0
    /// The number of copies for passive applications.
    var passive = 0
    /// The number of copies that an access point judges.
    var judged = 0
    /// The longest network packet that all copies' interfaces take, in octets.
    var mtu = 0
    /// The address that the source is rewritten to, if `rewritesSource` is set.
    var source = IPAddress(ipv4: 0)
    var rewritesSource = false
    /// The side of the service port in the packets of the entry.
    var portSide = PortSide.destination
    /// What turns that port into the one that customers send to, for access lists.
    var outerShift = PortShift.none
    /// The family of the rewritten addresses; nil if none is rewritten.
    var family: AddressFamily?
}

/// The plans of the entries that were used last, each with its copies. So everything that is the same for all packets
/// of an entry is looked up once. Its memory is allocated once.
struct CopyPlans: ~Copyable {
    private static let capacity = 32
    private let plans: UnsafeMutablePointer<CopyPlan>
    private let copies: UnsafeMutablePointer<FastPathCopy>

    init() {
        plans = .allocate(capacity: Self.capacity)
        plans.initialize(repeating: CopyPlan(), count: Self.capacity)
        let none = MACAddress(bits: 0)
        copies = .allocate(capacity: Self.capacity * CopyPlan.mostCopies)
        copies.initialize(
            repeating: FastPathCopy(
                interface: 0, destination: none, source: none, address: IPAddress(ipv4: 0), rewrites: false,
                isPassive: false, access: 0),
            count: Self.capacity * CopyPlan.mostCopies)
    }

    deinit {
        plans.deallocate()
        copies.deallocate()
    }

    /// The place of the plan of an entry, if it is there.
    @inline(__always)
    func place(of entry: Int) -> UnsafeMutablePointer<CopyPlan> { plans + entry & (Self.capacity &- 1) }

    /// The `mostCopies` places for the copies of the plan at `place`.
    @inline(__always)
    func copies(of place: UnsafeMutablePointer<CopyPlan>) -> UnsafeMutablePointer<FastPathCopy> {
        copies + (place - plans) &* CopyPlan.mostCopies
    }

    /// Forgets all plans, because the table has changed.
    mutating func removeAll() {
        for index in 0..<Self.capacity { plans[index].entry = -1 }
    }
}

extension Forwarder {
    /// The result of planning an entry's copies.
    private enum Planning {
        /// The plan is the same for every packet of the entry.
        case lasting
        /// The plan is for this packet only.
        case passing
        /// Something prevents the fast path, or may. The packet must be looked at.
        case slowPath
    }

    /// The plan of an entry for the packet at hand; nil if a copy cannot take the fast path.
    @inline(__always)
    mutating func plan(_ entry: Int) -> UnsafeMutablePointer<CopyPlan>? {
        let place = plans.place(of: entry)
        return place.pointee.entry == entry || makePlan(entry, at: place) ? place : nil
    }

    /// The plan of an entry that had one, for another frame of the same flow. Only the copies for passive applications
    /// are still to be made, so obstacles of the others do not matter.
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
        plan.portSide = entry.direction.portSide
        plan.outerShift = entry.outerShift
        plan.mtu = .max
        if let source = entry.rewriteSource {
            plan.source = source
            plan.rewritesSource = true
            plan.family = source.family
        }
        let found = add(entry.targets, of: entry, onlyPassive, to: &plan, plans.copies(of: place))
        // A plan for this packet alone is used once.
        plan.entry = found == .lasting && !onlyPassive ? index : -1
        place.pointee = plan
        return found != .slowPath && plan.count > 0
    }

    private func add(
        _ hops: Range<Int>, of entry: EntryRecord, _ onlyPassive: Bool, to plan: inout CopyPlan,
        _ copies: UnsafeMutablePointer<FastPathCopy>
    ) -> Planning {
        var all = Planning.lasting
        for index in hops {
            let one: Planning
            switch table.hop(index) {
            case .target(let target):
                one = add(target, table.access(index), onlyPassive, to: &plan, copies)
            case .instance(let choice):
                var flow = fast.flow
                if let source = entry.rewriteSource { flow.source = source }
                flow = flow.shifted(plan.portSide, by: choice.portShift)
                // For a slot that changes hands, it matters whether the flow begins.
                guard case .member(let member) = table.decide(choice, flow) else { return .slowPath }
                let added = add(
                    table.target(choice, member: member), table.access(choice), onlyPassive, to: &plan, copies)
                one = added == .lasting ? .passing : added
            case .hops(let hops):
                guard table.downAnswer(index) == nil else { return .slowPath }
                one = add(hops, of: entry, onlyPassive, to: &plan, copies)
            }
            if one == .slowPath { return .slowPath }
            if one == .passing { all = .passing }
        }
        return all
    }

    private func add(
        _ target: TargetRecord, _ access: Int, _ onlyPassive: Bool, to plan: inout CopyPlan,
        _ copies: UnsafeMutablePointer<FastPathCopy>
    ) -> Planning {
        let isPassive = target.system == .passiveApplication
        guard isPassive || !onlyPassive else { return .lasting }
        // Members come and go. Frames to groups have a group's MAC address, and take the slow path in any case.
        guard !target.whileJoined else { return .slowPath }
        guard plan.count < CopyPlan.mostCopies else { return .slowPath }
        var copy = FastPathCopy(
            interface: target.interface, destination: MACAddress(bits: 0), source: target.sourceMAC,
            address: IPAddress(ipv4: 0), rewrites: false, portShift: target.portShift, isPassive: isPassive,
            access: access)
        var lasting = true
        switch target.address {
        case .mac(let mac):
            copy.destination = mac
        case .network(let address):
            guard plan.family ?? address.family == address.family, let found = known(address, on: target.interface)
            else { return .slowPath }
            plan.family = address.family
            copy.address = address
            copy.rewrites = true
            copy.destination = found.mac
            lasting = found.lasting
        case .neighbour(let via):
            guard let found = known(via ?? fast.flow.destination, on: target.interface) else { return .slowPath }
            copy.destination = found.mac
            lasting = found.lasting && via != nil
        }
        copy.edits = copy.rewrites || plan.rewritesSource || !copy.portShift.isNone
        copies[plan.count] = copy
        plan.count &+= 1
        if isPassive { plan.passive &+= 1 }
        if access != 0 { plan.judged &+= 1 }
        plan.mtu = min(plan.mtu, table.interface(target.interface).mtu)
        return lasting ? .lasting : .passing
    }

    /// The MAC address of a neighbour that is known, and whether it stays known as long as the table does.
    private func known(_ hop: IPAddress, on interface: Int) -> (mac: MACAddress, lasting: Bool)? {
        if let mac = table.staticNeighbour(hop, on: interface) { return (mac, true) }
        guard !hop.isMulticast, !hop.isLimitedBroadcast, table.isOnLink(hop, on: interface),
            !table.isOwnAddress(hop), let mac = neighbours.known(hop, on: interface, now: now),
            !pending.wait(for: hop, on: interface)
        else { return nil }
        return (mac, false)
    }
}
