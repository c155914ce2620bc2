/// Why a frame for a tunnel's end is not taken.
public enum TunnelFault: UInt8, Error, Sendable, Hashable, CaseIterable {
    /// The frame ends inside its outer IP, UDP, VXLAN, Geneve or NSH header, or the inner frame is shorter than its own.
    case truncated
    /// A header's version, flags, lengths or next protocol are none that the tunnel takes, or a critical option is unknown.
    case badHeader
    /// The checksum of the outer IPv4 header, or of the UDP datagram, is wrong.
    case badChecksum
    /// The outer packet is a fragment: tunnels put nothing together.
    case fragment
    /// The service index of an NSH is 0: the service path has more hops than the chain (RFC 8300, 2.3).
    case pathEnded
}

extension TunnelFault: CustomStringConvertible {
    /// One clause for a person, without a full stop.
    public var description: String {
        switch self {
        case .truncated: "the tunnel's headers are cut short"
        case .badHeader: "the tunnel's header is not one of its kind"
        case .badChecksum: "a checksum of the outer headers is wrong"
        case .fragment: "the outer packet is a fragment"
        case .pathEnded: "the service index is 0"
        }
    }
}
