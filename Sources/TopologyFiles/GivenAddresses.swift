import Plan
import Reporting
import Wire

/// The addresses that a running topology has given to interfaces and services, by their names.
package struct GivenAddresses: Sendable {
    package var interfaces: [String: [InterfaceAddress]]
    package var services: [String: [IPPrefix]]

    package init(interfaces: [String: [InterfaceAddress]] = [:], services: [String: [IPPrefix]] = [:]) {
        (self.interfaces, self.services) = (interfaces, services)
    }
}

extension TopologyFile {
    /// Gives addresses to the interfaces and services that the file names none for, in the order of the file: networks of
    /// 198.18.0.0/15 (RFC 2544) and 2001:db8::/48 to interfaces, addresses of 203.0.113.0/24 (RFC 5737) and
    /// 2001:db8:cb::/64 to services. None of them overlaps what the file names.
    ///
    /// - Parameter kept: Those that they have in the running topology, which they keep.
    package mutating func giveAddresses(keeping kept: GivenAddresses = GivenAddresses(), _ diagnostics: Diagnostics) {
        var pool = AddressPool(families: givesIPv6 ? [.ipv4, .ipv6] : [.ipv4], taken: namedAddresses)
        for interface in interfaces where !interface.isGiven {
            pool.take(interface.addresses.map(\.value.value.prefix))
        }
        for service in services where !service.isGiven { pool.take(service.addresses.map(\.value)) }
        let networks = interfaces.map { $0.isGiven ? pool.keep(kept.interfaces[$0.name.value] ?? []) : [] }
        let hosts = services.map { $0.isGiven ? pool.keep(kept.services[$0.name.value] ?? []) : [] }
        for index in interfaces.indices where interfaces[index].isGiven {
            let name = interfaces[index].name
            guard let given = pool.network(beside: networks[index]) else {
                diagnostics.error(
                    name.origin, "no network for tests is left for interface \(quoted(name.value))",
                    hint: "write its `address`: the file names all of 198.18.0.0/15, or has more interfaces than that")
                continue
            }
            interfaces[index].addresses = given.map {
                Located(RawAddress(value: $0, hasLength: true), name.origin)
            }
        }
        for index in services.indices where services[index].isGiven {
            let name = services[index].name
            guard let given = pool.host(beside: hosts[index]) else {
                diagnostics.error(
                    name.origin, "no address for examples is left for service \(quoted(name.value))",
                    hint: "write its `address`: the file names all of 203.0.113.0/24, or has more services than that")
                continue
            }
            services[index].addresses = given.map { Located($0, name.origin) }
        }
    }
}

/// Networks and addresses that are given away one after another.
private struct AddressPool {
    /// Two benchmarking networks, each divided by its third octet (RFC 2544, C.2.2).
    private static let networks = 1...511
    private static let hosts = 1...254
    /// A prefix that is shorter is no network of the file: it stands for everything.
    private static let shortest = 8

    let families: [AddressFamily]
    private var taken: [IPPrefix] = []
    private var nextNetwork = Self.networks.lowerBound
    private var nextHost = Self.hosts.lowerBound

    init(families: [AddressFamily], taken: [IPPrefix]) {
        self.families = families
        take(taken)
    }

    mutating func take(_ prefixes: [IPPrefix]) {
        taken += prefixes.filter { prefix in
            prefix.length >= Self.shortest && Self.ranges.contains { $0.overlaps(prefix) }
        }
    }

    /// Those of the interface's earlier addresses that were given, and that nothing else has.
    mutating func keep(_ addresses: [InterfaceAddress]) -> [InterfaceAddress] {
        let kept = addresses.filter { address in
            families.contains(address.address.family) && Self.ranges.contains { $0.contains(address.prefix) }
                && isFree(address.prefix)
        }
        take(kept.map(\.prefix))
        return kept
    }

    /// Those of the service's earlier addresses that were given, and that nothing else has.
    mutating func keep(_ addresses: [IPPrefix]) -> [IPPrefix] {
        let kept = addresses.filter { address in
            families.contains(address.family) && Self.ranges.contains { $0.contains(address) } && isFree(address)
        }
        take(kept)
        return kept
    }

    /// The engine's addresses in the next network that is free in all families.
    mutating func network(beside kept: [InterfaceAddress]) -> [InterfaceAddress]? {
        let open = families.filter { family in !kept.contains { $0.address.family == family } }
        guard !open.isEmpty else { return kept }
        while nextNetwork <= Self.networks.upperBound {
            let found = open.map { Self.network(nextNetwork, $0) }
            nextNetwork += 1
            guard found.allSatisfy({ isFree($0.prefix) }) else { continue }
            return (kept + found).sorted { $0.address < $1.address }
        }
        return nil
    }

    /// The next addresses that are free in all families.
    mutating func host(beside kept: [IPPrefix]) -> [IPPrefix]? {
        let open = families.filter { family in !kept.contains { $0.family == family } }
        guard !open.isEmpty else { return kept }
        while nextHost <= Self.hosts.upperBound {
            let found = open.map { IPPrefix(host: Self.host(nextHost, $0)) }
            nextHost += 1
            guard found.allSatisfy({ isFree($0) }) else { continue }
            return (kept + found).sorted { $0.address < $1.address }
        }
        return nil
    }

    private func isFree(_ prefix: IPPrefix) -> Bool { !taken.contains { $0.overlaps(prefix) } }

    private static func network(_ number: Int, _ family: AddressFamily) -> InterfaceAddress {
        switch family {
        case .ipv4: InterfaceAddress(IPAddress(ipv4: 0xC612_0001 + UInt32(number) << 8), length: 24)
        case .ipv6:
            InterfaceAddress(IPAddress(family: .ipv6, high: 0x2001_0DB8_0000_0000 | UInt64(number), low: 1), length: 64)
        }
    }

    private static func host(_ number: Int, _ family: AddressFamily) -> IPAddress {
        switch family {
        case .ipv4: IPAddress(ipv4: 0xCB00_7100 + UInt32(number))
        case .ipv6: IPAddress(family: .ipv6, high: 0x2001_0DB8_00CB_0000, low: UInt64(number))
        }
    }

    /// 198.18.0.0/15, 203.0.113.0/24, 2001:db8::/48 and 2001:db8:cb::/64.
    private static let ranges = [
        IPPrefix(IPAddress(ipv4: 0xC612_0000), length: 15), IPPrefix(IPAddress(ipv4: 0xCB00_7100), length: 24),
        IPPrefix(IPAddress(family: .ipv6, high: 0x2001_0DB8_0000_0000, low: 0), length: 48),
        IPPrefix(IPAddress(family: .ipv6, high: 0x2001_0DB8_00CB_0000, low: 0), length: 64),
    ]
}
