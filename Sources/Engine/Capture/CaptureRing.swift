import Synchronization
import Wire

// The way of captured frames out of a worker: a ring with one writer and any number of readers, who share its memory. The
// writer never waits and knows no reader. It overwrites the oldest frames; a reader that is too slow notices by the frames'
// sequence numbers. A slow reader costs neither the engine nor other readers anything.
//
//     octet   0  magic             64  octets reserved: nothing beyond them was written
//             8  version           72  octets written: everything before them is whole
//            16  octets of         80  frames written
//                records         4096  records
//
// "Octets" count from the ring's beginning on and never wrap. A record begins at a multiple of eight octets and does not go
// over the end of the ring:
//
//     octet 0  length of the record in octets, a multiple of eight (UInt32)
//           4  1: a frame, 2: an outer packet of a tunnel, 0: nothing up to the end of the ring (UInt8)
//           5  direction (UInt8)
//           6  interface (UInt16)
//           8  octets of the frame in the record, the virtio_net_hdr among them (UInt32)
//          12  octets that the frame had (UInt32)
//          16  time, ns (UInt64)
//          24  sequence number (UInt64)
//          32  generation of the table (UInt64)
//          40  observers (UInt32)
//          44  errno of the write; 0 if it succeeded (Int32)
//          48  the octets of the frame
//
// All integers are in the machine's order.

/// The places in a ring's memory.
enum CaptureLayout {
    static let magic: UInt64 = 0x5441_504C_4341_5054  // "TAPLCAPT"
    static let version: UInt64 = 2
    static let versionOffset = 8
    static let capacityOffset = 16
    static let reservedOffset = 64
    static let writtenOffset = 72
    static let framesOffset = 80
    static let recordsOffset = 4_096

    enum Record {
        static let lengthOffset = 0
        static let kindOffset = 4
        static let directionOffset = 5
        static let interfaceOffset = 6
        static let capturedOffset = 8
        static let originalOffset = 12
        static let timeOffset = 16
        static let sequenceOffset = 24
        static let generationOffset = 32
        static let observersOffset = 40
        static let failureOffset = 44
        static let headerLength = 48
        static let gap: UInt8 = 0
        static let frame: UInt8 = 1
        static let outer: UInt8 = 2
    }

    /// A record's length for so many octets of a frame.
    @inline(__always)
    static func record(_ octets: Int) -> Int { (Record.headerLength &+ octets &+ 7) & ~7 }

