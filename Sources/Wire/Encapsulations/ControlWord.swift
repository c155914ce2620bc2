/// The control word between the labels of a pseudo-wire and its frame (RFC 4385, 3; RFC 4448, 4.6; RFC 4619, 7.2; RFC 4717,
/// 11.1):
///
///      0                   1                   2                   3
///     +-------+-------+---+-----------+-------------------------------+
///     |0 0 0 0| flags |FRG|  length   |        sequence number        |
///     +-------+-------+---+-----------+-------------------------------+
///
/// The length counts the control word and the frame if they are shorter than 64 octets; then padding may follow. Else it is 0.
/// Ethernet has no flags, fragments or length there: the bits are reserved, zero in what is sent, and ignored on receipt.
/// The sequence number is ignored, and 0 in what is sent: frames are not sequenced.
enum ControlWord {
    static let length = 4
    /// The lengths that stand in the field.
    static let shortLength = 64

    /// Reads the control word at `offset` of a frame.
    ///
    /// - Parameter end: The offset behind the pseudo-wire's frame; becomes smaller if there is padding.
    @inline(__always)
    static func read(_ frame: RawSpan, at offset: Int, ethernet: Bool, end: inout Int) -> EncapsulationFault? {
        guard offset <= end &- length else { return .truncatedControlWord }
        let word = frame.unchecked(HeaderField<UInt32>(0), at: offset)
        // 1 is the associated channel (RFC 5586), anything else no control word.
        guard word >> 28 == 0 else { return .badControlWord }
        if ethernet { return nil }
        guard word & 0x00C0_0000 == 0 else { return .badControlWord }
        let stated = Int(truncatingIfNeeded: word >> 16 & 0x3F)
        guard stated > 0 else { return nil }
        guard stated >= length, stated <= end &- offset else { return .badControlWord }
        end = offset &+ stated
        return nil
    }

    /// Writes a control word at `offset`.
    ///
    /// - Parameter following: The octets of the pseudo-wire's frame behind it.
    @_lifetime(target: copy target)
    static func write(_ target: inout MutableRawSpan, at offset: Int, ethernet: Bool, following: Int) {
        let total = length &+ following
        let stated = ethernet || total >= shortLength ? 0 : UInt32(truncatingIfNeeded: total)
        target.store(stated << 16, at: offset)
    }
}
