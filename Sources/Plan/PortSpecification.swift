import Forwarding
import Wire

/// Service ports as the file has them, for both families.
public struct PortSpecification: Sendable, Hashable {
    /// The upper-layer protocol.
    public enum UpperProtocol: Sendable, Hashable {
        /// Every one.
        case any
        /// ICMP for IPv4, ICMPv6 for IPv6.
        case icmp
        /// One, by its number.
        case number(UInt8)
    }
    /// The upper-layer protocol.
    public var upperProtocol: UpperProtocol
    /// The ports; all of them if the protocol has none.
    public var ports: ClosedRange<UInt16>
    /// The ports that the application has instead; nil: the same.
    public var translation: PortTranslation?

    /// Every protocol and port.
    public static let any = PortSpecification(upperProtocol: .any, ports: 0...65535)

    /// ICMP, or ICMPv6.
    public static let icmp = PortSpecification(upperProtocol: .icmp, ports: 0...65535)

    init(upperProtocol: UpperProtocol, ports: ClosedRange<UInt16>) {
        self.upperProtocol = upperProtocol
        self.ports = ports
    }

    /// The protocols that have names here.
    package static let protocolNames = ["tcp", "udp", "sctp", "dccp", "udplite", "icmp", "icmpv6", "any", "protocol"]

    /// Reads `tcp/80`, `udp/5000-5100`, `tcp`, `icmp`, `protocol/47` or `any`.
    public init?(_ text: String) {
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false)
        let numbers: [Substring: UInt8] = ["tcp": 6, "udp": 17, "sctp": 132, "dccp": 33, "udplite": 136]
        guard let first = parts.first, parts.count <= 2 else { return nil }
        if let number = numbers[first] {
            guard parts.count == 2 else {
                self.init(upperProtocol: .number(number), ports: 0...65535)
                return
            }
            let ends = parts[1].split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count <= 2, ends.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }),
                let low = ends.first.flatMap({ UInt16($0) }), let high = ends.last.flatMap({ UInt16($0) }), low <= high
            else { return nil }
            self.init(upperProtocol: .number(number), ports: low...high)
        } else if first == "protocol", parts.count == 2 {
            guard let number = UInt8(parts[1]), parts[1].first != "+" else { return nil }
            self.init(upperProtocol: .number(number), ports: 0...65535)
        } else {
            guard parts.count == 1 else { return nil }
            switch first {
            case "any": self = .any
            case "icmp", "icmpv6": self = .icmp
            default: return nil
            }
        }
    }

    /// The ports as the packets of a family carry them.
    public func servicePort(_ family: AddressFamily) -> ServicePort {
        switch upperProtocol {
        case .any: .any
        case .icmp: ServicePort(protocolNumber: family == .ipv4 ? 1 : 58)
        case .number(let number): ServicePort(protocolNumber: number, ports: ports)
        }
    }
}

extension PortSpecification: CustomStringConvertible {
    /// As the file has it: `tcp/80`, `udp/5000-5100`, `tcp/80 -> 8080`, `icmp`, `protocol/47`, `any`.
    public var description: String {
        if let translation {
            let (low, high) = (translation.ports.lowerBound, translation.ports.upperBound)
            return "\(untranslated) -> \(low == high ? "\(low)" : "\(low)-\(high)")"
                + (translation.at.map { " at \($0)" } ?? "")
        }
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
