import Wire

/// What a datagram asks for, in either protocol.
package struct MappingRequest: Sendable, Hashable {
    /// The protocol that the answer must speak.
    package enum Dialect: Sendable, Hashable {
        /// PCP, version 2 (RFC 6887).
        case pcp
        /// NAT-PMP, version 0 (RFC 6886).
        case natPMP
    }
    /// What is asked.
    package enum Question: Sendable, Hashable {
        /// Whether the server is there, and its epoch.
        case announce
        /// The service address that mappings get.
        case externalAddress
        /// A mapping, or its renewal.
        case map(MappingWish)
        /// The end of a mapping.
        case delete(MappingWish)
    }
    /// The protocol.
    package var dialect: Dialect
    /// What is asked.
    package var question: Question
}

/// A mapping as it is wished for. Ports are in host byte order.
package struct MappingWish: Sendable, Hashable {
    /// What tells its owner from others who guess (RFC 6887, 11.1): 12 octets; zeros from NAT-PMP.
    package var nonce: [UInt8]
    /// The upper-layer protocol; 0: all.
    package var protocolNumber: UInt8
    /// Where the application listens; 0: all ports.
    package var internalPort: UInt16
    /// The service port that it would like; 0: any.
    package var suggestedPort: UInt16
    /// The service address that it would like; unspecified: any.
    package var suggestedAddress: IPAddress
    /// For how long, in seconds.
    package var lifetime: UInt32
    /// True if nothing is better than something else than what is suggested (PREFER_FAILURE).
    package var prefersFailure = false
    /// The only senders whose packets it wants (FILTER); empty: all.
    package var filters: [SenderFilter] = []
    /// True if earlier filters of the mapping go (a filter with a prefix of length 0).
    package var clearsFilters = false
    /// The options that are heeded, as the answer repeats them.
    package var options: [UInt8] = []
}

/// Why a datagram gets no answer.
package enum SilentDrop: String, Sendable, CaseIterable {
    /// Shorter than the fields that every answer needs (RFC 6887, 8.2).
    case tooShort = "too short"
    /// An answer, sent to the port of requests.
    case answer = "not a request"
    /// More requests than the application may send.
    case rate = "too many requests"
}

/// What was read of a datagram.
package enum RequestReading: Sendable, Hashable {
    /// It gets no answer.
    case silent(SilentDrop)
    /// It is answered with an error.
    case refused(PCPResult, MappingRequest.Dialect)
    /// It asks for something.
    case request(MappingRequest)
}
