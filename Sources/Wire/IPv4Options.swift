/// The options of an IPv4 header (RFC 791, section 3.1), one after the other.
///
///     type 0: end of list | type 1: no operation | any other: type (1), length (1, both included), data
///
/// The type's most significant bit says that fragments copy the option.
public struct IPv4Options: ~Escapable {
    /// One option.
    public struct Option: Sendable, Equatable {
        /// The option's type, with the copied flag.
        public var type: UInt8
        /// Where it begins in the bytes that the options were read from.
        public var offset: Int
        /// Its length in octets, type and length included.
        public var length: Int

        /// True where every fragment carries the option.
        public var isCopied: Bool { type & 0x80 != 0 }
        /// Loose (131) or strict (137) source and record route.
        public var isSourceRoute: Bool { type == 131 || type == 137 }
    }

    let bytes: RawSpan
    var offset: Int
    let end: Int
    /// True where an option's length lies beyond the header or below two.
    public private(set) var isMalformed = false

    /// The options in `range`, which is cut to `bytes`.
    @_lifetime(copy bytes)
    public init(_ bytes: RawSpan, _ range: Range<Int>) {
        self.bytes = bytes
        offset = max(0, range.lowerBound)
        end = min(range.upperBound, bytes.byteCount)
    }

    /// The next option; nil at the end of the list, and where the list cannot be read any further.
    public mutating func next() -> Option? {
        while offset < end {
            let type = bytes.uncheckedUInt8(at: offset)
            if type == 0 { break }
            if type == 1 {
                offset += 1
                continue
            }
            guard end - offset >= 2 else {
                isMalformed = true
                break
            }
            let length = Int(bytes.uncheckedUInt8(at: offset + 1))
            guard length >= 2, length <= end - offset else {
                isMalformed = true
                break
            }
            defer { offset += length }
            return Option(type: type, offset: offset, length: length)
        }
        offset = end
        return nil
    }
}
