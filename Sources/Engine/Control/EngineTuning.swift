import Wire

/// How an engine moves frames, as the file has it.
public struct EngineTuning: Sendable, Hashable {
    /// How a batch of frames is written.
    public enum Writing: UInt8, Sendable, CaseIterable {
        /// By io_uring where the kernel allows it, else one by one.
        case automatic
        /// By io_uring: one system call for all writes of a batch.
        case ring
        /// One system call for each write.
        case plain
    }

    /// How a batch is written.
    public var writing = Writing.automatic
    /// Whether frames of one flow that came in one batch are joined into one segmented frame where a kernel would.
    public var coalesces = true
    /// Whether UDP datagrams may be joined, too: only where the kernel took UDP segmentation for every device.
    public var joinsUDP = true
    /// How long a worker looks for more frames before it sleeps; zero: not at all. The engine takes whole microseconds.
    public var spin = Duration.zero
    /// Octets of segmented frames after which a batch ends. The engine sets it by its machine; the protocol does not carry it.
    var segmentedOctets = CacheSize.usual

    /// The kernel's own choice of everything.
    public init() {}

    /// As the control protocol carries it.
    var word: UInt64 {
        UInt64(writing.rawValue) | (coalesces ? 1 << 8 : 0) | (joinsUDP ? 1 << 9 : 0)
            | UInt64(UInt32(clamping: spin.wholeMicroseconds)) << 32
    }

    /// Reads what `word` wrote; an unknown way of writing is `automatic`.
    init(word: UInt64) {
        writing = Writing(rawValue: UInt8(truncatingIfNeeded: word)) ?? .automatic
        coalesces = word >> 8 & 1 != 0
        joinsUDP = word >> 9 & 1 != 0
        spin = .microseconds(Int64(word >> 32))
    }
}
