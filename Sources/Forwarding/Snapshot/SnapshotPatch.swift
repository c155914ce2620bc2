/// The bytes that make one snapshot of another: the records that differ. They take as long to write, to send and to check
/// as there are such records.
///
/// ```
/// header        magic, version, generation, generation of the snapshot that it changes, size, counters, sections,
///               counters of access lists
/// section       section | records<<32; records that it has afterwards; of each record the index, and its words
/// ```
enum SnapshotPatch {
    /// "TAPPTCH" and a zero octet.
    static let magic: UInt64 = 0x0048_4354_5050_4154
    static let headerWords = 8

    /// - Parameters:
    ///   - changed: The indices of the changed records, by section, in the order of the sections.
    static func bytes(
        of image: SnapshotImage, changed: [(section: Section, records: [Int])], generation: UInt64, basis: UInt64
    ) -> [UInt8] {
        var words: [UInt64] = [
            magic, UInt64(Layout.version), generation, basis, 0, UInt64(image.counterCount), UInt64(changed.count),
            UInt64(image.ruleCounterCount),
        ]
        for (section, records) in changed {
            let width = section.stride / 8
            words.append(UInt64(low: section.rawValue, high: records.count))
            words.append(UInt64(image[section].count / width))
            for record in records {
                words.append(UInt64(record))
                words += image[section][record * width..<(record + 1) * width]
            }
        }
        words[4] = UInt64(words.count * 8)
        return words.withUnsafeBytes { Array($0) }
    }
}

/// A section of a patch.
struct PatchedSection {
    let section: Section
    /// The records that the section has afterwards.
    let count: Int
    /// The word in the patch where its records begin.
    let first: Int
    let records: Int

    /// The word where the record at a place begins: its index.
    func word(_ place: Int) -> Int { first + place * (1 + section.stride / 8) }
}

/// A patch whose own structure was checked: every read is inside it.
struct CheckedPatch {
    let bytes: UnsafeRawBufferPointer
    let generation: UInt64
    let basis: UInt64
    let counterCount: Int
    let ruleCounterCount: Int
    private(set) var sections: [PatchedSection] = []

    func word(_ index: Int) -> UInt64 { bytes.load(fromByteOffset: index &* 8, as: UInt64.self) }

    init(_ bytes: UnsafeRawBufferPointer) throws(SnapshotError) {
        self.bytes = bytes
        guard bytes.count >= SnapshotPatch.headerWords * 8, let base = bytes.baseAddress else { throw .tooShort }
        guard UInt(bitPattern: base) % 8 == 0 else { throw .misaligned }
        func word(_ index: Int) -> UInt64 { bytes.load(fromByteOffset: index &* 8, as: UInt64.self) }
        guard word(0) == SnapshotPatch.magic else { throw .notASnapshot }
        guard word(1) == UInt64(Layout.version) else {
            throw .version(found: UInt32(truncatingIfNeeded: word(1)), supported: Layout.version)
        }
        guard word(4) <= UInt64(bytes.count), word(5) <= 1 << 24, word(7) <= 1 << 24,
            word(6) <= UInt64(Section.allCases.count)
        else {
            throw .tooShort
        }
        generation = word(2)
        basis = word(3)
        counterCount = Int(word(5))
        ruleCounterCount = Int(word(7))
        let end = Int(word(4) / 8)
        var next = SnapshotPatch.headerWords
        for _ in 0..<Int(word(6)) {
            guard next + 2 <= end, let section = Section(rawValue: Int(word(next) & 0xFFFF_FFFF)) else {
                throw .tooShort
            }
            // Each section comes once, in their order.
            guard section.rawValue > sections.last?.section.rawValue ?? -1, word(next + 1) <= UInt64(UInt32.max) else {
                throw .section(section.rawValue)
            }
            let records = Int(word(next) >> 32)
            guard records <= (end - next - 2) / (1 + section.stride / 8) else { throw .section(section.rawValue) }
            sections.append(
                PatchedSection(section: section, count: Int(word(next + 1)), first: next + 2, records: records))
            next += 2 + records * (1 + section.stride / 8)
        }
    }
}
