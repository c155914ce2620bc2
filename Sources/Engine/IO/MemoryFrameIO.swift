import Wire

/// Frames from memory and to memory: the whole forwarding path without an operating system. For tests and measurements.
public struct MemoryFrameIO: FrameIO, ~Copyable {
    /// A frame with its `virtio_net_hdr`, on an interface.
    public struct Frame: Sendable, Hashable {
        /// The index of the interface.
        public var interface: Int
        /// The `virtio_net_hdr` and the frame.
        public var bytes: [UInt8]

        /// Memberwise.
        public init(interface: Int, bytes: [UInt8]) {
            self.interface = interface
            self.bytes = bytes
        }
    }

    /// The time of the clock, in nanoseconds.
    public var time = MonotonicTime(nanoseconds: 1_000_000_000)
    /// The frames that are still to be received, in order.
    public var input: [Frame] = []
    /// The frames that were sent, in order.
    public private(set) var output: [Frame] = []
    /// The errno that writes to an interface fail with.
    public var failures: [Int: Int32] = [:]
    /// The interfaces whose devices finish what is in tunnels.
    public var underlays: Set<Int> = []
    /// False counts writes and does not keep them.
    public var keepsOutput = true
    /// The number of writes so far.
    public private(set) var sent = 0
    private let arena: UnsafeMutableRawPointer
    private static let arenaSize = 2 * 1_024 * 1_024

    /// Has nothing to receive.
    public init() {
        arena = .allocate(byteCount: Self.arenaSize, alignment: 4_096)
    }

    deinit { arena.deallocate() }

    /// `time`.
    public func now() -> MonotonicTime { time }

    /// 1 while there is input.
    public mutating func wait(_ limit: WaitLimit) -> Int { input.isEmpty ? 0 : 1 }

    /// The frames up to the first from another interface, one behind another as in a device's batch.
    public mutating func receive(_ position: Int, into batch: inout FrameBatch) {
        batch.interface = input.first?.interface ?? 0
        batch.count = 0
        batch.truncated = 0
        batch.closed = false
        var taken = 0
        var used = 0
        while taken < input.count, batch.count < FrameBatch.capacity, input[taken].interface == batch.interface,
            used <= Self.arenaSize - frameSlotSize
        {
            let bytes = input[taken].bytes
            taken += 1
            guard bytes.count < frameSlotSize else {
                batch.truncated += 1
                continue
            }
            let slot = arena + used
            bytes.withUnsafeBytes {
                slot.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(slot), byteCount: $0.count)
            }
            batch.frames[batch.count] = ReceivedFrame(start: slot, length: bytes.count)
            batch.count += 1
            used += (bytes.count + 63) & ~63
        }
        input.removeFirst(taken)
    }

    /// True for `underlays`.
    public func finishesTunnels(on interface: Int) -> Bool { underlays.contains(interface) }

    /// Appends to `output`.
    public mutating func send(_ list: borrowing WriteList) {
        sent += list.count
        for index in 0..<list.count {
            let write = list.writes + index
            if let failure = failures[write.pointee.interface] {
                write.pointee.failure = failure
                continue
            }
            guard keepsOutput else { continue }
            let header = UnsafeRawBufferPointer(start: write.pointee.header, count: write.pointee.headerLength)
            let body = UnsafeRawBufferPointer(start: write.pointee.body, count: write.pointee.bodyLength)
            output.append(Frame(interface: write.pointee.interface, bytes: Array(header) + Array(body)))
        }
    }

    /// Removes and returns the sent frames.
    public mutating func takeOutput() -> [Frame] {
        defer { output = [] }
        return output
    }
}
