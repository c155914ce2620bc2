import Synchronization
import Wire

// The way of captured frames out of a worker: a bounded ring with one writer and one reader, in memory that both have.
//
//     octet   0  magic             64  octets ever written (the writer's)
//             8  version          128  octets ever read (the reader's)
//            16  octets of        192  frames that did not fit (the writer's)
//                records          256  records
//
// A record begins at a multiple of eight octets and does not go over the end of the ring:
//
//     octet 0  length of the record in octets, a multiple of eight (UInt32)
//           4  1: a frame, 0: nothing up to the end of the ring (UInt8)
//           5  direction (UInt8)
//           6  interface (UInt16)
//           8  octets of the frame in the record, the virtio_net_hdr among them (UInt32)
//          12  octets that the frame had (UInt32)
//          16  time (UInt64)
//          24  the octets of the frame
//
// All integers are in the machine's order. The writer never waits: where the reader is too slow, frames are left out and
// counted.

/// Which way a captured frame went.
public enum CaptureDirection: UInt8, Sendable, CaseIterable {
    /// The engine read it from the interface.
    case received
    /// The engine wrote it to the interface.
    case sent
}

/// A frame that was captured.
public struct CapturedFrame: Sendable, Hashable {
    /// Which way it went.
    public var direction: CaptureDirection
    /// The index of the interface.
    public var interface: Int
    /// When the engine read it, or handed it to the kernel: CLOCK_MONOTONIC.
    public var time: MonotonicTime
    /// The octets that the frame had, its `virtio_net_hdr` among them.
    public var length: Int
    /// The `virtio_net_hdr` and the frame: `length` octets, or as many of the first as are captured of each.
    public var octets: [UInt8]

    /// Memberwise.
    public init(
        direction: CaptureDirection, interface: Int, time: MonotonicTime, length: Int, octets: [UInt8]
    ) {
        self.direction = direction
        self.interface = interface
        self.time = time
        self.length = length
        self.octets = octets
    }
}

/// Where things stand in the ring's memory.
enum CaptureLayout {
    static let magic: UInt64 = 0x5441_504C_4341_5054  // "TAPLCAPT"
    static let version: UInt64 = 1
    static let versionOffset = 8
    static let capacityOffset = 16
    static let writtenOffset = 64
    static let readOffset = 128
    static let lostOffset = 192
    static let recordsOffset = 256

    enum Record {
        static let lengthOffset = 0
        static let kindOffset = 4
        static let directionOffset = 5
        static let interfaceOffset = 6
        static let capturedOffset = 8
        static let originalOffset = 12
        static let timeOffset = 16
        static let headerLength = 24
        static let gap: UInt8 = 0
        static let frame: UInt8 = 1
    }

    /// A record's length for so many octets of a frame.
    @inline(__always)
    static func record(_ octets: Int) -> Int { (Record.headerLength &+ octets &+ 7) & ~7 }

