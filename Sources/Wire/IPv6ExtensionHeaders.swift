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
///
/// A routing header with segments left is passed: the packet is on its way to the destination in its IPv6 header, which is
/// a legal stop of it (RFC 8754, RFC 6275). Its end, which transport checksums cover, stands in the routing header.
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
        /// A routing header of type 0 with segments left (RFC 5095).
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
    /// What the fragments of a datagram have in common, where this is one.
    private(set) var identification: UInt32 = 0
    /// True where more fragments follow.
    private(set) var moreFragments = false
    /// What stands among the headers that makes an address of the IPv6 header other than it seems.
    private(set) var bindings = AddressBindings()

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

    /// True for destination options among which is a home address (RFC 6275, section 6.3).
    private func hasHomeAddress(_ bytes: RawSpan, _ range: Range<Int>) -> Bool {
        var place = range.lowerBound
        while place < range.upperBound {
            let type = bytes.uncheckedUInt8(at: place)
            if type == 0xC9 { return true }
            // One octet of padding has no length.
            if type == 0 {
                place &+= 1
                continue
            }
            guard place &+ 1 < range.upperBound else { return false }
            place &+= 2 &+ Int(bytes.uncheckedUInt8(at: place &+ 1))
        }
        return false
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
                guard bytes.uncheckedUInt8(at: offset &+ 2) != 0 else { return failure = .sourceRouted }
                bindings.insert(.routed)
            case 51:
                bindings.insert(.authenticated)
            case 60 where hasHomeAddress(bytes, offset &+ 2..<offset &+ length):
                bindings.insert(.away)
            case 44:
                guard !hasFragmentHeader else { return failure = .misplaced }
                hasFragmentHeader = true
                let place = bytes.uncheckedUInt16(at: offset &+ 2)
                fragmentOffset = Int(place & 0xFFF8)
                identification =
                    UInt32(bytes.uncheckedUInt16(at: offset &+ 4)) << 16
                    | UInt32(bytes.uncheckedUInt16(at: offset &+ 6))
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

/// What engines pass of the headers between a network header and the protocol of a packet: IPv6's extension headers, and
/// authentication headers behind either.
public enum HeaderChain {
    /// The most headers.
    public static let maximumCount = IPv6ExtensionHeaders.maximumCount
    /// The most octets of them together.
    public static let maximumLength = IPv6ExtensionHeaders.maximumLength

    /// True for the protocol numbers of headers that engines look behind.
    public static func isStepped(over number: UInt8, _ family: AddressFamily) -> Bool {
        family == .ipv6 ? IPv6ExtensionHeaders.isExtension(number) : number == AuthenticationHeaders.protocolNumber
    }

    /// Why an engine would drop a packet for its headers; nil where it would not.
    ///
    /// - Parameters:
    ///   - octets: What follows the network header.
    ///   - first: The protocol number of what `octets` begin with.
    public static func fault(of octets: [UInt8], first: UInt8, _ family: AddressFamily) -> MalformedReason? {
        guard isStepped(over: first, family) else { return nil }
        let bytes = octets.span.bytes
        let failure =
            family == .ipv6
            ? IPv6ExtensionHeaders(bytes, first: first, start: 0, end: octets.count).failure
            : AuthenticationHeaders(bytes, start: 0, end: octets.count).failure
        switch failure {
        case .none: return nil
        case .truncated: return .truncatedExtensionHeader
        case .tooLong: return .headerChainTooLong
        case .misplaced: return .misplacedExtensionHeader
        case .sourceRouted: return .sourceRouted
        }
    }
}
