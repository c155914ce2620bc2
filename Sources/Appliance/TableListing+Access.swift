import ControlAPI
import Forwarding
import Wire

extension TableListing.AccessRow {
    /// The rows of an application's lists: each list's rules, and its default behind them.
    static func rows(
        of point: AccessPoint, counts: ((Int) -> (packets: UInt64, bytes: UInt64))?
    ) -> [TableListing.AccessRow] {
        point.lists.flatMap { list -> [TableListing.AccessRow] in
            let rules = list.rules.enumerated().map { index, rule in
                let (own, remote) = rule.matter.listedPorts
                return Self(
                    application: point.application, tenant: list.tenant, rule: list.number(of: index),
                    action: rule.action.listed, protocol: rule.matter.listedProtocol(rule.own.family),
                    own: rule.own.description, ownPorts: own, remote: rule.remote?.description, remotePorts: remote,
                    packets: counts?(rule.counter).packets, bytes: counts?(rule.counter).bytes)
            }
            let rest = Self(
                application: point.application, tenant: list.tenant, rule: nil, action: list.otherwise.listed,
                protocol: "any", packets: counts?(list.counter).packets, bytes: counts?(list.counter).bytes)
            return rules + [rest]
        }
    }
}

extension AccessRule.Action {
    /// In words, as listings show it.
    fileprivate var listed: String {
        switch self {
        case .allow: "allow"
        case .deny(.drop): "deny"
        case .deny(.icmp): "deny, icmp"
        case .deny(.reset): "deny, reset"
        }
    }
}

extension AccessRule.Matter {
    fileprivate func listedProtocol(_ family: AddressFamily) -> String {
        switch self {
        case .any: "any"
        case .protocolNumber(let number), .ports(let number, _, _): ServicePort(protocolNumber: number).listed
        case .icmp: family == .ipv4 ? "icmp" : "icmpv6"
        }
    }

    fileprivate var listedPorts: (own: String?, remote: String?) {
        func text(_ ports: ClosedRange<UInt16>) -> String? {
            if ports == 0...65535 { return nil }
            return ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
        }
        switch self {
        case .any, .protocolNumber: return (nil, nil)
        case .ports(_, let own, let remote): return (text(own), text(remote))
        case .icmp(let type): return ("type \(type)", nil)
        }
    }
}
