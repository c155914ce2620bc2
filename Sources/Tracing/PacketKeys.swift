import Wire

/// What the packets of one frame are known again by, in their order (`TracedPacket.likeness`).
struct PacketKeys {
    /// The key of each packet; empty if too little of the frame is there.
    private(set) var keys: [UInt64] = []
    /// All of them together.
    private(set) var train = PacketTrain()

    mutating func removeAll() {
        keys.removeAll(keepingCapacity: true)
        train = PacketTrain()
    }

    mutating func append(_ key: UInt64) {
        keys.append(key)
        train.append(key)
    }
}

/// How many packets a frame is, and a hash of their keys.
struct PacketTrain: Equatable {
    private var digest: UInt64 = 0
    private(set) var count: Int32 = 0

    init() {}

    /// One packet.
    init(_ key: UInt64) { append(key) }

    mutating func append(_ key: UInt64) {
        count += 1
        digest = (digest ^ key) &* 0xFF51_AFD7_ED55_8CCD
        digest ^= digest &>> 32
    }
}

/// A hash that is made of few numbers, step by step.
struct Likeness {
    private(set) var hash: UInt64 = 0x9E37_79B9_7F4A_7C15

    @inline(__always)
    mutating func add(_ value: UInt64) {
        hash = (hash ^ value) &* 0xFF51_AFD7_ED55_8CCD
        hash ^= hash &>> 32
    }

    /// A whole packet: its protocol, its identification, and what else no chain rewrites.
    @inline(__always)
    init(_ protocolNumber: UInt8, identification: UInt32, kind: UInt32, number: UInt64, length: Int) {
        add(UInt64(protocolNumber))
        add(UInt64(identification))
        add(UInt64(kind))
        add(number)
        add(UInt64(length))
    }

    /// A fragment: its protocol, its identification, and its place in the datagram.
    init(_ protocolNumber: UInt8, identification: UInt32, octets: Range<Int>) {
        add(UInt64(protocolNumber))
        add(UInt64(identification))
        add(UInt64(octets.lowerBound))
        add(UInt64(octets.count))
    }
}

extension TracedPacket {
    /// A hash of what no chain rewrites; nil if too little of the packet is there. Packets that look alike share it.
    var likeness: UInt64? {
        guard fragment == .whole else {
            return Likeness(protocolNumber, identification: identification, octets: octets).hash
        }
        guard let key = ContentKey(self) else { return nil }
        var likeness = Likeness(
            protocolNumber, identification: identification, kind: key.kind, number: key.number, length: key.length)
        if let segment {
            likeness.add(UInt64(segment.acknowledgment))
            likeness.add(UInt64(segment.timestamp ?? 0))
        }
        return likeness.hash
    }
}
