import Forwarding
import Plan
import Reporting
import Wire
import Yams

/// `dns: true`: a node that answers questions for names. It is on an interface of its own, where nobody else is.
extension FileReader {
    /// Adds the node and its interface, and reports what has their names.
    func addNameService(_ fields: Fields, to file: inout TopologyFile) {
        guard let node = fields["dns"], let wanted = nodes.flag(node, "`dns`"), wanted.value else { return }
        let (name, origin) = (NameService.node, fields.origin(of: "dns"))
        let owners =
            file.nodes.map { ($0.name, "node") } + file.applications.map { ($0.name, "node") }
            + file.interfaces.map { ($0.name, "interface") }
        let taken = owners.filter { $0.0.value == name }
        for (owner, kind) in taken {
            diagnostics.error(
                owner.origin, "\(quoted(name)) is the \(kind) that `dns` makes", hint: "rename this one",
                related: [(origin, "`dns` is here")])
        }
        guard taken.isEmpty else { return }
        var interface = RawInterface(name: Located(name, origin), mtu: Located(1500, origin))
        let used = file.interfaces.flatMap(\.addresses).map(\.value.value)
        for family in AddressFamily.allCases where used.contains(where: { $0.address.family == family }) {
            let free = NameService.networks[family, default: []].compactMap { InterfaceAddress($0) }
                .first { own in !used.contains { $0.prefix.overlaps(own.prefix) } }
            guard let free else { continue }
            interface.addresses.append(Located(RawAddress(value: free, hasLength: true), origin))
        }
        file.interfaces.append(interface)
        file.nameService = origin
        var resolver = RawNode(name: Located(name, origin), kind: .application)
        resolver.type = NameService.type
        resolver.legs = [RawLeg(interface: Located(name, origin), origin: origin)]
        // Its answers are from the engine's addresses.
        resolver.antiSpoofing = Located(false, origin)
        resolver.process.run = NameService.command
        resolver.process.restart = .always
        resolver.process.confinement.capabilities = CapabilitySet(["net_bind_service", "setgid", "setuid"])
        if let question = DNSQuestion(
            name: name, type: interface.addresses.first?.value.value.address.family == .ipv6 ? .aaaa : .a)
        {
            resolver.process.ready = .question(
                .dns(server: IPAddress(ipv4: 0x7F00_0001), port: NameService.port, question: question, expect: nil))
        }
        file.nodes.append(resolver)
    }
}
