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
/// Its memory is bounded. A station has a few sets of places alone, or with those whose hash is the same, and so a flood
/// of first fragments takes away only its own sender's; within a station's sets an address has one. The oldest in a set
/// gives way.
struct DatagramTable: ~Copyable {
    /// How long a record holds, in nanoseconds: no receiver waits longer for the rest of a datagram (RFC 1122, section
    /// 3.3.2, says 60 s to 120 s; Linux waits 30 s).
    static let lifetime: UInt64 = 30_000_000_000
    private static let stations = 64
    private static let sets = 4
    private static let ways = 8

    private struct Record {
        var key: DatagramKey
        var sourcePort: UInt16
        var destinationPort: UInt16
        /// When it was noted; 0: there is none.
        var time: UInt64
    }
    private let records: UnsafeMutablePointer<Record>

    init() {
        let count = Self.stations * Self.sets * Self.ways
        records = .allocate(capacity: count)
        let none = Record(key: DatagramKey(PacketFields(), on: 0), sourcePort: 0, destinationPort: 0, time: 0)
        records.initialize(repeating: none, count: count)
    }

    deinit { records.deallocate() }

    /// The first of the places that a datagram's record may have.
    private func set(of key: DatagramKey) -> UnsafeMutablePointer<Record> {
        func spread(_ value: UInt64) -> UInt64 {
            let product = value.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            return product.high ^ product.low
        }
        let station = Int(truncatingIfNeeded: spread(key.station.bits &+ UInt64(key.interface) << 48) >> 32) & 63
        let address = Int(truncatingIfNeeded: spread(key.source.high ^ spread(key.source.low)) >> 32) & 3
        return records + (station &* Self.sets &+ address) &* Self.ways
    }

    /// Notes the ports that a datagram's first fragment has.
    func note(_ key: DatagramKey, sourcePort: UInt16, destinationPort: UInt16, now: UInt64) {
        let set = set(of: key)
        var place = 0
        for index in 0..<Self.ways {
            if set[index].time != 0, set[index].key == key {
                place = index
                break
            }
            if set[index].time < set[place].time { place = index }
        }
        set[place] = Record(key: key, sourcePort: sourcePort, destinationPort: destinationPort, time: max(1, now))
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
/// allocated once.
struct HeldFragments: ~Copyable {
    /// The most fragments.
    static let capacity = 64
    /// The most of one station.
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
        var time: UInt64 = 0
        /// In which order they came.
        var number: UInt64 = 0
    }

    /// How many wait.
    private(set) var waiting = 0
    private var leaving = 0
    private var count: UInt64 = 0
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

    /// Keeps a copy of a fragment; false where there is no room for it.
    mutating func keep(_ frame: ReceivedFrame, _ key: DatagramKey, now: UInt64) -> Bool {
        guard frame.length <= Self.size else { return false }
        var free: Int?
        var same = 0
        for index in 0..<Self.capacity {
            if slots[index].state == .free {
                free = free ?? index
            } else if slots[index].key.station == key.station, slots[index].key.interface == key.interface {
                same &+= 1
            }
        }
        guard let free, same < Self.most else { return false }
        count &+= 1
        slots[free] = Slot(state: .waiting, length: frame.length, key: key, time: now, number: count)
        self.frame(free).start.copyMemory(from: frame.start, byteCount: frame.length)
        waiting &+= 1
        return true
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
