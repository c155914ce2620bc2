import Forwarding
import Plan
import TopologyFiles
import Wire

extension ResolvedTopology {
    /// What Tapline gave addresses to: services, interfaces, and the nodes on these interfaces; last the interfaces' networks.
    func givenAddresses() -> [GivenAddress] {
        var (given, networks): ([GivenAddress], [GivenAddress]) = ([], [])
        for service in file.services where service.isGiven {
            let name = service.name.value
            given += Self.firsts(service.addresses.map(\.value.address), ["services", name], name)
        }
        for (index, interface) in file.interfaces.enumerated() where interface.isGiven {
            let (name, addresses) = (interface.home ?? interface.name.value, interface.addresses.map(\.value.value))
            given += Self.firsts(addresses.map(\.address), ["interfaces", name], "the engine on \(name)")
            networks += addresses.map { GivenAddress(prefix: $0.prefix, expression: nil, owner: name) }
            for place in legsOn[index] {
                let (name, own) = (file.nodes[place.node].name.value, legs[place.node][place.leg])
                let path = ["nodes", name] + (place.leg == 0 ? [] : [own.role])
                given += Self.firsts(own.addresses.map(\.address), path, name)
            }
        }
        var seen: Set<IPPrefix> = []
        return (given + networks).filter { seen.insert($0.prefix).inserted }
    }

    /// The first address of each family, which an expression has.
    private static func firsts(_ addresses: [IPAddress], _ path: [String], _ owner: String) -> [GivenAddress] {
        [AddressFamily.ipv4, .ipv6].compactMap { family in
            addresses.first { $0.family == family && !$0.isLinkLocal }.map { address in
                let (word, words) = family == .ipv4 ? ("address", "") : ("address6", " over IPv6")
                return GivenAddress(
                    prefix: IPPrefix(host: address), expression: expression(path + [word]), owner: owner + words)
            }
        }
    }

    /// nil if a name cannot stand in an expression.
    private static func expression(_ names: [String]) -> String? {
        var parts: [String] = []
        for name in names {
            let isPlain = name.utf8.allSatisfy {
                (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95
            }
            guard isPlain || !name.contains("\"") else { return nil }
            parts.append(isPlain ? name : "\"\(name)\"")
        }
        return parts.joined(separator: ".")
    }
}
