/// The status enquiries of frame relay, and the network's answers: Q.933 annex A, and ANSI T1.617 annex D, both on DLCI 0.
///
///     DLCI 0, control 0x03, discriminator 0x08, call reference 0, message 0x75 (enquiry) or 0x7D (status),
///     annex D: locking shift 0x95,
///     report type:   0x51 (annex D: 0x01), length 1, 0 full status, 1 link integrity
///     sequence:      0x53 (annex D: 0x03), length 2, sent, received
///     for a full status, each circuit: 0x57 (annex D: 0x07), length 3, DLCI high 6 bits, 0x80 | low 4 bits << 3, 0x82 (active)
///
/// An answer needs no memory of those before: its receive number is the enquiry's send number, and its send number is one more
/// than the enquiry's receive number, without 0. LMI of Cisco's own (DLCI 1023) is not answered.
public struct FrameRelayStatus: Sendable, Equatable {
    /// The DLCI of status messages.
    public static let identifier: UInt64 = 0
    /// Octets of an answer without circuits, with its address.
    static let shortLength = 14
    /// Octets of a circuit in an answer.
    public static let circuitLength = 5

    /// True for ANSI T1.617 annex D.
    public var isAnnexD: Bool
    /// True if the enquiry asks for all circuits.
    public var isFull: Bool
    var sent: UInt8
    var received: UInt8

    /// - Parameter frame: A frame from its Q.922 address on.
    /// - Returns: Nil if it is no enquiry.
    public init?(_ frame: RawSpan) {
        func octet(_ offset: Int) -> UInt8 { frame.load(HeaderField<UInt8>(0), at: offset) }
        guard frame.byteCount >= 13, octet(0) & ~2 == 0, octet(1) & 0xF1 == 1, octet(2) == FrameRelayHeader.control,
            octet(3) == 0x08, octet(4) == 0, octet(5) == 0x75
        else { return nil }
        isAnnexD = octet(6) == 0x95
        let start = isAnnexD ? 7 : 6
        let base: UInt8 = isAnnexD ? 0 : 0x50
        guard frame.byteCount >= start + 7, octet(start) == base | 1, octet(start + 1) == 1, octet(start + 2) < 2,
            octet(start + 3) == base | 3, octet(start + 4) == 2
        else { return nil }
        isFull = octet(start + 2) == 0
        sent = octet(start + 5)
        received = octet(start + 6)
    }

    /// The octets of the answer, from the Q.922 address on.
    public func length(circuits: Int) -> Int {
        Self.shortLength - (isAnnexD ? 0 : 1) + (isFull ? circuits * Self.circuitLength : 0)
    }

    /// Writes the answer without its circuits.
    ///
    /// - Parameter target: Room for `length(circuits: 0)` octets (checked).
    /// - Returns: The octets written.
    @_lifetime(target: copy target)
    public func write(_ target: inout MutableRawSpan, at start: Int) -> Int {
        let base: UInt8 = isAnnexD ? 0 : 0x50
        let next: UInt8 = received == 255 ? 1 : received + 1
        target.store(0x0001_0308 as UInt32, at: start)
        target.store(0x007D as UInt16, at: start + 4)
        var offset = start + 6
        if isAnnexD {
            target.store(0x95 as UInt8, at: offset)
            offset += 1
        }
        target.store(base | 1, at: offset)
        target.store(1 as UInt8, at: offset + 1)
        target.store(isFull ? 0 : 1 as UInt8, at: offset + 2)
        target.store(base | 3, at: offset + 3)
        target.store(2 as UInt8, at: offset + 4)
        target.store(next, at: offset + 5)
        target.store(sent, at: offset + 6)
        offset += 7
        return offset - start
    }

    /// Writes one circuit of a full status.
    @_lifetime(target: copy target)
    public func write(_ target: inout MutableRawSpan, at offset: Int, circuit: UInt64) {
        let base: UInt8 = isAnnexD ? 0 : 0x50
        target.store(base | 7, at: offset)
        target.store(UInt8(3), at: offset + 1)
        target.store(UInt8(truncatingIfNeeded: circuit >> 4 & 0x3F), at: offset + 2)
        target.store(0x80 | UInt8(truncatingIfNeeded: circuit & 0xF) << 3, at: offset + 3)
        target.store(UInt8(0x82), at: offset + 4)
    }
}
