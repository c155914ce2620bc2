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
/// The walk ends at the first header that is not an extension; ESP ends it, too. For a later fragment it ends behind
/// the fragment header: data follows there.
///
/// A routing header with segments left is passed. The packet is on its way to the destination in its IPv6 header, a
/// legal stop (RFC 8754, RFC 6275). The routing header has its final destination, which transport checksums cover.
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

    /// The fields of any header that the walk reads.
    private enum Field {
        /// The octets that every extension header has.
        static let minimumLength = 8
        static let nextHeader = HeaderField<UInt8>(0)
        /// In units of eight octets, without the first unit.
        static let headerExtensionLength = HeaderField<UInt8>(1)
        // The routing header's.
        static let routingType = HeaderField<UInt8>(2)
        static let segmentsLeft = HeaderField<UInt8>(3)
        // The fragment header's, whose length is fixed.
        static let fragmentOffsetAndM = HeaderField<UInt16>(2)
        static let identification = HeaderField<UInt32>(4)
        /// In `fragmentOffsetAndM`: the offset in octets, because its unit of eight octets is shifted by three bits.
        static let fragmentOffsetMask: UInt16 = 0xFFF8
        /// In `fragmentOffsetAndM`: more fragments follow.
        static let moreFragmentsBit: UInt16 = 1
        // Hop-by-hop and destination options begin with these two octets, behind which the options stand.
        static let firstOption = 2
    }

    /// The fields of an option of destination options.
    private enum Option {
        static let type = HeaderField<UInt8>(0)
        static let dataLength = HeaderField<UInt8>(1)
        /// The octets of type and length.
        static let minimumLength = 2
        /// One octet of padding, which has no length.
        static let pad1: UInt8 = 0
        static let homeAddress: UInt8 = 0xC9
    }

    /// The number of the header at `offset`.
    private(set) var nextHeader: UInt8
    /// The offset after the headers walked, in octets.
    private(set) var offset: Int
    private(set) var failure = Failure.none
    private(set) var fragment = FragmentPosition.whole
    /// The protocol that all fragments of the datagram name, where this is a fragment (RFC 8200, section 4.5).
    private(set) var fragmentProtocol: UInt8 = 0
    /// In octets, where this is a fragment.
    private(set) var fragmentOffset = 0
    /// The identification that all fragments of a datagram share, if this is a fragment.
    private(set) var identification: UInt32 = 0
    /// True if more fragments follow.
    private(set) var moreFragments = false
    /// The number of the first header that Linux' packet filters do not look behind (`PacketFields.filterProtocol`).
    private(set) var filterProtocol: UInt8?
    /// The headers that change the meaning of an address of the IPv6 header.
    private(set) var bindings = AddressBindings()

    /// True for the numbers that name an extension header which the walk steps over.
    @inline(__always)
    static func isExtension(_ number: UInt8) -> Bool {
        switch number {
        case IPProtocol.hopByHopOptions, IPProtocol.routing, IPProtocol.fragment, IPProtocol.authentication,
            IPProtocol.destinationOptions, IPProtocol.mobility, IPProtocol.hostIdentity, IPProtocol.shim6:
            true
        default: false
        }
    }

    /// True for the numbers that Linux' packet filters step over: `ipv6_ext_hdr` in net/ipv6/exthdrs_core.c, but for no next
    /// header, which ends every chain.
    private static func isExtensionToLinux(_ number: UInt8) -> Bool {
        switch number {
        case IPProtocol.hopByHopOptions, IPProtocol.routing, IPProtocol.fragment, IPProtocol.authentication,
            IPProtocol.destinationOptions:
            true
        default: false
        }
    }

    /// Walks from `start`, where the header `first` begins, to no further than `end`, which is within `bytes`.
    init(_ bytes: RawSpan, first: UInt8, start: Int, end: Int) {
        nextHeader = first
        offset = start
        filterProtocol = first
        guard Self.isExtension(first) else { return }
        filterProtocol = nil
        walk(bytes, start: start, end: end)
        if filterProtocol == nil, fragment != .later { filterProtocol = nextHeader }
    }

    /// True for destination options among which is a home address (RFC 6275, section 6.3).
    private func hasHomeAddress(_ bytes: RawSpan, _ range: Range<Int>) -> Bool {
        var place = range.lowerBound
        while place < range.upperBound {
            let type = bytes.unchecked(Option.type, at: place)
            if type == Option.homeAddress { return true }
            if type == Option.pad1 {
                place &+= 1
                continue
            }
            guard place &+ Option.minimumLength <= range.upperBound else { return false }
            place &+= Option.minimumLength &+ Int(bytes.unchecked(Option.dataLength, at: place))
        }
        return false
    }

    private mutating func walk(_ bytes: RawSpan, start: Int, end: Int) {
        var count = 0
        var hasFragmentHeader = false
        while Self.isExtension(nextHeader) {
            guard end &- offset >= Field.minimumLength else { return failure = .truncated }
            let number = nextHeader
            let said = bytes.unchecked(Field.headerExtensionLength, at: offset)
            let length =
                switch number {
                case IPProtocol.fragment: Field.minimumLength
                case IPProtocol.authentication: AuthenticationHeaders.Field.length(said)
                default: (Int(said) &+ 1) << 3
                }
            count += 1
            guard count <= Self.maximumCount, offset &- start &+ length <= Self.maximumLength else {
                return failure = .tooLong
            }
            guard length <= end &- offset else { return failure = .truncated }
            nextHeader = bytes.unchecked(Field.nextHeader, at: offset)
            // Its packet information stops at an authentication header (`nft_set_pktinfo_ipv6`: IP6_FH_F_AUTH).
            if filterProtocol == nil, number == IPProtocol.authentication || !Self.isExtensionToLinux(number) {
                filterProtocol = number
            }
            switch number {
            case IPProtocol.hopByHopOptions where count > 1:
                return failure = .misplaced
            case IPProtocol.routing where bytes.unchecked(Field.segmentsLeft, at: offset) != 0:
                guard bytes.unchecked(Field.routingType, at: offset) != 0 else { return failure = .sourceRouted }
                bindings.insert(.routed)
            case IPProtocol.authentication:
                bindings.insert(.authenticated)
            case IPProtocol.destinationOptions
            where hasHomeAddress(bytes, offset &+ Field.firstOption..<offset &+ length):
                bindings.insert(.away)
            case IPProtocol.fragment:
                guard !hasFragmentHeader else { return failure = .misplaced }
                hasFragmentHeader = true
                let place = bytes.unchecked(Field.fragmentOffsetAndM, at: offset)
                fragmentOffset = Int(place & Field.fragmentOffsetMask)
                identification = bytes.unchecked(Field.identification, at: offset)
                moreFragments = place & Field.moreFragmentsBit != 0
                fragment = fragmentOffset != 0 ? .later : moreFragments ? .first : .whole
                fragmentProtocol = nextHeader
                if fragment == .later {
                    if filterProtocol == nil, !Self.isExtensionToLinux(nextHeader) { filterProtocol = nextHeader }
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

/// The headers between a network header and a packet's protocol that engines pass: IPv6's extension headers, and
/// authentication headers of both families.
public enum HeaderChain {
    /// The most headers.
    public static let maximumCount = IPv6ExtensionHeaders.maximumCount
    /// The most octets of them together.
    public static let maximumLength = IPv6ExtensionHeaders.maximumLength

    /// True for the protocol numbers of headers that engines look behind.
    public static func isStepped(over number: UInt8, _ family: AddressFamily) -> Bool {
        family == .ipv6 ? IPv6ExtensionHeaders.isExtension(number) : number == IPProtocol.authentication
    }

    /// Why an engine would drop a packet for its headers; nil if it would not.
    ///
    /// - Parameters:
    ///   - octets: The octets behind the network header.
    ///   - first: The protocol number of the first header in `octets`.
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
