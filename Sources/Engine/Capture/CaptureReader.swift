import Synchronization
import Wire

/// A reader of a capture ring, from the moment at which it is made. It changes nothing in the ring's memory. One thread at
/// a time uses it.
///
/// It believes nothing of the ring: the writer may be a process that was taken over. Whatever the ring says, the reader
/// copies no more than one record at a time, and never reads outside of the ring.
public struct CaptureReader: ~Copyable {
    private let memory: UnsafeRawPointer
    private let capacity: Int
    private let worker: Int
    /// The octets of the ring that were read or skipped, from its beginning on.
    private(set) var position: UInt64
    /// The sequence number that the next frame should have; nil before the first.
    private var expected: UInt64?
    /// Frames that were overwritten before they were read.
    public private(set) var lost: UInt64 = 0
    /// How often the ring said something that cannot be. The reader then went on with what came next.
    public private(set) var faults: UInt64 = 0

    /// A reader of the frames that come from now on.
    ///
    /// - Parameters:
    ///   - memory: `CaptureRing.size(capacity:)` octets, aligned to 64; they must outlive the reader. Memory that no writer
    ///     has used yet is zero: it is a ring without frames.
    ///   - capacity: Octets of records: a power of two, at least 1,024.
    ///   - worker: The number of the ring; frames carry it.
    public init(memory: UnsafeRawPointer, capacity: Int = CaptureRing.capacity, worker: Int = 0) {
        precondition(capacity >= 1_024 && capacity & (capacity - 1) == 0)
        self.memory = memory
        self.capacity = capacity
        self.worker = worker
        position = 0
        position = written
        expected = frames
    }

    private var written: UInt64 {
        CaptureLayout.counter(memory, CaptureLayout.writtenOffset).pointee.load(ordering: .acquiring)
    }
    private var frames: UInt64 {
        CaptureLayout.counter(memory, CaptureLayout.framesOffset).pointee.load(ordering: .relaxed)
    }

    /// The next frame; nil if there is none now.
    public mutating func next() -> CapturedFrame? {
        // Each turn of this loop goes over one record, or to the newest: hostile memory cannot hold it for long.
        for _ in 0..<2 * capacity / 8 {
            let written = written
            guard written != position else { return nil }
            guard written > position, written % 8 == 0 else {
                skip(to: written & ~7, isFault: true)
                return nil
            }
            guard written - position <= UInt64(capacity) else {
                skipOverwritten()
                continue
            }
            let place = Int(truncatingIfNeeded: position) & (capacity - 1)
            let record = memory + CaptureLayout.recordsOffset + place
            // The writer may change anything while it is read: each field is read once, and believed after a check.
            let length = Int(record.load(fromByteOffset: CaptureLayout.Record.lengthOffset, as: UInt32.self))
            let kind = record.load(fromByteOffset: CaptureLayout.Record.kindOffset, as: UInt8.self)
            let isWhole = length >= 8 && length % 8 == 0 && length <= capacity - place && length <= written - position
            let isFrame = kind == CaptureLayout.Record.frame || kind == CaptureLayout.Record.outer
            let frame = isWhole && isFrame ? frame(record, length, kind) : nil
            atomicMemoryFence(ordering: .acquiring)
            let reserved = CaptureLayout.counter(memory, CaptureLayout.reservedOffset).pointee.load(ordering: .relaxed)
            // What was copied may have been overwritten meanwhile.
            guard reserved >= position, reserved - position <= UInt64(capacity) else {
                if reserved < position { skip(to: self.written & ~7, isFault: true) } else { skipOverwritten() }
                continue
            }
            guard isWhole, kind == CaptureLayout.Record.gap || frame != nil else {
                skip(to: written, isFault: true)
                continue
            }
            position += UInt64(length)
            guard let frame else { continue }
            if let expected, frame.sequence > expected { lost &+= frame.sequence - expected }
            expected = frame.sequence &+ 1
            return frame
        }
        return nil
    }

    /// Goes on with the newest frames. Those before them are counted as lost.
    mutating func giveUp() { skipOverwritten() }

    /// Goes on with the newest frames. The overwritten ones are counted at once, because nothing may follow them.
    private mutating func skipOverwritten() {
        // Each frame is counted before it is written: the last one of the count may not be there yet.
        let count = frames
        atomicMemoryFence(ordering: .acquiring)
        skip(to: written & ~7, isFault: false)
        guard let expected, count > expected &+ 1 else { return }
        lost &+= count - 1 - expected
        self.expected = count - 1
    }

    private mutating func skip(to place: UInt64, isFault: Bool) {
        position = place
        if isFault {
            faults &+= 1
            expected = nil
        }
    }

    private func frame(_ record: UnsafeRawPointer, _ length: Int, _ kind: UInt8) -> CapturedFrame? {
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
                UnsafeRawBufferPointer(start: record + CaptureLayout.Record.headerLength, count: octets)),
            failure: record.load(fromByteOffset: CaptureLayout.Record.failureOffset, as: Int32.self),
            worker: worker,
            sequence: record.load(fromByteOffset: CaptureLayout.Record.sequenceOffset, as: UInt64.self),
            observers: record.load(fromByteOffset: CaptureLayout.Record.observersOffset, as: UInt32.self),
            generation: record.load(fromByteOffset: CaptureLayout.Record.generationOffset, as: UInt64.self),
            isOuter: kind == CaptureLayout.Record.outer)
    }
}
