import Forwarding
import Synchronization
import Wire

/// The last frame that was dropped for a reason, as far as it could be read. You need it to find the sender.
///
/// A worker notes at most one frame for each reason in each of its turns, so a flood costs one comparison a frame.
///
/// ```
/// 0 sequence, odd while it is written | 8 time | 16 interface | 24 Ethernet source, 48 bits; source's family << 48;
/// destination's family << 56, each 0 if the address is not known | 32 source, high; low | 48 destination
/// ```
public struct DroppedFrame: Sendable, Hashable {
    /// The index of the interface that it came in on.
    public var interface: Int
    /// Its Ethernet source.
    public var sourceMAC: MACAddress
    /// The packet's source. For ARP and neighbour discovery, the address that the sender claims.
    public var source: IPAddress?
    /// The packet's destination. For ARP and neighbour discovery, the address that the message is about.
    public var destination: IPAddress?
    /// When it was noted, by CLOCK_MONOTONIC.
    public var time: MonotonicTime

    /// Memberwise.
    public init(
        interface: Int, sourceMAC: MACAddress, source: IPAddress?, destination: IPAddress?, time: MonotonicTime
    ) {
        self.interface = interface
        self.sourceMAC = sourceMAC
        self.source = source
        self.destination = destination
        self.time = time
    }

    /// The size of a record, in octets.
    static let size = 64

    /// The words of a record. Only whole words are read and written.
    private static func word(_ place: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (place + index &* 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// When the frame of a record was noted, in nanoseconds of the monotonic clock; 0 if there is none.
    @inline(__always)
    static func time(at place: UnsafeMutableRawPointer) -> UInt64 {
        word(place, 1).pointee.load(ordering: .relaxed)
    }

    /// Writes the record. It has only one writer.
    func write(at place: UnsafeMutableRawPointer) {
        let sequence = Self.word(place, 0).pointee.load(ordering: .relaxed)
        Self.word(place, 0).pointee.store(sequence | 1, ordering: .relaxed)
        atomicMemoryFence(ordering: .releasing)
        let families =
            UInt64(source?.family.rawValue ?? 0) << 48 | UInt64(destination?.family.rawValue ?? 0) << 56
        Self.word(place, 1).pointee.store(time.nanoseconds, ordering: .relaxed)
        Self.word(place, 2).pointee.store(UInt64(truncatingIfNeeded: interface), ordering: .relaxed)
        Self.word(place, 3).pointee.store(sourceMAC.bits | families, ordering: .relaxed)
        Self.word(place, 4).pointee.store(source?.high ?? 0, ordering: .relaxed)
        Self.word(place, 5).pointee.store(source?.low ?? 0, ordering: .relaxed)
        Self.word(place, 6).pointee.store(destination?.high ?? 0, ordering: .relaxed)
        Self.word(place, 7).pointee.store(destination?.low ?? 0, ordering: .relaxed)
        Self.word(place, 0).pointee.store((sequence | 1) &+ 1, ordering: .releasing)
    }

    /// Reads a record that its worker may be writing; nil if there is none, or if it changed again and again. The
    /// values may be false, because the process that writes them reads hostile bytes.
    init?(reading place: UnsafeRawPointer) {
        let place = UnsafeMutableRawPointer(mutating: place)
        for _ in 0..<16 {
            let before = Self.word(place, 0).pointee.load(ordering: .acquiring)
            guard before != 0 else { return nil }
            guard before & 1 == 0 else { continue }
            let words = (1..<8).map { Self.word(place, $0).pointee.load(ordering: .relaxed) }
            atomicMemoryFence(ordering: .acquiring)
            guard Self.word(place, 0).pointee.load(ordering: .relaxed) == before else { continue }
            func address(_ family: UInt64, _ high: UInt64, _ low: UInt64) -> IPAddress? {
                guard let family = AddressFamily(rawValue: UInt8(family & 0xFF)) else { return nil }
                return IPAddress(family: family, high: high, low: low)
            }
            self.init(
                interface: Int(words[1] & 0xFFFF), sourceMAC: MACAddress(bits: words[2] & 0xFFFF_FFFF_FFFF),
                source: address(words[2] >> 48, words[3], words[4]),
                destination: address(words[2] >> 56, words[5], words[6]), time: MonotonicTime(nanoseconds: words[0]))
            return
        }
        return nil
    }
}
