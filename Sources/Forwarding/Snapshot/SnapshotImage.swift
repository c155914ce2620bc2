import Wire

/// The sections of a snapshot under construction.
struct SnapshotImage: Sendable {
    var generation: UInt64 = 0
    var counterCount = 0
    var ruleCounterCount = 0
    var heartbeatToken: UInt64 = 0
    /// For each family, the engine's first address that is not link-local, by its place among the addresses.
    var fallback: [AddressFamily: UInt32] = [:]
    /// The slots in the image, by their groups.
    var dealtGroups: [InstanceGroup: GroupSlots] = [:]
    /// The room behind what each section has.
    var room = SnapshotRoom.none
    private var sections = [[UInt64]](repeating: [], count: Section.allCases.count)

    subscript(section: Section) -> [UInt64] {
        get { sections[section.rawValue] }
        _modify { yield &sections[section.rawValue] }
    }

    /// The snapshot: header, section table, sections, each at a multiple of a cache line.
    var bytes: [UInt8] {
        let align = { (size: Int) in (size + Layout.line - 1) / Layout.line * Layout.line }
        let start = align(Layout.preambleSize)
        let rooms = Section.allCases.map { align(room.octets(of: $0, holding: self[$0].count * 8)) }
        let size = rooms.reduce(start, +)
        var preamble: [UInt64] = [
            Layout.magic, UInt64(low: Layout.version, high: UInt32(Section.allCases.count)), generation, UInt64(size),
            UInt64(counterCount), UInt64(low: fallback[.ipv4] ?? Layout.none, high: fallback[.ipv6] ?? Layout.none),
            heartbeatToken, UInt64(ruleCounterCount),
        ]
        var offset = start
        for section in Section.allCases {
            preamble += [UInt64(offset), UInt64(self[section].count * 8 / section.stride)]
            offset += rooms[section.rawValue]
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        for (words, room) in zip([preamble] + sections, [start] + rooms) {
            // The host is little-endian, like every machine that this code reads the offload headers of TAP devices on.
            words.withUnsafeBytes { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: repeatElement(0, count: room - words.count * 8))
        }
        return bytes
    }
}

/// A snapshot with memory of its own, for tables outside shared memory.
public final class SnapshotBuffer: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer
    /// Valid as long as this object lives.
    public let snapshot: Snapshot

    /// Copies and checks the output of `TableCompiler.compile`.
    ///
    /// - Throws: `SnapshotError`: the first rule that the bytes break.
    public init(copying bytes: [UInt8]) throws(SnapshotError) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: Layout.line)
        memory.copyBytes(from: bytes)
        do {
            snapshot = try Snapshot(validating: UnsafeRawBufferPointer(memory))
        } catch {
            memory.deallocate()
            throw error
        }
        self.memory = memory
    }

    deinit { memory.deallocate() }
}