    @inline(__always)
    static func counter(_ memory: UnsafeMutableRawPointer, _ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (memory + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
}

/// The end of a capture ring that frames are put into. One thread at a time uses it; it never waits.
public struct CaptureWriter: ~Copyable {
    private let memory: UnsafeMutableRawPointer
    /// Octets of records, a power of two.
    private let capacity: Int
    private let mostOctets: Int
    private var written: UInt64 = 0
    /// What the reader is known to have read.
    private var read: UInt64 = 0
    private var lost: UInt64 = 0

    /// Octets of memory for a ring with `capacity` octets of records.
    public static func size(capacity: Int) -> Int { CaptureLayout.recordsOffset + capacity }

    /// Makes an empty ring.
    ///
    /// - Parameters:
    ///   - memory: `size(capacity:)` octets, aligned to 64; they stay the caller's, and must outlive writer and reader.
    ///   - capacity: Octets of records: a power of two, at least 64.
    ///   - mostOctets: The most octets of each frame that are kept, the `virtio_net_hdr` among them.
    public init(memory: UnsafeMutableRawPointer, capacity: Int, mostOctets: Int = frameSlotSize) {
        precondition(capacity >= 64 && capacity & (capacity - 1) == 0 && mostOctets >= 0)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: CaptureLayout.recordsOffset)
        memory.storeBytes(of: CaptureLayout.magic, as: UInt64.self)
        memory.storeBytes(of: CaptureLayout.version, toByteOffset: CaptureLayout.versionOffset, as: UInt64.self)
        memory.storeBytes(of: UInt64(capacity), toByteOffset: CaptureLayout.capacityOffset, as: UInt64.self)
        self.memory = memory
        self.capacity = capacity
        self.mostOctets = mostOctets
    }

    /// Puts a frame in, or counts it as lost where there is no room for it.
    ///
    /// - Parameters:
    ///   - header: The `virtio_net_hdr` and what follows it of the frame.
    ///   - headerLength: Octets at `header`.
    ///   - body: The rest of the frame.
    ///   - bodyLength: Octets at `body`; may be 0.
    mutating func put(
        _ direction: CaptureDirection, interface: Int, time: MonotonicTime, header: UnsafeRawPointer,
        headerLength: Int, body: UnsafeRawPointer, bodyLength: Int
    ) {
        let octets = min(headerLength &+ bodyLength, mostOctets)
        let length = CaptureLayout.record(octets)
        var place = Int(truncatingIfNeeded: written) & (capacity &- 1)
        // What a record would not fit in at the end of the ring is left out.
        let gap = length <= capacity &- place ? 0 : capacity &- place
        guard hasRoom(gap &+ length) else {
            lost &+= 1
            CaptureLayout.counter(memory, CaptureLayout.lostOffset).pointee.store(lost, ordering: .relaxed)
            return
        }
        if gap > 0 {
            let record = memory + (CaptureLayout.recordsOffset &+ place)
            store(UInt32(truncatingIfNeeded: gap), CaptureLayout.Record.lengthOffset, record)
            store(CaptureLayout.Record.gap, CaptureLayout.Record.kindOffset, record)
            place = 0
        }
        let record = memory + (CaptureLayout.recordsOffset &+ place)
        store(UInt32(truncatingIfNeeded: length), CaptureLayout.Record.lengthOffset, record)
        store(CaptureLayout.Record.frame, CaptureLayout.Record.kindOffset, record)
        store(direction.rawValue, CaptureLayout.Record.directionOffset, record)
        store(UInt16(truncatingIfNeeded: interface), CaptureLayout.Record.interfaceOffset, record)
        store(UInt32(truncatingIfNeeded: octets), CaptureLayout.Record.capturedOffset, record)
        store(UInt32(truncatingIfNeeded: headerLength &+ bodyLength), CaptureLayout.Record.originalOffset, record)
        store(time.nanoseconds, CaptureLayout.Record.timeOffset, record)
        let start = record + CaptureLayout.Record.headerLength
        let first = min(headerLength, octets)
        start.copyMemory(from: header, byteCount: first)
        (start + first).copyMemory(from: body, byteCount: octets &- first)
        written &+= UInt64(truncatingIfNeeded: gap &+ length)
        CaptureLayout.counter(memory, CaptureLayout.writtenOffset).pointee.store(written, ordering: .releasing)
    }

    /// True if so many octets are free. The reader's count is read only where what is known of it is not enough.
    @inline(__always)
    private mutating func hasRoom(_ octets: Int) -> Bool {
        if Int(truncatingIfNeeded: written &- read) &+ octets <= capacity { return true }
        let summary = CaptureLayout.counter(memory, CaptureLayout.readOffset).pointee.load(ordering: .acquiring)
        // A reader that tells nonsense gets nothing more.
        guard summary >= read, summary <= written else { return false }
        read = summary
        return Int(truncatingIfNeeded: written &- read) &+ octets <= capacity
    }

    @inline(__always)
    private func store<Value: BitwiseCopyable>(_ value: Value, _ offset: Int, _ record: UnsafeMutableRawPointer) {
        record.storeBytes(of: value, toByteOffset: offset, as: Value.self)
    }
}

/// The end of a capture ring that frames are taken out of. One thread at a time uses it.
///
/// It believes nothing of the ring: the writer may be a process that was taken over.
public struct CaptureReader: ~Copyable {
    private let memory: UnsafeMutableRawPointer
    private let capacity: Int
    private var read: UInt64 = 0
    /// True once the ring has said something that cannot be: it gives no frame from then on.
    public private(set) var isBroken = false

