import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The questions that a stage can answer as soon as names are known: `NamedTopology`, and every stage made from it.
protocol NameStage {
    var named: NamedTopology { get }
}

extension NamedTopology: NameStage {
    var named: NamedTopology { self }
}

/// Reads a stage, makes a part of the next one, and reports mistakes.
///
/// The initialiser of a stage makes and uses such a value. Nothing keeps it, so no stage holds diagnostics.
protocol Diagnosing {
    var diagnostics: Diagnostics { get }
}

extension NameStage {
    var file: TopologyFile { named.file }
    /// The topology's name.
    var name: String { named.name }
    /// True if the file had mistakes before: possible consequences are not reported then.
    var followsMistakes: Bool { named.followsMistakes }
    var interfaceIndex: [String: Int] { named.interfaces.index }
    /// The nodes by name; an application's name means its first instance.
    var nodeIndex: [String: Int] { named.groups.nodeIndex }
    var applications: [ResolvedApplication] { named.groups.applications }
    /// For each interface: the nodes' legs on it, as indices of node and leg.
    var legsOn: [[(node: Int, leg: Int)]] { named.nodes.legsOn }

    /// The application that a node is an instance of.
    func application(of node: Int) -> ResolvedApplication? {
        // Hosts behind a device are nodes of a proof alone.
        guard file.nodes.indices.contains(node) else { return nil }
        return named.groups.applicationIndex[node].map { named.groups.applications[$0] }
    }

    /// The nodes that share a place in a chain with this one: the instances of its application, else itself alone.
    func members(of node: Int) -> [Int] { application(of: node)?.members ?? [node] }

    /// The node of an application in chains: its first instance, or the only one.
    func lead(_ node: Int) -> Int { application(of: node)?.members[0] ?? node }

    /// The interfaces with unnamed hosts behind a device. In a proof, each has one customer more, which stands for them.
    var beyond: [Int] { file.interfaces.indices.filter { !file.interfaces[$0].behind.isEmpty } }

    /// The name of a node of the proof, and its place in the file.
    func provedName(_ node: Int) -> String {
        if file.nodes.indices.contains(node) { return file.nodes[node].name.value }
        let interface = file.interfaces[beyond[node - file.nodes.count]]
        return "hosts behind \(interface.device?.value ?? interface.name.value)"
    }

    /// As messages name a node of the proof.
    func nodeName(_ node: Int?) -> String {
        node.map { quoted(provedName($0)) } ?? "a station without a name"
    }

    /// See `provedName`.
    func provedOrigin(_ node: Int) -> SourceOrigin {
        if file.nodes.indices.contains(node) { return file.nodes[node].name.origin }
        return file.interfaces[beyond[node - file.nodes.count]].name.origin
    }

    /// The name of a node in chains and entries: its application's.
    func shownName(_ node: Int) -> String { named.file.shownName(node) }

    /// The place of a node's name in chains: the application's, else its own.
    func place(_ node: Int) -> SourceOrigin {
        application(of: node)?.raw.name.origin ?? file.nodes[node].name.origin
    }

    /// The names that services may list, for nodes of these kinds: applications, not their instances.
    func listedNames(_ kinds: Set<NodeKind>) -> [String] {
        file.nodes.indices.filter { kinds.contains(file.nodes[$0].kind) }.map { shownName($0) }.uniqued()
    }

    /// True if an interface is another, or was made of it.
    func isPart(_ interface: Int, of other: Int) -> Bool {
        interface == other || file.interfaces[interface].home == file.interfaces[other].name.value
    }

    /// The engine's address of a family on an interface; fe80::1 if it has no other.
    func gateway(_ family: AddressFamily, on interface: Int) -> IPAddress? {
        let addresses = file.interfaces[interface].addresses.map(\.value.value.address)
        return addresses.first { $0.family == family } ?? (family == .ipv6 ? TableInterface.linkLocal : nil)
    }

