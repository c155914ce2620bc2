import Forwarding
import Plan
import Reporting
import Wire
import Yams

/// The management address: `records: { manage: … }`. It becomes a node and a service like those of the file, so the engines, the
/// proof and every listing know it.
extension FileReader {
    /// The management address as the file has it.
    func management(_ node: Node, _ origin: SourceOrigin) -> RawManagement? {
        let fields = nodes.fields(node, "`manage`", Grammar.management)
        guard fields.isMapping else { return nil }
        var management = RawManagement(origin: origin)
        for value in nodes.list(fields["address"]) {
            guard let written = nodes.address(value, "the management address") else { continue }
            let own = written.value.value
            guard own.length == own.address.family.width else {
                diagnostics.error(
                    written.origin, "the management address \(own) is a network",
                    hint: "write one address: \(own.address)")
                continue
            }
            guard !management.addresses.contains(where: { $0.value.address == own.address }) else {
                diagnostics.error(
                    written.origin, "the management address \(own.address) is given twice", hint: "remove one")
                continue
            }
            management.addresses.append(Located(IPPrefix(host: own.address), written.origin))
        }
        if nodes.list(fields["address"]).isEmpty {
            diagnostics.error(
                origin, "`manage` has no address",
                hint: "add `address: …`: where tenants send their instructions, such as 192.0.2.254")
        }
        if let port = nodes.integer(fields["port"], "the management port", in: Grammar.managementPorts) {
            management.port = port.value
        }
        management.interfaces = nodes.texts(fields["interface"], "the interface of the management address")
        if nodes.list(fields["interface"]).isEmpty {
            diagnostics.error(
                origin, "`manage` has no interface",
                hint: "add `interface: …`: that of the customers who may reach it")
        }
        if let value = fields["certificate"] { management.certificate = certificate(value) }
        management.authorities = pem(fields["client-certificates"], "`client-certificates`", "CERTIFICATE")
        return management
    }

    private func certificate(_ node: Node) -> ManagementPlan.Certificate? {
        let fields = nodes.fields(node, "`certificate`", Grammar.certificateFiles)
        for key in ["chain", "key"] where fields.isMapping && fields[key] == nil {
            diagnostics.error(
                node.origin, "`certificate` has no `\(key)`", hint: "write { chain: FILE, key: FILE }, both in PEM")
        }
        let chain = pem(fields["chain"], "`chain`", "CERTIFICATE")
        let key = pem(fields["key"], "`key`", "PRIVATE KEY")
        guard let chain, let key else { return nil }
        return ManagementPlan.Certificate(chain: chain, key: key)
    }

