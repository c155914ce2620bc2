import Forwarding
import Synchronization

/// What was done to the packets of one impaired link.
public struct ImpairmentCount: Sendable, Hashable {
    /// Packets that came to the link.
    public var packets: UInt64 = 0
    /// Their octets, from the Ethernet header on.
    public var bytes: UInt64 = 0
    /// Packets that were lost.
    public var lost: UInt64 = 0
    /// Packets for which there was no room: in the queue of the rate, or in the memory for delayed packets.
    public var overflowed: UInt64 = 0
    /// Packets that were sent twice.
    public var duplicated: UInt64 = 0
    /// Packets with a flipped bit.
    public var corrupted: UInt64 = 0
    /// Packets that were not delayed.
    public var reordered: UInt64 = 0
    /// Packets that wait now.
    public var waiting: UInt64 = 0

    /// Nothing.
    public init() {}

    /// The sum of both. Engines write these values, so it wraps and never traps.
    public static func + (left: ImpairmentCount, right: ImpairmentCount) -> ImpairmentCount {
        var sum = left
        sum.packets &+= right.packets
        sum.bytes &+= right.bytes
        sum.lost &+= right.lost
        sum.overflowed &+= right.overflowed
        sum.duplicated &+= right.duplicated
        sum.corrupted &+= right.corrupted
        sum.reordered &+= right.reordered
        sum.waiting &+= right.waiting
        return sum
    }
}

// The memory that engines count in, and share the time of a rate in. All values are UInt64, loaded and stored whole:
//
//     octet 0                        for each slot, when its rate has sent all packets so far (nanoseconds)
//           8 * slots + n * blocks   the block of one worker: for each slot, the numbers of `ImpairmentCount` (64 octets)

/// The counters of impaired links, as one worker writes them and the control process reads them.
public struct ImpairmentCounters: @unchecked Sendable {
    static let slotSize = 64
    static let clocksSize = ImpairmentSet.mostRules * 8
    static let blockSize = ImpairmentSet.mostRules * slotSize

    /// The octets of a memory for so many workers.
    public static func size(blocks: Int) -> Int { clocksSize + blocks * blockSize }

    private let memory: UnsafeMutableRawPointer
    private let block: UnsafeMutableRawPointer

    /// - Parameter block: The worker's.
    init(memory: UnsafeMutableRawPointer, block: Int) {
        self.memory = memory
        self.block = memory + Self.clocksSize + block * Self.blockSize
    }

    enum Field: Int {
        case packets, bytes, lost, overflowed, duplicated, corrupted, reordered, waiting
    }

    @inline(__always)
    private static func number(_ place: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<UInt64>> {
        place.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    @inline(__always)
    func add(_ field: Field, _ slot: Int, _ amount: Int = 1) {
        let place = Self.number(block + (slot &* Self.slotSize &+ field.rawValue &* 8))
        place.pointee.store(
            place.pointee.load(ordering: .relaxed) &+ UInt64(bitPattern: Int64(amount)), ordering: .relaxed)
    }

    /// When the rate of a slot has sent all packets so far. Another worker may write it at the same moment; then one packet
    /// does not count for the other.
    @inline(__always)
    func clock(_ slot: Int) -> UInt64 {
        Self.number(memory + slot &* 8).pointee.load(ordering: .relaxed)
    }

    @inline(__always)
    func setClock(_ slot: Int, _ time: UInt64) {
        Self.number(memory + slot &* 8).pointee.store(time, ordering: .relaxed)
    }

    /// A worker begins: nothing waits for it.
    func begin() {
        for slot in 0..<ImpairmentSet.mostRules {
            Self.number(block + (slot * Self.slotSize + Field.waiting.rawValue * 8))
                .pointee.store(0, ordering: .relaxed)
        }
    }

    /// The sum over all workers.
    ///
    /// - Parameters:
    ///   - memory: `size(blocks:)` octets.
    ///   - slot: Below `ImpairmentSet.mostRules`.
    public static func read(_ memory: UnsafeRawPointer, blocks: Int, slot: Int) -> ImpairmentCount {
        var count = ImpairmentCount()
        for block in 0..<blocks {
            let place = memory + clocksSize + block * blockSize + slot * slotSize
            func number(_ field: Field) -> UInt64 { CounterReader.load(place + field.rawValue * 8) }
            count.packets &+= number(.packets)
            count.bytes &+= number(.bytes)
            count.lost &+= number(.lost)
            count.overflowed &+= number(.overflowed)
            count.duplicated &+= number(.duplicated)
            count.corrupted &+= number(.corrupted)
            count.reordered &+= number(.reordered)
            count.waiting &+= number(.waiting)
        }
        return count
    }

    /// A slot's counters begin at zero.
    public static func clear(_ memory: UnsafeMutableRawPointer, blocks: Int, slot: Int) {
        for block in 0..<blocks {
            let place = memory + clocksSize + block * blockSize + slot * slotSize
            // What waits is the workers' to say.
            for field in 0..<Field.waiting.rawValue {
                number(place + field * 8).pointee.store(0, ordering: .relaxed)
            }
        }
        number(memory + slot * 8).pointee.store(0, ordering: .relaxed)
    }
}