    @inline(__always)
    static func counter(_ memory: UnsafeRawPointer, _ offset: Int) -> UnsafePointer<Atomic<UInt64>> {
        (memory + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
}

/// The memory of capture rings: one for each worker's block in the counters, one after the other.
public enum CaptureRing {
    /// Octets of records in each ring of an engine: a power of two.
    public static let capacity = 4 << 20
    /// Octets of memory for each ring of an engine; a multiple of every page size.
    public static let size = size(capacity: capacity)
    /// The most octets of a frame that a record holds, the `virtio_net_hdr` among them.
    public static let mostOctets = frameSlotSize

    /// Octets of memory for a ring with `capacity` octets of records.
    public static func size(capacity: Int) -> Int { CaptureLayout.recordsOffset + capacity }
}

/// A frame in the two parts that a write has; a read frame has an empty body.
struct CaptureParts {
    /// The `virtio_net_hdr` and what follows it of the frame.
    var header: UnsafeRawPointer
    /// Octets at `header`.
    var headerLength: Int
    /// The rest of the frame.
    var body: UnsafeRawPointer
    /// Octets at `body`; may be 0.
    var bodyLength: Int

    /// Octets of the frame, the `virtio_net_hdr` among them.
    @inline(__always)
    var length: Int { headerLength &+ bodyLength }
}

/// The writer's end of a capture ring. One thread at a time uses it; it never waits.
public struct CaptureWriter: ~Copyable {
    /// The ring's memory.
    let memory: UnsafeMutableRawPointer
    private let capacity: Int
    private var written: UInt64
    private var frames: UInt64

    /// Continues a ring where the writer before left it. Memory that is zero, or no ring of this capacity, becomes an
    /// empty ring.
    ///
    /// - Parameters:
    ///   - memory: `CaptureRing.size(capacity:)` octets, aligned to 64; they stay the caller's, and must outlive the writer.
    ///   - capacity: Octets of records: a power of two, at least 1,024.
    public init(memory: UnsafeMutableRawPointer, capacity: Int = CaptureRing.capacity) {
        precondition(capacity >= 1_024 && capacity & (capacity - 1) == 0)
        self.memory = memory
        self.capacity = capacity
        let isRing =
            memory.load(as: UInt64.self) == CaptureLayout.magic
            && memory.load(fromByteOffset: CaptureLayout.versionOffset, as: UInt64.self) == CaptureLayout.version
            && memory.load(fromByteOffset: CaptureLayout.capacityOffset, as: UInt64.self) == UInt64(capacity)
        // A record that a writer before did not finish is written over.
        written =
            isRing
            ? CaptureLayout.counter(memory, CaptureLayout.writtenOffset).pointee.load(ordering: .relaxed) & ~7 : 0
        frames =
            isRing ? CaptureLayout.counter(memory, CaptureLayout.framesOffset).pointee.load(ordering: .relaxed) : 0
        memory.storeBytes(of: CaptureLayout.magic, as: UInt64.self)
        memory.storeBytes(of: CaptureLayout.version, toByteOffset: CaptureLayout.versionOffset, as: UInt64.self)
        memory.storeBytes(of: UInt64(capacity), toByteOffset: CaptureLayout.capacityOffset, as: UInt64.self)
        CaptureLayout.counter(memory, CaptureLayout.reservedOffset).pointee.store(written, ordering: .relaxed)
        CaptureLayout.counter(memory, CaptureLayout.framesOffset).pointee.store(frames, ordering: .relaxed)
        CaptureLayout.counter(memory, CaptureLayout.writtenOffset).pointee.store(written, ordering: .releasing)
    }

    /// Goes on behind what another writer of the same thread has put in.
    @inline(__always)
    mutating func resume() {
        written = CaptureLayout.counter(memory, CaptureLayout.writtenOffset).pointee.load(ordering: .relaxed) & ~7
        frames = CaptureLayout.counter(memory, CaptureLayout.framesOffset).pointee.load(ordering: .relaxed)
    }

    /// Puts a frame in.
    ///
    /// - Parameters:
    ///   - most: The most octets of it that are kept, the `virtio_net_hdr` among them; cut to what a record holds.
    ///   - failure: The errno of its write; 0 if it was written or read.
    ///   - isOuter: It is a packet of an underlay with a frame of a tunnel in it.
    mutating func put(
        _ direction: CaptureDirection, interface: Int, time: MonotonicTime, generation: UInt64, observers: UInt32,
        failure: Int32, _ parts: CaptureParts, most: Int, isOuter: Bool = false
    ) {
        let octets = min(parts.length, most, CaptureRing.mostOctets, capacity / 4)
        let length = CaptureLayout.record(octets)
        var place = Int(truncatingIfNeeded: written) & (capacity &- 1)
        // A record that does not fit before the end of the ring begins at its start.
        let gap = length <= capacity &- place ? 0 : capacity &- place
        let end = written &+ UInt64(truncatingIfNeeded: gap &+ length)
        // Readers that find the reservation know that what they copied may be torn.
        CaptureLayout.counter(memory, CaptureLayout.reservedOffset).pointee.store(end, ordering: .relaxed)
        atomicMemoryFence(ordering: .acquiringAndReleasing)
        if gap > 0 {
            let record = memory + (CaptureLayout.recordsOffset &+ place)
            store(UInt32(truncatingIfNeeded: gap), CaptureLayout.Record.lengthOffset, record)
            store(CaptureLayout.Record.gap, CaptureLayout.Record.kindOffset, record)
            place = 0
        }
        let record = memory + (CaptureLayout.recordsOffset &+ place)
        store(UInt32(truncatingIfNeeded: length), CaptureLayout.Record.lengthOffset, record)
        store(
            isOuter ? CaptureLayout.Record.outer : CaptureLayout.Record.frame, CaptureLayout.Record.kindOffset, record)
        store(direction.rawValue, CaptureLayout.Record.directionOffset, record)
        store(UInt16(truncatingIfNeeded: interface), CaptureLayout.Record.interfaceOffset, record)
        store(UInt32(truncatingIfNeeded: octets), CaptureLayout.Record.capturedOffset, record)
        store(UInt32(truncatingIfNeeded: parts.length), CaptureLayout.Record.originalOffset, record)
        store(time.nanoseconds, CaptureLayout.Record.timeOffset, record)
        store(frames, CaptureLayout.Record.sequenceOffset, record)
        store(generation, CaptureLayout.Record.generationOffset, record)
        store(observers, CaptureLayout.Record.observersOffset, record)
        store(failure, CaptureLayout.Record.failureOffset, record)
        let start = record + CaptureLayout.Record.headerLength
        let first = min(parts.headerLength, octets)
        start.copyMemory(from: parts.header, byteCount: first)
        (start + first).copyMemory(from: parts.body, byteCount: octets &- first)
        written = end
        frames &+= 1
        CaptureLayout.counter(memory, CaptureLayout.framesOffset).pointee.store(frames, ordering: .relaxed)
        CaptureLayout.counter(memory, CaptureLayout.writtenOffset).pointee.store(written, ordering: .releasing)
    }

    @inline(__always)
    private func store<Value: BitwiseCopyable>(_ value: Value, _ offset: Int, _ record: UnsafeMutableRawPointer) {
        record.storeBytes(of: value, toByteOffset: offset, as: Value.self)
    }
}