    /// - Parameters:
    ///   - memory: A ring that a `CaptureWriter` has made, and of which nothing has been taken out.
    ///   - size: Octets at `memory`.
    /// - Returns: nil if it is no ring of this version, or none of this size.
    public init?(memory: UnsafeMutableRawPointer, size: Int) {
        guard size >= CaptureLayout.recordsOffset, memory.load(as: UInt64.self) == CaptureLayout.magic,
            memory.load(fromByteOffset: CaptureLayout.versionOffset, as: UInt64.self) == CaptureLayout.version
        else { return nil }
        let capacity = Int(
            clamping: memory.load(fromByteOffset: CaptureLayout.capacityOffset, as: UInt64.self))
        guard capacity >= 64, capacity & (capacity - 1) == 0, size - CaptureLayout.recordsOffset >= capacity else {
            return nil
        }
        self.memory = memory
        self.capacity = capacity
    }

    /// Frames that found no room so far.
    public var lost: UInt64 { CaptureLayout.counter(memory, CaptureLayout.lostOffset).pointee.load(ordering: .relaxed) }

    /// Takes the oldest frame out; nil if there is none.
    public mutating func next() -> CapturedFrame? {
        while !isBroken {
            let written = CaptureLayout.counter(memory, CaptureLayout.writtenOffset).pointee.load(ordering: .acquiring)
            guard written != read else { return nil }
            let place = Int(truncatingIfNeeded: read) & (capacity - 1)
            let record = UnsafeRawPointer(memory + CaptureLayout.recordsOffset + place)
            // The writer may change anything while it is read: each field is read once.
            let length = Int(record.load(fromByteOffset: CaptureLayout.Record.lengthOffset, as: UInt32.self))
            guard written > read, written - read <= UInt64(capacity), length >= 8, length % 8 == 0,
                length <= capacity - place, UInt64(length) <= written - read
            else {
                isBroken = true
                return nil
            }
            let kind = record.load(fromByteOffset: CaptureLayout.Record.kindOffset, as: UInt8.self)
            if kind != CaptureLayout.Record.gap {
                guard let frame = Self.frame(record, length) else {
                    isBroken = true
                    return nil
                }
                leave(length)
                return frame
            }
            leave(length)
        }
        return nil
    }

    private mutating func leave(_ length: Int) {
        read += UInt64(length)
        CaptureLayout.counter(memory, CaptureLayout.readOffset).pointee.store(read, ordering: .releasing)
    }

    private static func frame(_ record: UnsafeRawPointer, _ length: Int) -> CapturedFrame? {
        guard length >= CaptureLayout.Record.headerLength else { return nil }
        let octets = Int(record.load(fromByteOffset: CaptureLayout.Record.capturedOffset, as: UInt32.self))
        guard octets <= length - CaptureLayout.Record.headerLength,
            let direction = CaptureDirection(
                rawValue: record.load(fromByteOffset: CaptureLayout.Record.directionOffset, as: UInt8.self))
        else { return nil }
        return CapturedFrame(
            direction: direction,
            interface: Int(record.load(fromByteOffset: CaptureLayout.Record.interfaceOffset, as: UInt16.self)),
            time: MonotonicTime(
                nanoseconds: record.load(fromByteOffset: CaptureLayout.Record.timeOffset, as: UInt64.self)),
            length: Int(record.load(fromByteOffset: CaptureLayout.Record.originalOffset, as: UInt32.self)),
            octets: Array(
                UnsafeRawBufferPointer(start: record + CaptureLayout.Record.headerLength, count: octets)))
    }
}
