import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

extension ServiceResolver {
    /// Finds the customers of a service, and the way of its answers.
    func resolveScopes(_ service: inout ResolvedService) {
        let raw = service.raw
        var scopes: [Scope] = []
        var sides: [CustomerSide] = []
        if raw.from.isEmpty {
            let used = file.nodes.indices.filter { file.nodes[$0].kind == .customer }.compactMap {
                legs[$0].first?.interface
            }
            let beyond = file.interfaces.indices.filter { !file.interfaces[$0].behind.isEmpty }
            let interfaces = Set(used + beyond).sorted()
            // Another place reports customers whose interface is not known.
            if interfaces.isEmpty, !file.nodes.contains(where: { $0.kind == .customer }) {
                diagnostics.error(
                    raw.name.origin, "service \(quoted(raw.name.value)) has no customers",
                    hint: "add customers, or name an interface in `from`")
            }
            for interface in interfaces { add(interface, &scopes, &sides) }
        }
        for name in raw.from {
            if let node = nodeIndex[name.value], file.nodes[node].kind == .customer {
                refuseLeg(name, "a customer")
                add(customer: node, &scopes, &sides)
            } else if let interface = interfaceIndex[name.value] {
                guard let node = nodeIndex[name.value] else {
                    refuseLeg(name, "an interface")
                    add(interface, &scopes, &sides)
                    continue
                }
                let found = file.nodes[node]
                diagnostics.error(
                    name.origin,
                    "\(quoted(name.value)) is an interface and also the \(found.kind.rawValue) "
                        + "\(found.name.origin.place)",
                    hint: "rename one of the two, or list the customers by name")
            } else if let node = nodeIndex[name.value] {
                guard !isInstance(name.name) else { continue }
                for member in members(of: node) { add(opener: member, name, service, &scopes, &sides) }
            } else {
                let known = file.nodes.indices.filter { !file.nodes[$0].transparent }
                    .map { shownName($0) }.uniqued()
                diagnostics.error(
                    name.origin,
                    "there is no interface, customer, application or router \(quoted(name.value))",
                    hint: Spelling.hint(
                        for: name.value, among: known + file.interfaceNames, kind: "interfaces and nodes"))
            }
        }
        service.scopes = scopes.uniqued()
        service.sides = sides.uniqued()
        checkBehind(sides)
        for address in raw.addresses
        where !(sides.isEmpty && (scopes.isEmpty || followsMistakes))
            && !sides.contains(where: { $0.prefix.family == address.value.family })
        {
            diagnostics.error(
                address.origin,
                "no customer of the service has an address of the family of \(address.value)",
                hint: "give the customers' interface such an address, or remove this one")
        }
    }

    private func refuseLeg(_ name: RawStop, _ what: String) {
        guard let leg = name.enter ?? name.leave else { return }
        diagnostics.error(
            leg.origin, "\(quoted(name.value)) is \(what): it has no legs to choose from",
            hint: "write \(name.value) alone")
    }

    private func add(customer node: Int, _ scopes: inout [Scope], _ sides: inout [CustomerSide]) {
        guard let leg = legs[node].first else { return }
        for address in leg.addresses {
            scopes.append(Scope(interface: leg.interface, source: IPPrefix(host: address.address)))
            sides.append(CustomerSide(interface: leg.interface, prefix: IPPrefix(host: address.address)))
        }
        for side in networks(behind: node) {
            scopes.append(Scope(interface: side.interface, source: side.prefix))
            sides.append(side)
        }
    }

    /// Reports networks behind customers that answers cannot reach: the same network behind two, or the network of a
    /// link.
    private func checkBehind(_ sides: [CustomerSide]) {
        for (index, node) in file.nodes.enumerated() where node.kind == .customer {
            for prefix in node.prefixes {
                guard let leg = legs[index].first, let via = leg.address(prefix.value.family),
                    sides.contains(CustomerSide(interface: leg.interface, prefix: prefix.value, via: via))
                else { continue }
                let name = quoted(node.name.value)
                if let link = file.interfaces.first(where: { interface in
                    interface.addresses.contains { $0.value.value.prefix.contains(prefix.value) }
                }) {
                    let isAll = link.addresses.contains { $0.value.value.prefix == prefix.value }
                    diagnostics.error(
                        prefix.origin,
                        "\(prefix.value) cannot lie behind \(name): it is \(isAll ? "" : "in ")the network of interface "
                            + "\(quoted(link.name.value)) \(link.name.origin.place)",
                        hint: link.name.value == file.interfaces[leg.interface].name.value
                            ? "remove it: customers of an interface's own network need no `prefixes`"
                            : "write the network that is behind it, or remove it",
                        related: [(link.name.origin, "the interface is here")])
                    continue
                }
                let own = file.interfaces[leg.interface]
                if own.addresses.contains(where: { prefix.value.contains($0.value.value.prefix) }) {
                    diagnostics.error(
                        prefix.origin,
                        "\(prefix.value) cannot lie behind \(name): it includes the network of interface "
                            + "\(quoted(own.name.value)) \(own.name.origin.place), which is in front of it",
                        hint: "write the networks that are behind it, without that one",
                        related: [(own.name.origin, "the interface is here")])
                    continue
                }
                let other = file.nodes[..<index].enumerated().lazy.flatMap { number, other in
                    other.kind != .customer
                        ? []
                        : other.prefixes.filter { $0.value.overlaps(prefix.value) }.map { (number, $0) }
                }.first { number, found in
                    guard let leg = legs[number].first, let via = leg.address(found.value.family) else { return false }
                    return sides.contains(CustomerSide(interface: leg.interface, prefix: found.value, via: via))
                }
                guard let (first, found) = other else { continue }
                let shared = found.value.contains(prefix.value) ? prefix.value : found.value
                let place = "behind \(quoted(file.nodes[first].name.value)) \(found.origin.place)"
                diagnostics.error(
                    prefix.origin,
                    "\(prefix.value) lies behind \(name) and "
                        + (found.value == prefix.value ? place : "\(found.value) \(place)") + ": answers "
                        + (found.value == prefix.value ? "" : "to \(shared) ") + "could only go to one",
                    hint: "give each its own network, or make two services, one `from` each",
                    related: [(found.origin, "the other is here")])
            }
        }
    }

