import CLinux

/// Memory that the frames of one batch are read into, one behind another. So small frames stay in the nearest caches,
/// and a batch is bounded in octets, too.
struct FrameArena: ~Copyable {
    /// The octets that a batch may fill before it ends. One more frame fits behind them.
    static let comfortableSize = 2 << 20
    /// Frames start at multiples of a cache line.
    private static let alignment = 64

    private let base: UnsafeMutableRawPointer
    private let size: Int
    private var used = 0

    /// Maps as much memory as there is, and at least room for one frame.
    init() throws(EngineError) {
        var wanted = Self.comfortableSize
        while true {
            let size = wanted + frameSlotSize
            let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            if let memory, Int(bitPattern: memory) != -1 {
                base = memory
                self.size = size
                return
            }
            guard wanted > 0 else { throw EngineError("map memory for frames", errno: clinux_errno()) }
            wanted = wanted > frameSlotSize ? wanted / 4 : 0
        }
    }

    deinit { munmap(base, size) }

    /// Forgets all frames.
    @inline(__always)
    mutating func removeAll() { used = 0 }

    /// The place of the next frame, of `frameSlotSize` octets; nil if there is no room.
    @inline(__always)
    var next: UnsafeMutableRawPointer? { used &+ frameSlotSize <= size ? base + used : nil }

    /// Keeps the first `length` octets of the last `next`.
    @inline(__always)
    mutating func keep(_ length: Int) {
        used = (used &+ length &+ (Self.alignment &- 1)) & ~(Self.alignment &- 1)
    }
}