    /// A PEM file beside the topology file, or beside the included file that names it (RFC 7468).
    ///
    /// - Parameter label: The end of the label of what must be in it.
    private func pem(_ node: Node?, _ what: String, _ label: String) -> ManagementPlan.File? {
        guard let node, let (contents, origin) = source(node, isTemplate: false, what) else { return nil }
        let path = node.scalar?.string ?? ""
        let text = String(decoding: contents, as: UTF8.self)
        let heads = text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("-----BEGIN ") }
        if heads.contains(where: { $0.contains("ENCRYPTED") }) || text.contains("Proc-Type: 4,ENCRYPTED") {
            diagnostics.error(
                origin, "the key in \(quoted(path)) needs a passphrase",
                hint: "write it without one, readable by root alone: openssl pkey -in \(path) -out FILE")
            return nil
        }
        guard heads.contains(where: { $0.hasSuffix("\(label)-----") }) else {
            diagnostics.error(
                origin,
                "\(quoted(path)) has no \(label == "CERTIFICATE" ? "certificate" : "private key") in PEM",
                hint: "it must have a line -----BEGIN \(label)-----")
            return nil
        }
        return ManagementPlan.File(path: path, text: text, origin: origin)
    }

    // MARK: - Tenants

    /// Customers of a tenant: names of nodes, and networks.
    func readCustomers(_ node: Node?, _ subject: String, _ tenant: inout RawTenant) {
        for value in nodes.list(node) {
            guard let text = nodes.text(value, "a customer of \(subject)") else { continue }
            guard NameForm.looksLikeAddress(text.value) else {
                tenant.customers.append(text)
                continue
            }
            if let network = nodes.prefix(value, "a network of \(subject)") { tenant.networks.append(network) }
        }
    }

    /// The names in client certificates of a tenant.
    func certificateNames(_ node: Node?, _ subject: String) -> [Located<String>] {
        nodes.texts(node, "a certificate's name of \(subject)").filter { name in
            guard name.value.utf8.count > 255 || name.value.unicodeScalars.contains(where: { $0.value < 32 }) else {
                return true
            }
            diagnostics.error(
                name.origin, "a certificate's name of \(subject) is longer than 255 octets, or has control characters",
                hint: "write the DNS name, e-mail address, URI or common name that is in the certificate")
            return false
        }
    }

    /// Reports names in certificates that would stand for two tenants, and those that nothing asks for.
    private func checkCertificates(of file: TopologyFile) {
        var owners: [String: (tenant: String, origin: SourceOrigin)] = [:]
        for tenant in file.tenants {
            for name in tenant.certificates {
                if let owner = owners.updateValue((tenant.name.value, name.origin), forKey: name.value) {
                    diagnostics.error(
                        name.origin,
                        owner.tenant == tenant.name.value
                            ? "the certificate's name \(quoted(name.value)) is given twice"
                            : "the certificate's name \(quoted(name.value)) is that of tenant \(quoted(owner.tenant)), too",
                        hint: "give every name to one tenant", related: [(owner.origin, "the other place")])
                }
            }
            guard let first = tenant.certificates.first, file.records != nil,
                file.records?.management?.authorities == nil
            else { continue }
            diagnostics.error(
                first.origin,
                "tenant \(quoted(tenant.name.value)) has a certificate, and `manage` names no authority of such",
                hint: "add `client-certificates: FILE` to `manage`")
        }
    }

    // MARK: - The node and the service

    /// Adds the node and the service of the management address, and reports what contradicts them.
    func addManagement(to file: inout TopologyFile) {
        checkCertificates(of: file)
        guard let management = file.records?.management else { return }
        let name = ManagementPlan.name
        refuse(name, of: file, beside: management)
        checkAddresses(management, file)
        guard let interface = management.interfaces.first, !management.addresses.isEmpty,
            !file.nodes.contains(where: { $0.name.value == name }),
            !file.services.contains(where: { $0.name.value == name })
        else { return }
        var node = RawNode(name: Located(name, management.origin), kind: .application)
        node.type = ManagementPlan.type
        node.legs = [RawLeg(interface: interface, origin: interface.origin)]
        file.nodes.append(node)
        var service = RawService(name: Located(name, management.origin))
        service.addresses = management.addresses
        service.ports = PortSpecification("tcp/\(management.port)").map { [Located($0, management.origin)] } ?? []
        service.from = management.interfaces.map { RawStop(name: $0) }
        service.sequence = [RawStop(name: Located(name, management.origin))]
        file.services.append(service)
    }

    /// Reports what has, or uses, the name of the management address's node.
    private func refuse(_ name: String, of file: TopologyFile, beside management: RawManagement) {
        let related = [(management.origin, "the management address is here")]
        let owners =
            file.nodes.map { ($0.name, "node") } + file.applications.map { ($0.name, "node") }
            + file.services.map { ($0.name, "service") }
        for (owner, kind) in owners where owner.value == name {
            diagnostics.error(
                owner.origin, "\(quoted(name)) is the \(kind) of the management address", hint: "rename this one",
                related: related)
        }
        var users: [Located<String>] = file.tenants.flatMap { $0.applications + $0.customers }
        for service in file.services {
            users += (service.from + service.distribute + service.sequence + service.between).map(\.name)
        }
        for entry in file.entries {
            for end in [entry.source, entry.destination] {
                if let end, case .node(let node) = end.value { users.append(Located(node, end.origin)) }
            }
            for target in entry.targets {
                if case .node(let node) = target.address { users.append(node) }
            }
        }
        for user in users where user.value == name {
            diagnostics.error(
                user.origin, "\(quoted(name)) is the node of the management address, and serves nothing else",
                hint: "name another node", related: related)
        }
    }

    /// Reports services and tenants with the management address. Nodes and the engine are compared with all services.
    private func checkAddresses(_ management: RawManagement, _ file: TopologyFile) {
        for own in management.addresses {
            for service in file.services {
                for address in service.addresses where address.value.isHost && address.value == own.value {
                    diagnostics.error(
                        own.origin,
                        "the management address \(own.value.address) is that of service \(quoted(service.name.value))",
                        hint: "choose an unused address", related: [(address.origin, "the service's")])
                }
            }
            for tenant in file.tenants {
                for address in tenant.addresses where address.value.contains(own.value) {
                    diagnostics.error(
                        own.origin,
                        "the management address \(own.value.address) is one of tenant \(quoted(tenant.name.value))",
                        hint: "choose an unused address, or give the tenant others",
                        related: [(address.origin, "the tenant's")])
                }
            }
        }
    }
}