    /// The reason why an address or a prefix cannot be the source or the destination of a host's packets; nil: it can.
    func unusable(_ prefix: IPPrefix) -> String? {
        let address = prefix.address
        if address.isMulticast { return "is a group's" }
        if address.isLimitedBroadcast { return "is the broadcast address" }
        if address.isLoopback, prefix.length >= 8 { return "is a loopback address, which never leaves a host" }
        if prefix.isHost, address.isUnspecified { return "is the unspecified address" }
        if address.family == .ipv4, prefix.length >= 8, address.low >> 24 == 0 {
            return "is of network 0, which has no hosts (RFC 1122, 3.2.1.3)"
        }
        if address.family == .ipv4, prefix.length >= 4, address.low >> 28 == 0xF {
            return "is in the reserved range 240.0.0.0/4, which hosts refuse"
        }
        if address.isLinkLocal, prefix.length > 9 { return "is link-local: it is on every link, so it is not unique" }
        return nil
    }

    /// The reason why one address cannot be a host's on the interfaces of the file: it is a network itself there, or
    /// the broadcast address of one.
    func unusableOnLinks(_ prefix: IPPrefix) -> String? {
        guard prefix.isHost else { return nil }
        for interface in file.interfaces {
            for link in interface.addresses.map(\.value.value)
            where link.prefix.contains(prefix) && link.length < prefix.family.width - 1 {
                let what = "of interface \(quoted(interface.name.value)) \(interface.name.origin.place)"
                if link.prefix.address == prefix.address { return "is the network itself \(what)" }
                if prefix.family == .ipv4,
                    prefix.address.low == link.prefix.address.low + (1 << UInt64(32 - link.length)) - 1
                {
                    return "is the broadcast address \(what)"
                }
            }
        }
        return nil
    }
}

/// Looks up names of the file, and reports names that stand for nothing.
extension NameStage where Self: Diagnosing {
    /// The index of an interface; reports an unknown one.
    func interface(_ name: Located<String>) -> Int? { named.interfaces.find(name, in: named.file, diagnostics) }

    /// The index of a node of one of the kinds; reports an unknown one.
    func node(_ name: Located<String>, _ kinds: Set<NodeKind>, _ what: String) -> Int? {
        func known() -> [String] {
            what == "node"
                ? file.nodes.filter { kinds.contains($0.kind) }.map(\.name.value) : listedNames(kinds)
        }
        guard let index = nodeIndex[name.value] else {
            diagnostics.error(
                name.origin, "there is no \(what) \(quoted(name.value))",
                hint: Spelling.hint(for: name.value, among: known(), kind: "\(what)s"))
            return nil
        }
        guard kinds.contains(file.nodes[index].kind) else {
            guard !named.nodes.shared.contains(name.value) else { return nil }
            let found = file.nodes[index]
            diagnostics.error(
                name.origin,
                "\(quoted(name.value)) is the \(found.kind.rawValue) \(found.name.origin.place), not \(what == "application" ? "an" : "a") \(what)",
                hint: Spelling.hint(for: name.value, among: known(), kind: "\(what)s"))
            return nil
        }
        return index
    }

    /// A node that a service names: an application or a router, as a whole.
    func listed(_ name: Located<String>) -> Int? {
        if isInstance(name) { return nil }
        return node(name, [.application, .router], "application")
    }

    /// True if a service names one instance of an application, which is reported.
    func isInstance(_ name: Located<String>) -> Bool {
        guard let node = nodeIndex[name.value], let application = file.nodes[node].application,
            application != name.value, file.nodes[node].name.value == name.value
        else { return false }
        diagnostics.error(
            name.origin, "\(quoted(name.value)) is an instance of \(quoted(application))",
            hint: "write \(application): which instance gets a packet, the table decides")
        return true
    }

    /// The one node that a name means; reports an application with several instances.
    func single(_ name: Located<String>) -> Int? {
        guard let node = node(name, [.customer, .application, .router], "node") else { return nil }
        let members = members(of: node)
        guard members.count > 1, file.nodes[node].name.value != name.value else { return node }
        let names = members.prefix(6).map { quoted(file.nodes[$0].name.value) }
        diagnostics.error(
            name.origin, "\(quoted(name.value)) has \(members.count) instances, but one is needed",
            hint: "name one of them: \(names.joined(separator: ", "))\(members.count > 6 ? " and others" : "")")
        return nil
    }

    /// The nodes that a name means: of an application all its instances.
    func every(_ name: Located<String>) -> [Int] {
        guard let node = node(name, [.customer, .application, .router], "node") else { return [] }
        return file.nodes[node].name.value == name.value ? [node] : members(of: node)
    }
}
