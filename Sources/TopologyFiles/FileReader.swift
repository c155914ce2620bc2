import Plan
import Reporting
import Wire
import Yams

/// Reads the sections of a topology file into its raw form.
struct FileReader {
    let nodes: NodeReader
    let sources = SourceFiles()
    /// True if values are in the places of expressions already: `{{` is text then.
    let isResolved: Bool
    var diagnostics: Diagnostics { nodes.diagnostics }

    init(diagnostics: Diagnostics, isResolved: Bool = false) {
        nodes = NodeReader(diagnostics: diagnostics)
        self.isResolved = isResolved
    }

    /// The part if it has expressions without values.
    func unread(_ node: Node) -> UnreadPart? { isResolved ? nil : UnreadPart(node) }

    /// The raw form; nil if the content cannot be read at all.
    func read(_ text: String, path: String, settings: FileSettings) -> TopologyFile? {
        var composer = FileComposer(settings: settings, diagnostics: diagnostics)
        guard let root = composer.compose(text, path: path) else { return nil }
        let fields = nodes.fields(root, "the file", Grammar.file)
        var name = Located("topology", root.origin)
        if let node = fields["name"] {
            if let written = nodes.text(node, "name", mayBeEmpty: true) {
                name = written
                checkName(written, "topology")
            }
        } else {
            diagnostics.error(root.origin, "the topology has no name", hint: "add `name: …`")
        }
        var file = TopologyFile(path: path, text: text, name: name)
        (file.included, file.settings) = (composer.included, settings)
        if let node = fields["interfaces"] { file.interfaces = interfaces(node) }
        if let node = fields["filesystem"], let usual = filesystem(node) { file.filesystem = usual }
        readNodes(fields, &file)
        resolveCircuits(of: &file)
        resolveTunnels(of: &file)
        file.included.merge(sources.templates) { included, _ in included }
        if let node = fields["services"] {
            for (name, value) in nodes.entries(node, "services").pairs {
                checkName(name, "service")
                file.services.append(service(name, value))
            }
        }
        resolveServicePaths(of: &file)
        giveAddresses(fields, root, to: &file)
        let nodeNames = file.nodes.map(\.name) + file.applications.map(\.name)
        for names in [file.interfaces.map(\.name), nodeNames, file.services.map(\.name)] { checkDistinct(names) }
        addNameService(fields, to: &file)
        readTenants(fields, &file)
        checkAccess(of: file)
        addNegotiation(to: &file)
        addManagement(to: &file)
        if let node = fields["entries"] { file.entries = entries(node) }
        for node in nodes.list(fields["checks"]) {
            if let check = check(node) { file.checks.append(check) }
        }
        file.engines = engines(fields)
        checkLinks(of: file)
        checkDevices(of: file.interfaces)
        return file
    }

    /// The nodes in the order of the file, of an application with instances those.
    private func readNodes(_ fields: Fields, _ file: inout TopologyFile) {
        let sections: [(String, NodeKind)] = [
            ("customers", .customer), ("applications", .application), ("routers", .router),
        ]
        var made: [(origin: SourceOrigin, nodes: [RawNode], application: RawApplication?)] = []
        for (section, kind) in sections {
            guard let node = fields[section] else { continue }
            for (name, value) in nodes.entries(node, section).pairs {
                checkName(name, kind.rawValue, isNode: true)
                let read = self.node(name, value, kind)
                made.append((name.origin, read.nodes, read.application))
            }
        }
        made.sort { $0.origin < $1.origin }
        file.nodes = made.flatMap(\.nodes)
        file.applications = made.compactMap(\.application)
    }

    /// Reports a text that cannot be a name.
    func checkName(_ name: Located<String>, _ kind: String, isNode: Bool = false) {
        guard let (fault, hint) = NameForm.fault(of: name.value, isNode: isNode) else { return }
        let article = kind.first.map { "aeiou".contains($0) } ?? false ? "an" : "a"
        diagnostics.error(
            name.origin, "\(quoted(name.value, seen: true)) cannot be the name of \(article) \(kind): \(fault)",
            hint: hint)
    }

    /// Reports names that differ from others of their kind only by invisible characters.
    func checkDistinct(_ names: [Located<String>]) {
        var seen: [String: Located<String>] = [:]
        for name in names {
            let visible = NameForm.visible(name.value)
            if let other = seen[visible], other.value != name.value {
                diagnostics.error(
                    name.origin,
                    "\(quoted(name.value, seen: true)) looks like the name \(other.origin.place), but is a different one",
                    hint: "remove the invisible characters, or rename one")
            } else {
                seen[visible] = name
            }
        }
    }

    private func interfaces(_ node: Node) -> [RawInterface] {
        let pairs = nodes.entries(node, "interfaces").pairs
        if pairs.count > 4096 {
            diagnostics.error(
                pairs[4096].key.origin, "this is interface \(pairs.count) and the engine has room for 4096",
                hint: "put several nodes on one interface")
        }
        return pairs.prefix(4096).flatMap { name, value in
            checkName(name, "interface")
            let fields = nodes.fields(value, "interface \(quoted(name.value))", Grammar.interface)
            var interface = interfaceParts(name, fields)
            device(&interface, fields)
            return circuits(of: interface, fields)
        }
    }

    /// What an interface and a circuit have in common.
    func interfaceParts(_ name: Located<String>, _ fields: Fields) -> RawInterface {
        let mtu = nodes.integer(fields["mtu"], "the MTU", in: Grammar.mtus)
        var interface = RawInterface(name: name, mtu: mtu ?? Located(1500, fields.origin(of: "mtu")))
        let mode: Located<CopyMode>? = nodes.choice(fields["copies"], "`copies`")
        if let mode, mode.value == .everything { interface.copiesEverything = mode.origin }
        interface.antiSpoofing = nodes.flag(fields["anti-spoofing"], "`anti-spoofing`")
        if let queue = nodes.integer(fields["queue"], "the queue", in: Grammar.queues) {
            interface.queue = queue.value
        }
        interface.impairment = impairment(fields["impair"], "`impair` of \(fields.subject)")
        interface.namesAddresses = fields["address"] != nil
        for node in nodes.list(fields["address"]) {
            guard let address = nodes.address(node, "the engine's address") else { continue }
            if address.value.hasLength {
                interface.addresses.append(address)
            } else {
                let length = address.value.value.address.family == .ipv4 ? 24 : 64
                diagnostics.error(
                    address.origin, "the engine's address \(address.value.value.address) has no prefix length",
                    hint: "write \(address.value.value.address)/\(length)")
            }
        }
        return interface
    }
}
