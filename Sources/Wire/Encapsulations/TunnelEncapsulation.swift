/// What is between the outer addresses and the inner Ethernet frame of a tunnel.
public struct TunnelEncapsulation: Hashable, Sendable {
    /// The kinds.
    public enum Kind: UInt8, Sendable, Hashable, CaseIterable {
        /// VXLAN (RFC 7348).
        case vxlan
        /// Geneve (RFC 8926).
        case geneve
        /// NSH over VXLAN-GPE.
        case genericVXLAN
        /// NSH over Ethernet: the far end is a neighbour, and there are no outer addresses.
        case ethernet
    }

    /// The kind.
    public var kind: Kind
    /// The network identifier of VXLAN and Geneve, in both directions.
    public var identifier: Int
    /// The UDP port that both ends are asked at.
    public var port: Int
    /// The service path of NSH; 0 without it.
    public var path: Int
    /// The service index that is sent; what is received has one less.
    public var index: Int

    /// Memberwise.
    public init(kind: Kind, identifier: Int = 0, port: Int, path: Int = 0, index: Int = 0) {
        self.kind = kind
        self.identifier = identifier
        self.port = port
        self.path = path
        self.index = index
    }

    /// True if frames have a network service header.
    public var hasNSH: Bool { kind == .genericVXLAN || kind == .ethernet }

    /// The octets that a packet grows by: all outer headers, and the inner Ethernet header, less the one that every frame of the
    /// underlay has.
    public func overhead(_ family: AddressFamily) -> Int {
        let inner = EthernetHeader.length
        if kind == .ethernet { return NSHHeader.length + inner }
        let outer = family == .ipv4 ? IPv4View.minimumLength : IPv6View.length
        return outer + UDPView.length + VXLANHeader.length + (hasNSH ? NSHHeader.length : 0) + inner
    }
}

extension TunnelEncapsulation: CustomStringConvertible {
    /// As people say it: `vxlan 4242`, `geneve 7`, `nsh 42/255 in vxlan 7`, `nsh 42/255`.
    public var description: String {
        switch kind {
        case .vxlan: "vxlan \(identifier)"
        case .geneve: "geneve \(identifier)"
        case .genericVXLAN: "nsh \(path)/\(index) in vxlan \(identifier)"
        case .ethernet: "nsh \(path)/\(index)"
        }
    }
}
