import Forwarding
import Wire

/// Identifies the fragments of one datagram (RFC 791, section 2.3; RFC 8200, section 4.5) at one interface. A firewall
/// may give the same datagram other ports.
struct DatagramKey: Equatable {
    var source: IPAddress
    var destination: IPAddress
    var identification: UInt32
    var protocolNumber: UInt8
    var interface: Int
    var sender: MACAddress

    /// Of a fragment.
    init(_ fields: borrowing PacketFields, on interface: Int) {
        source = fields.flow.source
        destination = fields.flow.destination
        identification = fields.identification
        protocolNumber = fields.flow.protocolNumber
        self.interface = interface
        sender = fields.sourceMAC
    }
}

/// The ports of fragmented datagrams, from the first fragment of each. The other fragments are decided by them if
/// services of one address lead to different applications by port. This is state of datagrams, not of flows, and
/// belongs to one worker.
///
/// Its memory is bounded. A source address has one set of places, which it shares with the addresses of the same hash.
/// A secret of the worker is part of the hash, so an attacker cannot choose whom to share with. If a set is full, the
/// sender with the most records in it loses its oldest one. So a flood of first fragments only takes away its own
/// sender's.
struct DatagramTable: ~Copyable {
    /// How long a record is valid, in nanoseconds. No receiver waits longer for the rest of a datagram (RFC 1122,
    /// section 3.3.2, says 60 s to 120 s; Linux waits 30 s).
    static let lifetime: UInt64 = 30_000_000_000
    private static let sets = 256
    private static let ways = 8

    private struct Record {
        var key: DatagramKey
        /// The owner: `Account.tag`.
        var owner: UInt64
        var sourcePort: UInt16
        var destinationPort: UInt16
        /// When it was noted, in nanoseconds of the monotonic clock; 0 if there is none.
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

    /// The first of the places for a datagram's record.
    private func set(of key: DatagramKey) -> UnsafeMutablePointer<Record> {
        let sender = key.sender.bits &+ UInt64(truncatingIfNeeded: key.interface) << 48
        let hash = keyedHash(sender, key.source.high, key.source.low, secret)
        return records + Int(truncatingIfNeeded: hash & UInt64(Self.sets &- 1)) &* Self.ways
    }

    /// Notes the ports of a datagram's first fragment.
    ///
    /// - Parameters:
    ///   - owner: `Account.tag` of the sender.
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

    /// The record of a full set that is replaced: the oldest of the sender with the most records. If several have the
    /// most, the asking sender's.
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

/// Later fragments that came before the first of their datagram: a bounded number, for a short time. Its memory is
/// allocated once. If all places are taken, the sender with the most gives one up to a sender with fewer.
struct HeldFragments: ~Copyable {
    /// The largest number of fragments.
    static let capacity = 64
    /// The largest number of one sender.
    static let most = 16
    /// The largest size of one, in octets, including its `virtio_net_hdr`.
    static let size = 2_048
    /// How long they are held, in nanoseconds.
    static let patience: UInt64 = 1_000_000_000

    enum State: UInt8 {
        case free
        case waiting
        /// It is among the writes that are not sent yet.
        case leaving
    }

    struct Slot {
        var state = State.free
        var length = 0
        var key = DatagramKey(PacketFields(), on: 0)
        /// The sender's account.
        var account = Account(place: 0, tag: 0)
        var time: UInt64 = 0
        /// The number of the fragment in the order of arrival.
        var number: UInt64 = 0
    }

    /// The number of waiting fragments.
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

    /// The result of `keep`.
    enum Keeping {
        case kept
        /// It is kept, and a fragment of a sender with more fragments is dropped.
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

    /// The slot of the next fragment after the one with `number`.
    func next(after number: UInt64) -> Int? {
        var found: Int?
        for index in 0..<Self.capacity where slots[index].state == .waiting && slots[index].number > number {
            if slots[index].number < found.map({ slots[$0].number }) ?? .max { found = index }
        }
        return found
    }

    /// The fragment waits no longer. Its memory stays valid until `releaseLeaving`.
    mutating func leave(_ index: Int) {
        slots[index].state = .leaving
        holdings.remove(slots[index].account)
        waiting &-= 1
        leaving &+= 1
    }

    /// The writes have been sent, so the memory that they used here is free again.
    mutating func releaseLeaving() {
        guard leaving > 0 else { return }
        for index in 0..<Self.capacity where slots[index].state == .leaving { slots[index].state = .free }
        leaving = 0
    }
}
