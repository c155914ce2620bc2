/// The authentication headers behind an IPv4 header (RFC 4302, section 2), walked to the protocol that they protect, as
/// those of IPv6 are.
///
///     next header (1), length in 4 octets without the first two (1), reserved (2), SPI, sequence number, check value
struct AuthenticationHeaders {
    /// The protocol of what is at `offset`.
    private(set) var nextHeader: UInt8
    /// The offset after the headers walked.
    private(set) var offset: Int
    private(set) var failure = IPv6ExtensionHeaders.Failure.none

    /// The protocol number.
    static let protocolNumber: UInt8 = 51

    /// Walks from `start` to no further than `end`, which is within `bytes`.
    init(_ bytes: RawSpan, start: Int, end: Int) {
        nextHeader = Self.protocolNumber
        offset = start
        walk(bytes, start: start, end: end)
    }

    private mutating func walk(_ bytes: RawSpan, start: Int, end: Int) {
        var count = 0
        while nextHeader == Self.protocolNumber {
            guard end &- offset >= 8 else { return failure = .truncated }
            let length = (Int(bytes.uncheckedUInt8(at: offset &+ 1)) &+ 2) << 2
            count += 1
            guard count <= IPv6ExtensionHeaders.maximumCount,
                offset &- start &+ length <= IPv6ExtensionHeaders.maximumLength
            else { return failure = .tooLong }
            guard length <= end &- offset else { return failure = .truncated }
            nextHeader = bytes.uncheckedUInt8(at: offset)
            offset &+= length
        }
    }
}
