/// The marks of explicit congestion notification where packets enter and leave tunnels (RFC 6040).
public enum CongestionMark {
    /// The marks of an IP header, by their two bits.
    static let notCapable: UInt8 = 0
    static let one: UInt8 = 1
    static let experienced: UInt8 = 3

    /// The mark of the packet in a frame, for the outer header (the normal mode of RFC 6040, 4.1).
    ///
    /// - Parameter frame: At least the Ethernet header, and what is at hand of the packet.
    /// - Returns: 0 for frames that are no IP packets.
    @inline(__always)
    public static func read(_ frame: RawSpan) -> UInt8 {
        guard frame.byteCount > EthernetHeader.length &+ 1 else { return notCapable }
        let first = frame.unchecked(HeaderField<UInt16>(0), at: EthernetHeader.length)
        switch frame.unchecked(EthernetHeader.type, at: 0) {
        case EtherType.ipv4: return UInt8(truncatingIfNeeded: first) & 3
        case EtherType.ipv6: return UInt8(truncatingIfNeeded: first >> 4) & 3
        default: return notCapable
        }
    }

    /// Gives the packet of a frame that leaves a tunnel its mark (RFC 6040, 4.2).
    ///
    /// - Parameters:
    ///   - frame: The inner frame, from its Ethernet header on.
    ///   - outer: The mark of the outer header.
    /// - Returns: False if it must be dropped: it met congestion, and cannot say so.
    @inline(__always)
    public static func leave(_ frame: inout MutableRawSpan, outer: UInt8) -> Bool {
        // Nothing changes but by a mark that is stronger than a sender's own.
        guard outer == experienced || outer == one else { return true }
        return carry(&frame, outer)
    }

    /// True if the frame must be dropped.
    public static func isLoss(_ frame: RawSpan, outer: UInt8) -> Bool {
        outer == experienced && read(frame) == notCapable && isPacket(frame)
    }

    private static func carry(_ frame: inout MutableRawSpan, _ outer: UInt8) -> Bool {
        let inner = read(frame.bytes)
        guard inner != notCapable else { return !isLoss(frame.bytes, outer: outer) }
        guard inner != experienced, inner != outer else { return true }
        let packet = EthernetHeader.length
        let old = frame.uint16(at: packet)
        if frame.bytes.load(EthernetHeader.type, at: 0) == EtherType.ipv6 {
            frame.store(old & ~0x30 | UInt16(outer) << 4, at: packet)
            return true
        }
        guard frame.byteCount >= packet &+ IPv4View.minimumLength else { return true }
        let new = old & ~3 | UInt16(outer)
        var change = ChecksumChange()
        change.add(from: old, to: new)
        let sum = frame.uint16(at: packet &+ IPv4Header.headerChecksum.offset)
        frame.store(new, at: packet)
        frame.store(change.applied(to: sum, .full), to: IPv4Header.headerChecksum, at: packet)
        return true
    }

    private static func isPacket(_ frame: RawSpan) -> Bool {
        let type = frame.load(EthernetHeader.type, at: 0)
        return type == EtherType.ipv4 || type == EtherType.ipv6
    }
}
