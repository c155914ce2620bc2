import Forwarding
import Wire

/// Which fragments are of one datagram (RFC 791, section 2.3; RFC 8200, section 4.5), at one place of its way: a firewall
/// may give the same datagram other ports.
struct DatagramKey: Equatable {
    var source: IPAddress
    var destination: IPAddress
    var identification: UInt32
    var protocolNumber: UInt8
    var interface: Int
    var station: MACAddress

    /// Of a fragment.
    init(_ fields: borrowing PacketFields, on interface: Int) {
        source = fields.flow.source
        destination = fields.flow.destination
        identification = fields.identification
        protocolNumber = fields.flow.protocolNumber
        self.interface = interface
        station = fields.sourceMAC
    }
}

/// The ports of datagrams that came in fragments, as the first one of each told: what the others are decided by where
/// services of one address lead to different applications by port. It is state of datagrams, not of flows, and a worker's
/// own.
///
/// Its memory is bounded. A source address has one set of places, with those whose hash is the same; a secret of the worker
/// is in it, so nobody can choose whom to share with. Where a set is full, the oldest of the sender that has the most of it
/// gives way: a flood of first fragments takes away only its own sender's.
struct DatagramTable: ~Copyable {
    /// How long a record holds, in nanoseconds: no receiver waits longer for the rest of a datagram (RFC 1122, section
    /// 3.3.2, says 60 s to 120 s; Linux waits 30 s).
    static let lifetime: UInt64 = 30_000_000_000
    private static let sets = 256
    private static let ways = 8

    private struct Record {
        var key: DatagramKey
        /// Whose it is: `Account.tag`.
        var owner: UInt64
        var sourcePort: UInt16
        var destinationPort: UInt16
        /// When it was noted; 0: there is none.
        var time: UInt64
    }
    private let records: UnsafeMutablePointer<Record>
    private let secret = UInt64.random(in: .min ... .max)

    init() {
        let count = Self.sets * Self.ways
        records = .allocate(capacity: count)
        let none = Record(
            key: DatagramKey(PacketFields(), on: 0), owner: 0, sourcePort: 0, destinationPort: 0, time: 0)
        records.initialize(repeating: none, count: count)
    }

    deinit { records.deallocate() }

    /// The first of the places that a datagram's record may have.
    private func set(of key: DatagramKey) -> UnsafeMutablePointer<Record> {
        let station = key.station.bits &+ UInt64(truncatingIfNeeded: key.interface) << 48
        let hash = keyedHash(station, key.source.high, key.source.low, secret)
        return records + Int(truncatingIfNeeded: hash & UInt64(Self.sets &- 1)) &* Self.ways
    }

    /// Notes the ports that a datagram's first fragment has.
    ///
    /// - Parameter owner: Whose it is: `Account.tag`.
    func note(_ key: DatagramKey, for owner: UInt64, sourcePort: UInt16, destinationPort: UInt16, now: UInt64) {
        let set = set(of: key)
        let record = Record(
            key: key, owner: owner, sourcePort: sourcePort, destinationPort: destinationPort, time: max(1, now))
        var place: Int?
        for index in 0..<Self.ways {
            if set[index].time != 0, set[index].key == key {
                set[index] = record
                return
            }
            if set[index].time == 0 || now &- min(now, set[index].time) >= Self.lifetime { place = place ?? index }
        }
        set[place ?? surplus(in: set, for: owner)] = record
    }

    /// The record of a full set that gives way: the oldest of the sender that has the most of it; of several such the one
    /// that asks.
    private func surplus(in set: UnsafeMutablePointer<Record>, for owner: UInt64) -> Int {
        func isLess(_ first: (count: Int, isOwn: Bool, age: UInt64), _ second: (count: Int, isOwn: Bool, age: UInt64))
            -> Bool
        {
            if first.count != second.count { return first.count < second.count }
            if first.isOwn != second.isOwn { return second.isOwn }
            return first.age < second.age
        }
        var best = 0
        var worth = (count: 0, isOwn: false, age: UInt64(0))
        for index in 0..<Self.ways {
            var count = 0
            for other in 0..<Self.ways where set[other].owner == set[index].owner { count &+= 1 }
            let found = (count: count, isOwn: set[index].owner == owner, age: UInt64.max &- set[index].time)
            if isLess(worth, found) { (best, worth) = (index, found) }
        }
        return best
    }