    /// An application or router that is a customer itself: its requests come from its far side and are known by its MAC
    /// address. An application sends from its own addresses; behind a router lies everything.
    private func add(
        opener node: Int, _ name: RawStop, _ service: ResolvedService, _ scopes: inout [Scope],
        _ sides: inout [CustomerSide]
    ) {
        let raw = file.nodes[node]
        guard !legs[node].isEmpty else { return }
        let what = "\(quoted(name.value)) \(place(node).place)"
        if raw.transparent {
            diagnostics.error(
                name.origin, "\(what) is transparent: it opens no connections",
                hint: "name a customer, a router, or an application with addresses of its own")
            return
        }
        guard let place = openingLeg(of: node, name) else { return }
        let leg = legs[node][place]
        if service.chain.contains(lead(node)) {
            diagnostics.error(
                name.origin,
                "\(what) is a customer of service \(quoted(service.raw.name.value)) and in its sequence: "
                    + "its packets would come back to it",
                hint: "end the sequence before it, or remove it from `from`")
            return
        }
        if raw.kind == .router {
            scopes.append(Scope(interface: leg.interface, node: node, leg: place))
            sides += service.families.sorted { $0.rawValue < $1.rawValue }.map {
                CustomerSide(interface: leg.interface, prefix: .everything($0), node: node, leg: place)
            }
            return
        }
        if leg.addresses.isEmpty {
            diagnostics.error(
                name.origin,
                "\(what) has no address on interface \(quoted(file.interfaces[leg.interface].name.value)) to send from",
                hint: "give it one, or the interface one")
        }
        // A transparent proxy, or one that translates addresses, also sends from other hosts' addresses.
        for prefix in leg.addresses.map({ IPPrefix(host: $0.address) }) + raw.prefixes.map(\.value) {
            scopes.append(Scope(interface: leg.interface, source: prefix, node: node, leg: place))
            sides.append(CustomerSide(interface: leg.interface, prefix: prefix, node: node, leg: place))
        }
    }

    /// The leg that an application or router sends its requests by: the one that the service names, else the usual one.
    private func openingLeg(of node: Int, _ raw: RawStop) -> Int? {
        if let leave = raw.leave {
            diagnostics.error(
                leave.origin, "a customer's requests leave it by one leg",
                hint: "write the leg's name alone: { \(raw.value): \(leave.value) }")
            return nil
        }
        if let name = raw.enter { return leg(name, of: node) }
        if let usual = openingLeg(node) { return usual }
        let names = file.nodes[node].legs.compactMap(\.name)
        diagnostics.error(
            raw.origin,
            "\(quoted(raw.value)) has \(names.count) legs (\(names.joined(separator: ", "))), and the service does not say by "
                + "which it sends its requests",
            hint: "write { \(raw.value): \(names.last ?? "…") }")
        return nil
    }
}

/// The customers of an interface, and the networks behind them.
extension AddressStage where Self: Diagnosing {
    func add(_ interface: Int, _ scopes: inout [Scope], _ sides: inout [CustomerSide]) {
        if file.interfaces[interface].loan != nil { return add(beyond: interface, &scopes, &sides) }
        scopes.append(Scope(interface: interface, source: nil))
        var links = file.interfaces[interface].addresses.map(\.value.value.prefix)
        var behind: [CustomerSide] = []
        for (node, leg) in legsOn[interface] where file.nodes[node].kind == .customer {
            links += legs[node][leg].addresses.map(\.prefix)
            behind += networks(behind: node)
        }
        sides += links.uniqued().map { CustomerSide(interface: interface, prefix: $0) } + behind
    }

    /// The customers of an interface that a device of the machine is bound to: those of the file, and the networks that it
    /// says are behind the device. Nobody else there is one.
    private func add(beyond interface: Int, _ scopes: inout [Scope], _ sides: inout [CustomerSide]) {
        var found = file.interfaces[interface].behind.map { CustomerSide(interface: interface, prefix: $0.value) }
        for (node, leg) in legsOn[interface] where file.nodes[node].kind == .customer {
            found += legs[node][leg].addresses.map {
                CustomerSide(interface: interface, prefix: IPPrefix(host: $0.address))
            }
            found += networks(behind: node)
        }
        scopes += found.map { Scope(interface: interface, source: $0.prefix) }
        sides += found
    }

    /// The networks behind a customer, each by way of the customer's address of its family.
    func networks(behind node: Int) -> [CustomerSide] {
        guard let leg = legs[node].first else { return [] }
        return file.nodes[node].prefixes.compactMap { prefix in
            guard let via = leg.address(prefix.value.family) else {
                diagnostics.error(
                    prefix.origin,
                    "\(quoted(file.nodes[node].name.value)) has no address of the family of \(prefix.value), the network "
                        + "behind it",
                    hint: "give it one in `address`")
                return nil
            }
            return CustomerSide(interface: leg.interface, prefix: prefix.value, via: via)
        }
    }
}
