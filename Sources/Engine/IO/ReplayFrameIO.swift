/// The same batch over and over, and writes that go nowhere: what forwarding itself costs.
public struct ReplayFrameIO: FrameIO, ~Copyable {
    private let interface: Int
    private let frames: UnsafeMutableBufferPointer<ReceivedFrame>
    private let memory: UnsafeMutableRawPointer
    /// Writes so far.
    public private(set) var sent = 0

    /// - Parameter frames: At most `FrameBatch.capacity`, each behind its `virtio_net_hdr`.
    public init(interface: Int, frames bytes: [[UInt8]]) {
        self.interface = interface
        let count = min(bytes.count, FrameBatch.capacity)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(1, count) * frameSlotSize, alignment: 4_096)
        self.memory = memory
        frames = .allocate(capacity: count)
        for (index, frame) in bytes.prefix(count).enumerated() {
            let slot = memory + index * frameSlotSize
            UnsafeMutableRawBufferPointer(start: slot, count: frameSlotSize).copyBytes(
                from: frame.prefix(frameSlotSize))
            frames.initializeElement(at: index, to: ReceivedFrame(start: slot, length: min(frame.count, frameSlotSize)))
        }
    }

    deinit {
        frames.deallocate()
        memory.deallocate()
    }

    /// The monotonic clock.
    public func now() -> UInt64 { monotonicNanoseconds() }

    /// Always one interface.
    public mutating func wait(milliseconds: Int32) -> Int { 1 }

    /// The batch.
    public mutating func receive(_ turn: Int, into batch: inout FrameBatch) {
        batch.interface = interface
        batch.truncated = 0
        batch.closed = false
        batch.count = frames.count
        for index in 0..<frames.count { batch.frames[index] = frames[index] }
    }

    /// Counts.
    public mutating func send(_ list: borrowing WriteList) { sent &+= list.count }
}

extension Worker where IO == ReplayFrameIO {
    /// Takes the batch `turns` times.
    public mutating func replay(turns: Int) {
        for _ in 0..<turns { turn(wait: false) }
    }
}
