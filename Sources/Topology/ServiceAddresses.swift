/// A service as customers find it.
public struct ServiceAddresses: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// Its addresses and prefixes.
    public var addresses: [String]
    /// Its ports as the file has them, such as `tcp/80`; none: every one.
    public var ports: [String]
}

extension AppliancePlan {
    /// The services of the file that it is a plan of, in its order.
    public var services: [ServiceAddresses] {
        (source?.services ?? []).map { service in
            ServiceAddresses(
                name: service.name.value, addresses: service.addresses.map { "\($0.value)" }.uniqued(),
                ports: service.ports.filter { $0.value != .any }.map { "\($0.value)" }.uniqued())
        }
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