    /// The ports of a datagram whose first fragment has come.
    func ports(of key: DatagramKey, now: UInt64) -> (source: UInt16, destination: UInt16)? {
        let set = set(of: key)
        for index in 0..<Self.ways where set[index].time != 0 && set[index].key == key {
            guard now &- min(now, set[index].time) < Self.lifetime else { return nil }
            return (set[index].sourcePort, set[index].destinationPort)
        }
        return nil
    }
}

/// Later fragments that came before the first of their datagram: a bounded number, for a short time, in memory that is
/// allocated once. Where all places are taken, the sender that has the most gives one up to one that has fewer.
struct HeldFragments: ~Copyable {
    /// The most fragments.
    static let capacity = 64
    /// The most of one sender.
    static let most = 16
    /// The most octets of one, with its `virtio_net_hdr`.
    static let size = 2_048
    /// How long they are held, in nanoseconds.
    static let patience: UInt64 = 1_000_000_000

    enum State: UInt8 {
        case free
        case waiting
        /// Among the writes that are yet to be sent.
        case leaving
    }

    struct Slot {
        var state = State.free
        var length = 0
        var key = DatagramKey(PacketFields(), on: 0)
        /// Whose it is.
        var account = Account(place: 0, tag: 0)
        var time: UInt64 = 0
        /// In which order they came.
        var number: UInt64 = 0
    }

    /// How many wait.
    private(set) var waiting = 0
    private var leaving = 0
    private var count: UInt64 = 0
    private let holdings = Holdings()
    let slots: UnsafeMutablePointer<Slot>
    private let memory: UnsafeMutableRawPointer

    init() {
        slots = .allocate(capacity: Self.capacity)
        slots.initialize(repeating: Slot(), count: Self.capacity)
        memory = .allocate(byteCount: Self.capacity * Self.size, alignment: 64)
    }

    deinit {
        slots.deallocate()
        memory.deallocate()
    }

    /// The fragment in a slot.
    func frame(_ index: Int) -> ReceivedFrame {
        ReceivedFrame(start: memory + index * Self.size, length: slots[index].length)
    }

    /// What `keep` did.
    enum Keeping {
        case kept
        /// It is kept, and a fragment of another sender that had more is dropped.
        case replaced
        /// There is no room for it.
        case refused
    }

    /// Keeps a copy of a fragment.
    mutating func keep(_ frame: ReceivedFrame, _ key: DatagramKey, for account: Account, now: UInt64) -> Keeping {
        guard frame.length <= Self.size, holdings[account] < Self.most else { return .refused }
        var place: Int?
        var most = holdings[account]
        var oldest = UInt64.max
        var keeping = Keeping.replaced
        for index in 0..<Self.capacity {
            let slot = slots + index
            switch slot.pointee.state {
            case .free:
                (place, keeping) = (index, .kept)
            case .waiting:
                let count = holdings[slot.pointee.account]
                guard count > most || count == most && place != nil && slot.pointee.number < oldest else { continue }
                (place, most, oldest) = (index, count, slot.pointee.number)
            case .leaving:
                continue
            }
            if keeping == .kept { break }
        }
        guard let place else { return .refused }
        if keeping == .replaced {
            holdings.remove(slots[place].account)
            waiting &-= 1
        }
        count &+= 1
        slots[place] = Slot(
            state: .waiting, length: frame.length, key: key, account: account, time: now, number: count)
        self.frame(place).start.copyMemory(from: frame.start, byteCount: frame.length)
        waiting &+= 1
        holdings.add(account)
        return keeping
    }

    /// The slot of the fragment that came next after the one with `number`.
    func next(after number: UInt64) -> Int? {
        var found: Int?
        for index in 0..<Self.capacity where slots[index].state == .waiting && slots[index].number > number {
            if slots[index].number < found.map({ slots[$0].number }) ?? .max { found = index }
        }
        return found
    }

    /// The fragment waits no longer; its memory is kept until `releaseLeaving`.
    mutating func leave(_ index: Int) {
        slots[index].state = .leaving
        holdings.remove(slots[index].account)
        waiting &-= 1
        leaving &+= 1
    }

    /// The writes have been sent: what they took from here is free again.
    mutating func releaseLeaving() {
        guard leaving > 0 else { return }
        for index in 0..<Self.capacity where slots[index].state == .leaving { slots[index].state = .free }
        leaving = 0
    }
}
