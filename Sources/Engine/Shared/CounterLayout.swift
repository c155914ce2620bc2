import Forwarding

/// Where each counter lies in the counters' shared memory.
///
///     page 0                header: magic, version, blocks, reasons, interfaces, entries, stride, rules (UInt64 each)
///     4096 + block*stride   the block of one worker of one engine:
///       0                   generation of the table in use, turns, heartbeats, how frames are written (1: io_uring,
///                           2: one by one), the errno that io_uring was refused or failed with, frames coalesced with
///                           others, queues that turned out to be gone, then reserved (64 octets)
///       64                  packets dropped, one UInt64 for each `DropReason`, rounded up to 64 octets
///       …                   the last frame dropped for each `DropReason`: see `DroppedFrame` (64 octets)
///       …                   each interface: rx packets, bytes, drops, tx packets, bytes, drops, 2 reserved (64 octets)
///       …                   each entry: packets, bytes (16 octets)
///       …                   each rule of access lists, and each list's default: packets, bytes (16 octets)
///
/// Each block starts on a page of its own and is written by its worker alone; readers sum. All values are UInt64 in the
/// machine's byte order, loaded and stored whole. The reader takes the layout from what it asked for, never from the
/// memory: the process that writes it reads hostile bytes.
public struct CounterLayout: Sendable, Hashable {
    /// The number of blocks: one for each worker of each engine that may live at the same time.
    public let workers: Int
    /// The largest number of blocks.
    public static let mostWorkers = 4_096
    /// The number of interfaces in each block.
    public let interfaces: Int
    /// The number of entries in each block: one more than the largest `Entry.counter` of any table that is used with
    /// it.
    public let entries: Int
    /// The number of rules of access lists in each block: one more than the largest counter of any list that is used with it.
    public let rules: Int

    /// The first eight octets, "tapl-cnt".
    public static let magic: UInt64 = 0x746E_632D_6C70_6174
    /// The version of this layout.
    public static let version: UInt64 = 4
    static let pageSize = 4_096
    static let interfaceSize = 64
    static let entrySize = 16

    /// - Parameters:
    ///   - entries: Rounded up to fill pages, and at least 64.
    ///   - rules: Rounded up to fill pages.
    public init(workers: Int, interfaces: Int, entries: Int, rules: Int = 0) {
        self.workers = max(1, workers)
        self.interfaces = max(0, interfaces)
        self.entries = (max(64, entries) + 255) & ~255
        self.rules = (max(0, rules) + 255) & ~255
    }

    static let dropsOffset = 64
    static let lastsOffset = dropsOffset + (DropReason.count * 8 + 63) & ~63
    var interfacesOffset: Int { Self.lastsOffset + DropReason.count * DroppedFrame.size }
    var entriesOffset: Int { interfacesOffset + interfaces * Self.interfaceSize }
    var rulesOffset: Int { entriesOffset + entries * Self.entrySize }
    var stride: Int { (rulesOffset + rules * Self.entrySize + Self.pageSize - 1) & ~(Self.pageSize - 1) }

    /// The size of the whole memory, in octets.
    public var size: Int { Self.pageSize + workers * stride }

    /// The offset of a worker's block, in octets.
    func block(_ worker: Int) -> Int { Self.pageSize + worker * stride }

    /// Writes the header into fresh, zeroed memory of `size` octets.
    public func initialize(_ memory: UnsafeMutableRawPointer) {
        let header = memory.assumingMemoryBound(to: UInt64.self)
        header[0] = Self.magic
        header[1] = Self.version
        header[2] = UInt64(workers)
        header[3] = UInt64(DropReason.count)
        header[4] = UInt64(interfaces)
        header[5] = UInt64(entries)
        header[6] = UInt64(stride)
        header[7] = UInt64(rules)
    }

    /// The layout in the header; nil if it is not of this version, or needs more than `size` octets.
    public init?(reading memory: UnsafeRawPointer, size: Int) {
        guard size >= Self.pageSize else { return nil }
        // Each is read once, because another engine may write there meanwhile.
        let header = (0..<8).map { CounterReader.load(memory + $0 * 8) }
        guard header[0] == Self.magic, header[1] == Self.version,
            header[3] == UInt64(DropReason.count),
            (1...UInt64(Self.mostWorkers)).contains(header[2]), header[4] <= 4_096, header[5] <= 1 << 28,
            header[7] <= 1 << 28
        else { return nil }
        self.init(
            workers: Int(header[2]), interfaces: Int(header[4]), entries: Int(header[5]), rules: Int(header[7]))
        guard header[5] == UInt64(entries), header[6] == UInt64(stride), header[7] == UInt64(rules), self.size <= size
        else { return nil }
    }
}
