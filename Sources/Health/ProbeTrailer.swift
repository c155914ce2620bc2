import Wire

/// The last 24 octets of a probe's frame, by which it is known wherever it comes out, whatever was changed before them.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +---------------------------------------------------------------+
///     |        probe: which check of which instance (8 octets)        |
///     +---------------------------------------------------------------+
///     |      number of the probe, times two; odd in an answer (8)     |
///     +---------------------------------------------------------------+
///     |     token: the same in all probes of a topology's run (8)     |
///     +---------------------------------------------------------------+
public struct ProbeTrailer: Sendable, Hashable {
    /// Its length in octets.
    public static let length = 24
    private enum Field {
        static let probe = HeaderField<UInt64>(0)
        /// The number times two; the lowest bit is set in an answer.
        static let number = HeaderField<UInt64>(8)
        static let token = HeaderField<UInt64>(16)
    }

    /// Identifies the check and the instance.
    public var probe: UInt64
    /// The number of the probe.
    public var number: UInt64
    /// True for an answer.
    public var isAnswer: Bool
    /// The last octets of all probes of the run.
    public var token: UInt64

    /// Memberwise.
    public init(probe: UInt64, number: UInt64, isAnswer: Bool = false, token: UInt64) {
        self.probe = probe
        self.number = number
        self.isAnswer = isAnswer
        self.token = token
    }

    /// Reads the last octets of a frame; nil if they do not end in `token`.
    public init?(_ frame: RawSpan, token: UInt64) {
        let start = frame.byteCount - Self.length
        guard start >= 0, Self.word(frame, start, Field.token) == token else { return nil }
        probe = Self.word(frame, start, Field.probe)
        let word = Self.word(frame, start, Field.number)
        number = word >> 1
        isAnswer = word & 1 == 1
        self.token = token
    }

    private static func word(_ frame: RawSpan, _ start: Int, _ field: HeaderField<UInt64>) -> UInt64 {
        UInt64(bigEndian: frame.unsafeLoadUnaligned(fromByteOffset: start + field.offset, as: UInt64.self))
    }

    /// Writes it before `end`. There must be room (checked).
    func write(_ frame: inout MutableRawSpan, before end: Int) {
        let start = end - Self.length
        frame.store(probe, to: Field.probe, at: start)
        frame.store(number << 1 | (isAnswer ? 1 : 0), to: Field.number, at: start)
        frame.store(token, to: Field.token, at: start)
    }
}

/// A frame that ends in a topology's token.
public struct SeenProbe: Sendable, Hashable {
    /// The kind of the frame.
    public enum Kind: Sendable, Hashable {
        /// A probe on its way there: an echo request, or a datagram that is not marked as an answer.
        case request
        /// An answer: an echo reply, or a datagram that is marked as one.
        case answer
        /// An ICMP error that quotes a whole probe: its sender refused the packet.
        case refusal(type: UInt8, code: UInt8, family: AddressFamily)
    }

    /// Its trailer.
    public var trailer: ProbeTrailer
    /// Its kind.
    public var kind: Kind

    init(trailer: ProbeTrailer, kind: Kind) {
        self.trailer = trailer
        self.kind = kind
    }

    /// Reads a frame; nil if it does not end in the token, or is no well-formed probe.
    public init?(_ frame: RawSpan, token: UInt64) {
        guard let trailer = ProbeTrailer(frame, token: token) else { return nil }
        var fields = PacketFields()
        guard fields.parse(frame) == .packet, fields.end == frame.byteCount else { return nil }
        self.trailer = trailer
        switch fields.message {
        case .error: kind = .refusal(type: fields.icmpType, code: fields.icmpCode, family: fields.family)
        case .echoReply: kind = .answer
        case .echoRequest: kind = .request
        case .none where fields.flow.protocolNumber == IPProtocol.udp: kind = trailer.isAnswer ? .answer : .request
        default: return nil
        }
    }
}
