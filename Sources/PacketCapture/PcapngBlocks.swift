import Reporting

/// The frames of blocks, options and records of pcapng, one behind another (draft-ietf-opsawg-pcapng, sections 3.1 and 3.5).
///
///     +---------------------------------------------------------------+
///     |                          Block Type                           |
///     +---------------------------------------------------------------+
///     |                      Block Total Length                       |
///     +---------------------------------------------------------------+
///     /              Block Body, padded to 32 bits                    /
///     +---------------------------------------------------------------+
///     |                      Block Total Length                       |
///     +---------------------------------------------------------------+
///
///     +-------------------------------+-------------------------------+
///     |          Option Code          |         Option Length         |
///     +-------------------------------+-------------------------------+
///     /              Option Value, padded to 32 bits                  /
///     +---------------------------------------------------------------+
///
/// All integers are little-endian, on every machine.
struct PcapngBlocks: Sendable {
    /// Whole blocks, unless one is being written.
    var octets: [UInt8] = []

    /// The types of blocks.
    enum Kind: UInt32 {
        case section = 0x0A0D_0D0A
        case interface = 1
        case names = 4
        case statistics = 5
        case packet = 6
        case secrets = 10
    }

    /// A block whose body is what `write` appends.
    mutating func block(_ kind: Kind, _ write: (inout PcapngBlocks) -> Void) {
        let start = octets.count
        append(kind.rawValue)
        append(UInt32(0))
        write(&self)
        close(start)
    }

    /// Writes the length of the block that begins at `start` at both of its places.
    mutating func close(_ start: Int) {
        let length = UInt32(octets.count - start + 4)
        append(length)
        octets.withUnsafeMutableBytes { octets in
            octets.storeBytes(of: length.littleEndian, toByteOffset: start + 4, as: UInt32.self)
        }
    }

    /// Integers, little-endian.
    mutating func append<let count: Int>(_ words: InlineArray<count, UInt32>) {
        var words = words
        for index in words.indices { words[index] = words[index].littleEndian }
        withUnsafeBytes(of: words) { octets.append(contentsOf: $0) }
    }

    /// An option, or a record of a name resolution block, which has the same shape.
    ///
    /// - Parameter value: At most 65,535 octets (checked).
    mutating func option(_ code: UInt16, _ value: [UInt8]) {
        append(code)
        append(UInt16(value.count))
        append(padding: value)
    }

    /// An option whose value is an integer.
    mutating func option(_ code: UInt16, _ value: some FixedWidthInteger & UnsignedInteger) {
        append(code)
        append(UInt16(value.bitWidth / 8))
        append(value)
        pad(value.bitWidth / 8)
    }

    /// A text as an option. Control characters become U+FFFD, because readers print it to terminals; an empty text is left out.
    mutating func option(_ code: UInt16, text: String) {
        guard !text.isEmpty else { return }
        option(code, PcapngText.octets(text))
    }

    /// A comment, as a line: scapy refuses a comment without a line's end, and the draft lets it have one.
    mutating func option(comment: String) {
        guard !comment.isEmpty else { return }
        option(1, PcapngText.octets(comment) + [0x0A])
    }

    /// The end of the options.
    mutating func endOfOptions() { append(UInt32(0)) }

    /// An integer, little-endian.
    mutating func append(_ value: some FixedWidthInteger & UnsignedInteger) {
        withUnsafeBytes(of: value.littleEndian) { octets.append(contentsOf: $0) }
    }

    /// Octets, and zeros up to the next multiple of four.
    mutating func append(padding value: some Collection<UInt8>) {
        octets.append(contentsOf: value)
        pad(value.count)
    }

    private mutating func pad(_ length: Int) {
        for _ in 0..<(-length & 3) { octets.append(0) }
    }

    /// The octets of the whole blocks among the first `count` octets of `octets`, which begin with a block.
    static func wholeBlocks(_ octets: [UInt8], first count: Int) -> Int {
        var end = 0
        while end + 12 <= count {
            let length = (0..<4).reduce(0) { $0 | Int(octets[end + 4 + $1]) << (8 * $1) }
            guard length >= 12, end + length <= count else { break }
            end += length
        }
        return end
    }
}

/// Texts in a capture.
enum PcapngText {
    /// The most octets of a text. An option holds 65,535; readers copy texts into buffers of their own.
    static let longest = 4096

    /// UTF-8 without characters that a terminal would obey.
    static func octets(_ text: String) -> [UInt8] {
        let plain = Array(text.utf8)
        // Most texts are plain ASCII, and there may be some with every packet.
        if plain.count <= longest, plain.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return plain }
        return Array(HarmlessText.reading(plain, most: longest).utf8)
    }
}
