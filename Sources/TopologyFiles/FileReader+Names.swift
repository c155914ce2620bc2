import Forwarding
import Plan
import Reporting
import Wire
import Yams

/// Nodes of Tapline's own that answer at the engine's addresses. Each is on an interface of its own, where nobody else is.
extension FileReader {
    /// `dns: true`: adds the node that answers questions for names, and its interface, and reports what has their names.
    func addNameService(_ fields: Fields, to file: inout TopologyFile) {
        guard let node = fields["dns"], let wanted = nodes.flag(node, "`dns`"), wanted.value else { return }
        let origin = fields.origin(of: "dns")
        guard var resolver = addAnswerer(NameService.node, "`dns`", origin, NameService.networks, to: &file) else {
            return
        }
        file.nameService = origin
        resolver.type = NameService.type
        resolver.process.run = NameService.command
        resolver.process.restart = .always
        resolver.process.confinement.capabilities = CapabilitySet(["net_bind_service", "setgid", "setuid"])
        let families = file.interfaces.last?.addresses.map(\.value.value.address.family)
        if let question = DNSQuestion(name: NameService.node, type: families?.first == .ipv6 ? .aaaa : .a) {
            resolver.process.ready = .question(
                .dns(server: IPAddress(ipv4: 0x7F00_0001), port: NameService.port, question: question, expect: nil))
        }
        file.nodes.append(resolver)
    }

    /// Adds the interface of a node that answers, with the first networks that nothing else overlaps.
    ///
    /// - Parameter key: What makes it, as the file writes it.
    /// - Returns: The node, which the caller adds; nil if something has its name already, which is reported.
    func addAnswerer(
        _ name: String, _ key: String, _ origin: SourceOrigin, _ networks: [AddressFamily: [String]],
        to file: inout TopologyFile
    ) -> RawNode? {
        let owners =
            file.nodes.map { ($0.name, "node") } + file.applications.map { ($0.name, "node") }
            + file.interfaces.map { ($0.name, "interface") }
        let taken = owners.filter { $0.0.value == name }
        for (owner, kind) in taken {
            diagnostics.error(
                owner.origin, "\(quoted(name)) is the \(kind) that \(key) makes", hint: "rename this one",
                related: [(origin, "\(key) is here")])
        }
        guard taken.isEmpty else { return nil }
        var interface = RawInterface(name: Located(name, origin), mtu: Located(1500, origin))
        let used = file.interfaces.flatMap(\.addresses).map(\.value.value)
        for family in AddressFamily.allCases where used.contains(where: { $0.address.family == family }) {
            let free = networks[family, default: []].compactMap { InterfaceAddress($0) }
                .first { own in !used.contains { $0.prefix.overlaps(own.prefix) } }
            guard let free else { continue }
            interface.addresses.append(Located(RawAddress(value: free, hasLength: true), origin))
        }
        file.interfaces.append(interface)
        var node = RawNode(name: Located(name, origin), kind: .application)
        node.legs = [RawLeg(interface: Located(name, origin), origin: origin)]
        // Its answers are from the engine's addresses.
        node.antiSpoofing = Located(false, origin)
        return node
    }
}
