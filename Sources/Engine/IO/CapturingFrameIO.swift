import Wire

/// A capture point: a frame I/O that does what its base does, and puts a copy of every frame into a capture ring.
///
/// Received frames are captured before the engine may edit them, in the order of the batch. Frames to be sent are captured
/// with the time at which they were handed over, in the order of the list; those that the base could not write are left
/// out, because the engine counts them as dropped. The ring never makes the engine wait (`CaptureWriter`).
///
/// A worker is specialised for the type of its frame I/O: one without a capture point has no code for capturing.
public struct CapturingFrameIO<Base: FrameIO & ~Copyable>: FrameIO, ~Copyable {
    /// What reads and writes the frames.
    public var base: Base
    private var writer: CaptureWriter

    /// - Parameters:
    ///   - base: What reads and writes the frames.
    ///   - writer: The ring that copies go to.
    public init(_ base: consuming Base, into writer: consuming CaptureWriter) {
        self.base = base
        self.writer = writer
    }

    /// The base's clock.
    public func now() -> MonotonicTime { base.now() }

    /// Waits as the base does.
    public mutating func wait(_ limit: WaitLimit) -> Int { base.wait(limit) }

    /// Reads as the base does, and captures what it has read.
    public mutating func receive(_ position: Int, into batch: inout FrameBatch) {
        base.receive(position, into: &batch)
        guard batch.count > 0 else { return }
        let time = base.now()
        for index in 0..<batch.count {
            let frame = batch.frames[index]
            writer.put(
                .received, interface: batch.interface, time: time, header: frame.start, headerLength: frame.length,
                body: frame.start, bodyLength: 0)
        }
    }

    /// Writes as the base does, and captures what was written.
    public mutating func send(_ list: borrowing WriteList) {
        let time = base.now()
        base.send(list)
        for index in 0..<list.count {
            let write = list.writes + index
            guard write.pointee.failure == 0 else { continue }
            writer.put(
                .sent, interface: write.pointee.interface, time: time, header: write.pointee.header,
                headerLength: write.pointee.headerLength, body: write.pointee.body,
                bodyLength: write.pointee.bodyLength)
        }
    }
}
