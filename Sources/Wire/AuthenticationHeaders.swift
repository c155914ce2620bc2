/// The authentication headers behind an IPv4 header (RFC 4302, section 2). The walk ends at the protocol that they
/// protect, as for IPv6.
///
///     next header (1), length in 4 octets without the first two (1), reserved (2), SPI, sequence number, check value
struct AuthenticationHeaders {
    /// The protocol of what is at `offset`.
    private(set) var nextHeader: UInt8
    /// The offset after the headers walked, in octets.
    private(set) var offset: Int
    private(set) var failure = IPv6ExtensionHeaders.Failure.none

    /// The fields that the walk reads.
    enum Field {
        /// The octets that every authentication header has.
        static let minimumLength = 8
        static let nextHeader = HeaderField<UInt8>(0)
        /// In units of four octets, without the first two units.
        static let payloadLength = HeaderField<UInt8>(1)

        /// The header's length in octets, by its payload length.
        @inline(__always)
        static func length(_ payloadLength: UInt8) -> Int { (Int(payloadLength) &+ 2) << 2 }
    }

    /// Walks from `start` to no further than `end`, which is within `bytes`.
    init(_ bytes: RawSpan, start: Int, end: Int) {
        nextHeader = IPProtocol.authentication
        offset = start
        walk(bytes, start: start, end: end)
    }

    private mutating func walk(_ bytes: RawSpan, start: Int, end: Int) {
        var count = 0
        while nextHeader == IPProtocol.authentication {
            guard end &- offset >= Field.minimumLength else { return failure = .truncated }
            let length = Field.length(bytes.unchecked(Field.payloadLength, at: offset))
            count += 1
            guard count <= IPv6ExtensionHeaders.maximumCount,
                offset &- start &+ length <= IPv6ExtensionHeaders.maximumLength
            else { return failure = .tooLong }
            guard length <= end &- offset else { return failure = .truncated }
            nextHeader = bytes.unchecked(Field.nextHeader, at: offset)
            offset &+= length
        }
    }
}
