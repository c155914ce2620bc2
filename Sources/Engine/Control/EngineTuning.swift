import Wire

/// How an engine moves frames, as the file says.
public struct EngineTuning: Sendable, Hashable {
    /// How a batch of frames is written.
    public enum Writing: UInt8, Sendable, CaseIterable {
        /// With io_uring if the kernel permits it, else one by one.
        case automatic
        /// With io_uring: one system call for all writes of a batch.
        case ring
        /// One system call for each write.
        case plain
    }

    /// How a batch is written.
    public var writing = Writing.automatic
    /// Whether frames of one flow in one batch are coalesced into one segmented frame, as a kernel would do (GRO).
    public var coalesces = true
    /// Whether UDP datagrams may be coalesced, too. This needs UDP segmentation on every device.
    public var coalescesUDP = true
    /// How long a worker polls for more frames before it sleeps; zero means not at all. The engine takes whole microseconds.
    public var spin = Duration.zero
    /// A batch ends after so many octets of segmented frames. The engine sets it by its machine, and the protocol does
    /// not carry it.
    var segmentedOctets = CacheSize.usual

    /// The defaults.
    public init() {}

    /// The value in the control protocol.
    var word: UInt64 {
        UInt64(writing.rawValue) | (coalesces ? 1 << 8 : 0) | (coalescesUDP ? 1 << 9 : 0)
            | UInt64(UInt32(clamping: spin.wholeMicroseconds)) << 32
    }

    /// Reads the output of `word`. An unknown way of writing becomes `automatic`.
    init(word: UInt64) {
        writing = Writing(rawValue: UInt8(truncatingIfNeeded: word)) ?? .automatic
        coalesces = word >> 8 & 1 != 0
        coalescesUDP = word >> 9 & 1 != 0
        spin = .microseconds(Int64(word >> 32))
    }
}
