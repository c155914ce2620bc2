/// The chain of extension headers after an IPv6 header (RFC 8200, section 4), walked to its upper-layer protocol.
///
///     most: next header (1), length in 8 octets without the first (1), data
///     authentication (51): next header (1), length in 4 octets without the first two (1), data
///     fragment (44):
///     +---------------+---------------+-------------------------+---+-+
///     |  next header  |   reserved    |     fragment offset     |Res|M|
///     +---------------+---------------+-------------------------+---+-+
///     |                        identification                         |
///     +---------------------------------------------------------------+
///
/// The walk ends at the first header that is not an extension (ESP among them), and behind the fragment header of a
/// fragment that is not the first: what follows there is data.
struct IPv6ExtensionHeaders {
    /// More headers than this are refused.
    static let maximumCount = 8
    /// More octets of extension headers than this are refused.
    static let maximumLength = 256

    /// Why a walk ended early.
    enum Failure {
        case none
        case truncated
        case tooLong
        /// A hop-by-hop header that is not the first, or a second fragment header.
        case misplaced
        /// A routing header with segments left: the destination in the header is not the packet's own.
        case sourceRouted
    }

    /// The number of the header at `offset`.
    private(set) var nextHeader: UInt8
    /// The offset after the headers walked.
    private(set) var offset: Int
    private(set) var failure = Failure.none
    private(set) var fragment = FragmentPosition.whole
    /// The protocol that all fragments of the datagram name, where this is a fragment (RFC 8200, section 4.5).
    private(set) var fragmentProtocol: UInt8 = 0
    /// In octets, where this is a fragment.
    private(set) var fragmentOffset = 0
    /// True where more fragments follow.
    private(set) var moreFragments = false

    /// True for the numbers that name an extension header which the walk steps over.
    @inline(__always)
    static func isExtension(_ number: UInt8) -> Bool {
        switch number {
        case 0, 43, 44, 51, 60, 135, 139, 140: true
        default: false
        }
    }

    /// Walks from `start`, where the header `first` begins, to no further than `end`, which is within `bytes`.
    init(_ bytes: RawSpan, first: UInt8, start: Int, end: Int) {
        nextHeader = first
        offset = start
        guard Self.isExtension(first) else { return }
        walk(bytes, start: start, end: end)
    }

    private mutating func walk(_ bytes: RawSpan, start: Int, end: Int) {
        var count = 0
        var hasFragmentHeader = false
        while Self.isExtension(nextHeader) {
            guard end &- offset >= 8 else { return failure = .truncated }
            let number = nextHeader
            let word = Int(bytes.uncheckedUInt8(at: offset &+ 1))
            let length =
                switch number {
                case 44: 8
                case 51: (word &+ 2) << 2
                default: (word &+ 1) << 3
                }
            count += 1
            guard count <= Self.maximumCount, offset &- start &+ length <= Self.maximumLength else {
                return failure = .tooLong
            }
            guard length <= end &- offset else { return failure = .truncated }
            nextHeader = bytes.uncheckedUInt8(at: offset)
            switch number {
            case 0 where count > 1:
                return failure = .misplaced
            case 43 where bytes.uncheckedUInt8(at: offset &+ 3) != 0:
                return failure = .sourceRouted
            case 44:
                guard !hasFragmentHeader else { return failure = .misplaced }
                hasFragmentHeader = true
                let place = bytes.uncheckedUInt16(at: offset &+ 2)
                fragmentOffset = Int(place & 0xFFF8)
                moreFragments = place & 1 != 0
                fragment = fragmentOffset != 0 ? .later : moreFragments ? .first : .whole
                fragmentProtocol = nextHeader
                if fragment == .later {
                    offset &+= length
                    return
                }
            default:
                break
            }
            offset &+= length
        }
    }
}
