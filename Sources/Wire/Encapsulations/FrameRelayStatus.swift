/// The status enquiries of frame relay, and the network's answers: Q.933 annex A and ANSI T1.617 annex D on DLCI 0, and Cisco's own
/// LMI (the "gang of four") on DLCI 1023.
///
///     DLCI, control 0x03, discriminator 0x08 (Cisco: 0x09), call reference 0, message 0x75 (enquiry) or 0x7D (status),
///     annex D: locking shift 0x95,
///     report type:   0x51 (annex D, Cisco: 0x01), length 1, 0 full status, 1 link integrity
///     sequence:      0x53 (annex D, Cisco: 0x03), length 2, sent, received
///     for a full status, each circuit: 0x57 (annex D: 0x07), length 3, DLCI high 6 bits, 0x80 | low 4 bits << 3, 0x82 (active)
///                    Cisco: 0x07, length 6, DLCI (16 bits), 0x02 (active), bandwidth (24 bits, 0: not told)
///
/// An answer needs no memory of those before: its receive number is the enquiry's send number, and its send number is one more
/// than the enquiry's receive number, without 0.
public struct FrameRelayStatus: Sendable, Equatable {
    /// Whose words they are.
    public enum Dialect: UInt8, Sendable, Hashable, CaseIterable {
        case annexA
        case annexD
        case cisco

        /// The Q.922 address, control and discriminator.
        fileprivate var beginning: UInt32 { self == .cisco ? 0xFCF1_0309 : 0x0001_0308 }
        /// What is added to the identifiers of elements.
        fileprivate var base: UInt8 { self == .annexA ? 0x50 : 0 }
        /// Octets before the report type.
        fileprivate var reportStart: Int { self == .annexD ? 7 : 6 }
        /// Octets of a circuit in an answer.
        public var circuitLength: Int { self == .cisco ? 8 : 5 }
        /// The circuits that fit an answer in a frame of 1,500 octets.
        public var mostCircuits: Int { self == .cisco ? 180 : 290 }
    }

    /// True for the DLCIs of status messages.
    @inline(__always)
    public static func isStatus(_ identifier: UInt64) -> Bool { identifier == 0 || identifier == 1_023 }

    /// Whose words they are.
    public var dialect: Dialect
    /// True if the enquiry asks for all circuits.
    public var isFull: Bool
    var sent: UInt8
    var received: UInt8

    /// - Parameter frame: A frame from its Q.922 address on.
    /// - Returns: Nil if it is no enquiry.
    public init?(_ frame: RawSpan) {
        func octet(_ offset: Int) -> UInt8 { frame.load(HeaderField<UInt8>(0), at: offset) }
        guard frame.byteCount >= 13 else { return nil }
        // FECN, BECN, DE and C/R mean nothing here.
        let beginning = frame.load(HeaderField<UInt32>(0), at: 0) & 0xFDF1_FFFF
        guard octet(4) == 0, octet(5) == 0x75 else { return nil }
        switch beginning {
        case Dialect.cisco.beginning: dialect = .cisco
        case Dialect.annexA.beginning: dialect = octet(6) == 0x95 ? .annexD : .annexA
        default: return nil
        }
        let (start, base) = (dialect.reportStart, dialect.base)
        guard frame.byteCount >= start + 7, octet(start) == base | 1, octet(start + 1) == 1, octet(start + 2) < 2,
            octet(start + 3) == base | 3, octet(start + 4) == 2
        else { return nil }
        isFull = octet(start + 2) == 0
        sent = octet(start + 5)
        received = octet(start + 6)
    }

    /// The octets of the answer, from the Q.922 address on.
    public func length(circuits: Int) -> Int {
        dialect.reportStart + 7 + (isFull ? circuits * dialect.circuitLength : 0)
    }

    /// Writes the answer without its circuits.
    ///
    /// - Parameter target: Room for `length(circuits: 0)` octets (checked).
    /// - Returns: The octets written.
    @_lifetime(target: copy target)
    public func write(_ target: inout MutableRawSpan, at start: Int) -> Int {
        let base = dialect.base
        let next: UInt8 = received == 255 ? 1 : received + 1
        target.store(dialect.beginning, at: start)
        target.store(0x007D as UInt16, at: start + 4)
        if dialect == .annexD { target.store(0x95 as UInt8, at: start + 6) }
        let offset = start + dialect.reportStart
        target.store(base | 1, at: offset)
        target.store(1 as UInt8, at: offset + 1)
        target.store(isFull ? 0 : 1 as UInt8, at: offset + 2)
        target.store(base | 3, at: offset + 3)
        target.store(2 as UInt8, at: offset + 4)
        target.store(next, at: offset + 5)
        target.store(sent, at: offset + 6)
        return dialect.reportStart + 7
    }

    /// Writes one circuit of a full status.
    @_lifetime(target: copy target)
    public func write(_ target: inout MutableRawSpan, at offset: Int, circuit: UInt64) {
        target.store(dialect.base | 7, at: offset)
        guard dialect != .cisco else {
            target.store(UInt8(6), at: offset + 1)
            target.store(UInt16(truncatingIfNeeded: circuit), at: offset + 2)
            target.store(0x0200_0000 as UInt32, at: offset + 4)
            return
        }
        target.store(UInt8(3), at: offset + 1)
        target.store(UInt8(truncatingIfNeeded: circuit >> 4 & 0x3F), at: offset + 2)
        target.store(0x80 | UInt8(truncatingIfNeeded: circuit & 0xF) << 3, at: offset + 3)
        target.store(UInt8(0x82), at: offset + 4)
    }
}
