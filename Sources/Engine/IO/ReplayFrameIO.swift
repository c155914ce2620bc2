import Wire

/// The same batch again and again, and writes that go nowhere. It measures the cost of forwarding alone.
///
/// Frames are packed like those of a device. Parts that forwarding may have edited are restored before a frame comes
/// again.
public struct ReplayFrameIO: FrameIO, ~Copyable {
    private let interface: Int
    private let frames: UnsafeMutableBufferPointer<ReceivedFrame>
    private let memory: UnsafeMutableRawPointer
    private let original: UnsafeMutableRawPointer
    /// The number of writes so far.
    public private(set) var sent = 0
    /// The octets at a frame's beginning that forwarding may edit: a `virtio_net_hdr`, Ethernet, IPv6 and TCP.
    private static let edited = 96

    /// - Parameter frames: At most `FrameBatch.capacity`, each behind its `virtio_net_hdr`.
    public init(interface: Int, frames bytes: [[UInt8]]) {
        self.interface = interface
        let bytes = bytes.prefix(FrameBatch.capacity).map { $0.prefix(frameSlotSize) }
        let size = bytes.reduce(Self.edited) { $0 + ($1.count + 63) & ~63 }
        memory = .allocate(byteCount: size, alignment: 4_096)
        original = .allocate(byteCount: size, alignment: 4_096)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        frames = .allocate(capacity: bytes.count)
        var used = 0
        for (index, frame) in bytes.enumerated() {
            let slot = memory + used
            UnsafeMutableRawBufferPointer(start: slot, count: frame.count).copyBytes(from: frame)
            frames.initializeElement(at: index, to: ReceivedFrame(start: slot, length: frame.count))
            used += (frame.count + 63) & ~63
        }
        original.copyMemory(from: memory, byteCount: size)
    }

    deinit {
        frames.deallocate()
        memory.deallocate()
        original.deallocate()
    }

    /// The monotonic clock.
    public func now() -> MonotonicTime { .now }

    /// Always one interface.
    public mutating func wait(_ limit: WaitLimit) -> Int { 1 }

    /// The batch in its first state.
    public mutating func receive(_ position: Int, into batch: inout FrameBatch) {
        batch.interface = interface
        batch.truncated = 0
        batch.closed = false
        batch.count = frames.count
        for index in 0..<frames.count {
            let start = frames[index].start
            let kept = original + (start - memory)
            for offset in stride(from: 0, to: Self.edited, by: 32) {
                start.storeBytes(
                    of: kept.load(fromByteOffset: offset, as: SIMD4<UInt64>.self), toByteOffset: offset,
                    as: SIMD4<UInt64>.self)
            }
            batch.frames[index] = frames[index]
        }
    }

    /// Counts the writes.
    public mutating func send(_ list: borrowing WriteList) { sent &+= list.count }
}

extension Worker where IO == ReplayFrameIO {
    /// Takes the batch `turns` times.
    public mutating func replay(turns: Int) {
        for _ in 0..<turns { turn(wait: false) }
    }
}
