import Forwarding
import Plan
import Reporting
import Wire
import Yams

/// `negotiate: …`: what an application may ask for, and the node that answers.
extension FileReader {
    /// What an application may ask for; nil: nothing.
    func negotiation(of node: RawNode, _ fields: Fields) -> RawNegotiation? {
        guard let value = fields["negotiate"] else { return nil }
        let subject = "`negotiate` of \(fields.subject)"
        let own = nodes.fields(value, subject, Grammar.negotiation)
        guard own.isMapping else { return nil }
        var rules = RawNegotiation(origin: fields.origin(of: "negotiate"))
        for (holds, kind) in [(node.passive, "passive"), (node.transparent, "transparent")] where holds {
            diagnostics.error(
                rules.origin, "\(fields.subject) is \(kind): no service could end at it",
                hint: "write `negotiate` at an application that answers")
            return nil
        }
        readPlaces(own, subject, &rules)
        rules.through = nodes.texts(own["through"], "an application of `through`")
        nodes.refuseEmptyList(own, "from", "every interface that has customers")
        rules.from = nodes.texts(own["from"], "an interface or customer of `from`")
        for name in rules.through where name.value == node.name.value {
            diagnostics.error(name.origin, "\(fields.subject) cannot be in front of itself", hint: "remove it here")
        }
        if let text = nodes.text(own["lifetime"], "`lifetime`") {
            if let lifetime = Self.lifetime(text.value) {
                rules.lifetime = lifetime
            } else {
                diagnostics.error(
                    text.origin, "\(quoted(text.value)) is no range of lifetimes",
                    hint: "write the shortest and the longest, from 1s to 1d, such as 30s..2m")
            }
        }
        if let most = nodes.integer(own["mappings"], "the number of mappings", in: Grammar.mappings) {
            rules.mappings = most.value
        }
        if let most = nodes.integer(own["requests"], "the number of requests", in: Grammar.mappingRequests) {
            rules.requests = most.value
        }
        return rules
    }

    /// `30s..2m`, in seconds.
    private static func lifetime(_ text: String) -> ClosedRange<Int>? {
        guard let dots = text.firstRange(of: ".."),
            let shortest = DurationText.milliseconds(text[..<dots.lowerBound]),
            let longest = DurationText.milliseconds(text[dots.upperBound...]),
            shortest >= 1000, shortest <= longest
        else { return nil }
        return shortest / 1000...longest / 1000
    }

    private func readPlaces(_ own: Fields, _ subject: String, _ rules: inout RawNegotiation) {
        for value in nodes.list(own["addresses"]) {
            guard let written = nodes.address(value, "an address of \(subject)") else { continue }
            let address = written.value.value
            if address.length != address.address.family.width {
                diagnostics.error(
                    written.origin, "the service address \(address) is a network",
                    hint: "write each address that it can be given, such as \(address.address)")
            } else if rules.addresses.contains(where: { $0.value == address.address }) {
                diagnostics.error(
                    written.origin, "the service address \(address.address) is given twice", hint: "remove one")
            } else {
                rules.addresses.append(Located(address.address, written.origin))
            }
        }
        for value in nodes.list(own["ports"]) {
            guard let port = nodes.port(value, "a service port of \(subject)") else { continue }
            guard [.number(IPProtocol.tcp), .number(IPProtocol.udp)].contains(port.value.upperProtocol) else {
                diagnostics.error(
                    port.origin, "only ports of TCP and UDP can be asked for", hint: "write tcp/80 or udp/27000-27999")
                continue
            }
            rules.ports.append(port)
        }
        for (key, example) in [("addresses", "[203.0.113.82]"), ("ports", "[udp/27000-27999]")]
        where nodes.list(own[key]).isEmpty {
            diagnostics.error(rules.origin, "\(subject) has no `\(key)`", hint: "add `\(key): \(example)`")
        }
    }

    /// Adds the node that answers requests, on an interface of its own, and reports what has their names.
    func addNegotiation(to file: inout TopologyFile) {
        let asking = file.negotiations()
        guard let first = asking.first else { return }
        let (name, origin) = (NegotiationPlan.node, first.rules.origin)
        for (application, rules) in asking {
            guard let tenant = file.tenants.first(where: { $0.name.value == application.value }) else { continue }
            diagnostics.error(
                rules.origin,
                "\(quoted(application.value)) is a tenant, too, so nobody could tell what belongs to whom",
                hint: "rename one of the two", related: [(tenant.name.origin, "the tenant")])
        }
        for (application, rules) in asking {
            for address in rules.addresses {
                for tenant in file.tenants {
                    guard let theirs = tenant.addresses.first(where: { $0.value.contains(address.value) }) else {
                        continue
                    }
                    diagnostics.error(
                        address.origin,
                        "\(address.value) of application \(quoted(application.value)) is tenant "
                            + "\(quoted(tenant.name.value))'s", hint: "give every address to one of them",
                        related: [(theirs.origin, "the tenant's")])
                }
            }
        }
        if let made = addAnswerer(name, "`negotiate`", origin, NegotiationPlan.networks, to: &file) {
            var node = made
            node.type = NegotiationPlan.type
            file.nodes.append(node)
            file.hasNegotiation = true
        }
    }

    /// A mapping that a check looks for.
    func mapping(_ node: Node?) -> RawMappingExpectation? {
        guard let node else { return nil }
        let fields = nodes.fields(node, "`mapping`", Grammar.mapping)
        guard fields.isMapping else { return nil }
        guard let application = nodes.text(fields["application"], "`application`") else {
            if fields["application"] == nil {
                diagnostics.error(
                    node.origin, "the mapping has no application", hint: "add `application: …`: the one that asked")
            }
            return nil
        }
        var expectation = MappingExpectation(application: application.value)
        if let port = nodes.port(fields["service-port"], "`service-port`") {
            guard port.value.ports.count == 1,
                [.number(IPProtocol.tcp), .number(IPProtocol.udp)].contains(port.value.upperProtocol)
            else {
                diagnostics.error(
                    port.origin, "a mapping has one port of TCP or UDP", hint: "write udp/27015, for example")
                return nil
            }
            let name = port.value.upperProtocol == .number(IPProtocol.udp) ? "udp" : "tcp"
            expectation.servicePort = "\(name)/\(port.value.ports.lowerBound)"
        }
        expectation.serviceAddress = nodes.address(fields["service-address"], "`service-address`")?.value.value.address
        expectation.port = nodes.integer(fields["port"], "`port`", in: 1...65535)?.value
        if let standing: Located<MappingExpectation.Standing> = nodes.choice(fields["is"], "`is`") {
            expectation.standing = standing.value
        }
        return RawMappingExpectation(application: application, expectation: expectation)
    }

    /// `within` of a mapping, in milliseconds.
    func patience(ofMapping node: Node?) -> Int? {
        node.flatMap { $0.mapping?["within"] }.flatMap { nodes.duration($0, "`within`")?.value }
    }
}
