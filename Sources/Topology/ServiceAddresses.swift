/// A service as customers find it.
public struct ServiceAddresses: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// Its addresses and prefixes.
    public var addresses: [String]
    /// Its ports as the file has them, such as `tcp/80`; none: every one.
    public var ports: [String]

    /// Memberwise.
    public init(name: String, addresses: [String], ports: [String]) {
        self.name = name
        self.addresses = addresses
        self.ports = ports
    }
}

extension PortSpecification: CustomStringConvertible {
    /// As the file has it: `tcp/80`, `udp/5000-5100`, `icmp`, `protocol/47`, `any`.
    public var description: String {
        let names: [UInt8: String] = [6: "tcp", 17: "udp", 132: "sctp", 33: "dccp", 136: "udplite", 58: "icmpv6"]
        let name =
            switch upperProtocol {
            case .any: "any"
            case .icmp: "icmp"
            case .number(let number): names[number] ?? "protocol/\(number)"
            }
        if ports == 0...65535 { return name }
        let (low, high) = (ports.lowerBound, ports.upperBound)
        return low == high ? "\(name)/\(low)" : "\(name)/\(low)-\(high)"
    }
}
