/// The options of an IPv4 header (RFC 791, section 3.1), one after the other.
///
///     type 0: end of list | type 1: no operation | any other: type (1), length (1, both included), data
///
/// The type's most significant bit says that fragments copy the option.
public struct IPv4Options: ~Escapable {
    /// The fields of an option.
    enum Field {
        /// The octets of type and length.
        static let minimumLength = 2
        static let type = HeaderField<UInt8>(0)
        static let length = HeaderField<UInt8>(1)
        /// The place of the next address in a source route, in octets, counted from 1 at the type.
        static let pointer = HeaderField<UInt8>(2)
    }

    /// One option.
    public struct Option: Sendable, Equatable {
        /// The option's type, with the copied flag.
        public var type: UInt8
        /// Where it begins in the bytes that the options were read from.
        public var offset: Int
        /// Its length in octets, type and length included.
        public var length: Int

        /// True if every fragment carries the option.
        public var isCopied: Bool { type & 0x80 != 0 }

        static let endOfList: UInt8 = 0
        static let noOperation: UInt8 = 1
        private static let looseSourceRoute: UInt8 = 131
        private static let strictSourceRoute: UInt8 = 137

        /// Loose (131) or strict (137) source and record route.
        public var isSourceRoute: Bool { type == Self.looseSourceRoute || type == Self.strictSourceRoute }
    }

    let bytes: RawSpan
    var offset: Int
    let end: Int
    /// True if an option's length lies beyond the header or below two.
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
            let type = bytes.unchecked(Field.type, at: offset)
            if type == Option.endOfList { break }
            if type == Option.noOperation {
                offset += 1
                continue
            }
            guard end - offset >= Field.minimumLength else {
                isMalformed = true
                break
            }
            let length = Int(bytes.unchecked(Field.length, at: offset))
            guard length >= Field.minimumLength, length <= end - offset else {
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
