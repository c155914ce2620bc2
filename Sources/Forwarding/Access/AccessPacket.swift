import Wire

/// What access lists ask of a packet: its own outer addresses, as they are outside of the application.
///
/// The application's network send address is never one of them. On the way in, the packet is judged before its destination
/// becomes the send address. On the way back, it is judged after its source has become the service address again. Its service
/// port is the one that customers send to, wherever it is translated.
/// An ICMP error is judged as a packet of its own, not by the packet that it quotes.
public struct AccessPacket: Hashable, Sendable {
    /// What the packet's upper-layer header says.
    public enum Upper: Hashable, Sendable {
        /// Neither ports nor a type: a later fragment, or another protocol.
        case unread
        /// Host integers.
        case ports(source: UInt16, destination: UInt16)
        /// ICMP in IPv4, ICMPv6 in IPv6.
        case icmp(type: UInt8)
    }

    /// The packet's source.
    public var source: IPAddress
    /// The packet's destination, of the same family.
    public var destination: IPAddress
    /// The upper-layer protocol, as nftables sees it (`PacketFields.filterProtocol`), so that engines and applications say the
    /// same: what is behind an authentication header is not looked at. nil if nobody can tell: rules about any protocol match
    /// the packet, and no others do.
    public var protocolNumber: UInt8?
    /// The ports, or the type.
    public var upper: Upper

    /// Memberwise.
    @inlinable
    public init(source: IPAddress, destination: IPAddress, protocolNumber: UInt8?, upper: Upper = .unread) {
        self.source = source
        self.destination = destination
        self.protocolNumber = protocolNumber
        self.upper = upper
    }

    /// The packet of parsed fields.
    ///
    /// - Parameter rewriteSource: The address that the entry's copies have as their source; nil: the packet's own.
    public init(_ fields: PacketFields, rewriteSource: IPAddress? = nil) {
        // As `PacketFields.rewriteSource` does it: a router that tells of the application's packet keeps its own address.
        let keepsSource = fields.hasQuoted && fields.flow.source != fields.quoted.destination
        source = keepsSource ? fields.flow.source : rewriteSource ?? fields.flow.source
        destination = fields.flow.destination
        protocolNumber = fields.filterProtocol
        if fields.filterProtocol != fields.transportProtocol {
            upper = .unread
        } else if let ports = fields.readPorts {
            upper = .ports(source: ports.source, destination: ports.destination)
        } else if fields.message != .none {
            upper = .icmp(type: fields.icmpType)
        } else {
            upper = .unread
        }
    }

    /// The packet with one port shifted, if it has ports.
    @inlinable
    public func shifted(_ side: PortSide, by shift: PortShift) -> AccessPacket {
        guard !shift.isNone, case .ports(let source, let destination) = upper else { return self }
        var packet = self
        packet.upper =
            side == .source
            ? .ports(source: shift.applied(to: source), destination: destination)
            : .ports(source: source, destination: shift.applied(to: destination))
        return packet
    }

    /// True for the ICMP errors that no list stops unless one of its rules matches them.
    @inlinable
    var isPassingError: Bool {
        guard case .icmp(let type) = upper else { return false }
        return source.family == .ipv4 ? type == 3 || type == 11 || type == 12 : (1...4).contains(type)
    }
}
