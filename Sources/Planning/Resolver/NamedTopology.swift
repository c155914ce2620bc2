import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The first stage: the meaning of the file's names, and the names that Tapline chooses.
///
/// It guarantees:
/// - Every interface and node has a number.
/// - Every leg that can be placed has its interface, its MAC address and its device.
/// - Every application has its instances.
///
/// It knows no address of a node: the next stage does.
///
/// Like every stage it never changes. It is a class of constants, because it holds the whole file, and all later stages
/// share it.
final class NamedTopology: Sendable {
    /// The file, with an interface of its own for each passive application that gets copies of everything.
    let file: TopologyFile
    /// The name of the topology.
    let name: String
    /// True if the file had mistakes before: possible consequences are not reported then.
    let followsMistakes: Bool
    /// The parts of the running topology that this one is to keep.
    let kept: KeptParts?
    let interfaces: NamedInterfaces
    let nodes: NamedNodes
    let circuits: NamedCircuits
    let tunnels: NamedTunnels
    let groups: NamedApplications
    let fabric: NamedFabric

    /// - Parameters:
    ///   - name: A name in place of the file's.
    ///   - kept: The parts that should not change without need.
    init(_ raw: TopologyFile, name: String?, keeping kept: KeptParts?, _ diagnostics: Diagnostics) {
        followsMistakes = !diagnostics.isEmpty
        let separated = raw.separatingCopies()
        file = kept.map { separated.ordered(as: $0) } ?? separated.placingCircuitsLast()
        self.name = name ?? raw.name.value
        self.kept = kept
        var names = kept?.names ?? GeneratedNames()
        interfaces = NamedInterfaces(file, topology: self.name, &names, diagnostics)
        nodes = NamedNodes(file, interfaces, topology: self.name, &names, diagnostics)
        circuits = NamedCircuits(file, interfaces, nodes, diagnostics)
        tunnels = NamedTunnels(file, interfaces, nodes, diagnostics)
        groups = NamedApplications(file, nodes, diagnostics)
        fabric = NamedFabric(file, nodes, circuits, groups, bridges: kept?.bridges ?? [], &names)
    }
}

/// The interfaces by name, each with the engine's MAC address on it.
struct NamedInterfaces: Sendable {
    let index: [String: Int]
    let engineMACs: [MACAddress]

    fileprivate init(
        _ file: TopologyFile, topology: String, _ names: inout GeneratedNames, _ diagnostics: Diagnostics
    ) {
        var index: [String: Int] = [:]
        var macs: [MACAddress] = []
        for (number, interface) in file.interfaces.enumerated() {
            index[interface.name.value] = number
            let mac = names.mac([topology, "", interface.name.value])
            macs.append(interface.engineMAC?.value ?? mac)
            if interface.mtu.value < 1280,
                let six = interface.addresses.first(where: { $0.value.value.address.family == .ipv6 })
            {
                diagnostics.error(
                    interface.mtu.origin,
                    "an MTU of \(interface.mtu.value) cannot carry IPv6, and the interface has \(six.value.value)",
                    hint: "write 1280 or more")
            }
        }
        self.index = index
        engineMACs = macs
    }

    /// The index of an interface; reports an unknown one.
    func find(_ name: Located<String>, in file: TopologyFile, _ diagnostics: Diagnostics) -> Int? {
        if let found = index[name.value] { return found }
        diagnostics.error(
            name.origin, "there is no interface \(quoted(name.value))",
            hint: Spelling.hint(for: name.value, among: file.interfaceNames, kind: "interfaces"))
        return nil
    }
}

/// A node's place on an interface, with the names that Tapline gives it.
struct PlacedLeg: Sendable {
    let interface: Int
    /// Its name in the file, or `port` for a node with one leg.
    let role: String
    let mac: MACAddress
    /// The engine's MAC address on this leg's side of a transparent application. It is the destination of packets that
    /// the application passes out here, and the source of packets that the engine sends in here.
    let alias: MACAddress?
    let device: String
    /// The place of the interface's name.
    let origin: SourceOrigin
}

/// The nodes by name, and their legs.
struct NamedNodes: Sendable {
    /// The nodes by their own names.
    let index: [String: Int]
    /// Names that several nodes have.
    let shared: Set<String>
    /// For each node: its legs, in the order of the raw model. None if the node has the name of another one.
    let legs: [[PlacedLeg]]
    /// For each interface: the nodes' legs on it, as indices of node and leg.
    let legsOn: [[(node: Int, leg: Int)]]

    fileprivate init(
        _ file: TopologyFile, _ interfaces: NamedInterfaces, topology: String, _ names: inout GeneratedNames,
        _ diagnostics: Diagnostics
    ) {
        var found: [String: Int] = [:]
        var shared: Set<String> = []
        var legs: [[PlacedLeg]] = []
        var legsOn = [[(node: Int, leg: Int)]](repeating: [], count: file.interfaces.count)
        Self.refuseShared(file, diagnostics)
        for (index, node) in file.nodes.enumerated() {
            legs.append([])
            if let other = found[node.name.value] {
                shared.insert(node.name.value)
                file.tellSharedName(node.name, file.word(index), other, diagnostics)
                continue
            }
            found[node.name.value] = index
            for (raw, role) in Self.roles(of: index, in: file, diagnostics) {
                guard let interface = interfaces.find(raw.interface, in: file, diagnostics) else { continue }
                let parts = [topology, node.name.value, raw.interface.value]
                legsOn[interface].append((index, legs[index].count))
                legs[index].append(
                    PlacedLeg(
                        interface: interface, role: role, mac: raw.mac?.value ?? names.mac(parts),
                        alias: node.transparent ? names.mac(parts + ["alias"]) : nil,
                        device: GeneratedNames.device(
                            file.interfaces[interface].home ?? raw.interface.value, besides: legs[index].map(\.device)),
                        origin: raw.interface.origin))
            }
        }
        self.index = found
        self.shared = shared
        self.legs = legs
        self.legsOn = legsOn
    }

    /// Reports two nodes in one network namespace: their routes would be the same.
    private static func refuseShared(_ file: TopologyFile, _ diagnostics: Diagnostics) {
        var seen: [AttachmentPlan.Place: Int] = [:]
        for (index, node) in file.nodes.enumerated() {
            guard let attachment = node.attachment else { continue }
            if let other = seen[attachment.place] {
                diagnostics.error(
                    attachment.origin,
                    "\(quoted(node.name.value)) is in \(attachment.place), and so is "
                        + "\(quoted(file.nodes[other].name.value))",
                    hint: "a node is alone in its network namespace: name another one")
            } else {
                seen[attachment.place] = index
            }
        }
    }

    /// The legs of a node with their roles. Reports two legs on one interface, and keeps the first.
    private static func roles(
        of index: Int, in file: TopologyFile, _ diagnostics: Diagnostics
    ) -> [(leg: RawLeg, role: String)] {
        let node = file.nodes[index]
        var kept: [RawLeg] = []
        for leg in node.legs {
            guard let other = kept.first(where: { $0.interface.value == leg.interface.value }) else {
                kept.append(leg)
                continue
            }
            let (name, second) = (other.name ?? "in", leg.name ?? "out")
            diagnostics.error(
                leg.interface.origin,
                "`\(name)` and `\(second)` of \(quoted(file.shownName(index))) are the same interface",
                hint: node.legs.count == 2
                    ? "omit `\(second)`: the \(node.kind.rawValue) is one-armed then"
                    : "a node has one leg on an interface: remove one of the two")
        }
        guard kept.count > 1 else { return kept.map { ($0, $0.name.flatMap { $0 == "in" ? nil : $0 } ?? "port") } }
        return kept.map { ($0, $0.name ?? "port") }
    }
}

/// The connection of interfaces to their nodes: the TAP itself, or a bridge of the fabric namespace with its devices.
struct NamedFabric: Sendable {
    /// For each interface.
    let attachments: [InterfacePlan.Attachment]
    /// For each node and leg: the bridge's end of the pair; nil if the leg is the TAP itself.
    let devices: [[String?]]

    fileprivate init(
        _ file: TopologyFile, _ nodes: NamedNodes, _ circuits: NamedCircuits, _ groups: NamedApplications,
        bridges: Set<String>, _ names: inout GeneratedNames
    ) {
        var attachments: [InterfacePlan.Attachment] = []
        for (index, interface) in file.interfaces.enumerated() {
            attachments.append(attachment(index, interface))
        }
        // A circuit's nodes are where its carrier is, which may stand behind it.
        for (index, carrier) in circuits.carriers.enumerated() {
            if let carrier { attachments[index] = attachments[carrier] }
        }
        func attachment(_ index: Int, _ interface: RawInterface) -> InterfacePlan.Attachment {
            if interface.isVacant { return .vacant }
            if circuits.carriers[index] != nil { return .vacant }
            if circuits.links[index] != nil, let only = circuits.node(on: index, nodes) {
                if circuits.links[index] != .ethernet { return .direct(node: file.nodes[only].name.value) }
            }
            // With health checks, probes need the bridge's side of the leg, and instances may come and go.
            if circuits.links[index] == nil, interface.device == nil, nodes.legsOn[index].count == 1,
                let only = nodes.legsOn[index].first?.node,
                file.hasOffload(only),
                groups.applicationIndex[only] == nil, !bridges.contains(interface.name.value),
                !file.needsPort(only)
            {
                return .direct(node: file.nodes[only].name.value)
            }
            return .bridge(
                bridgeDevice: names.fabricDevice("b", [interface.name.value]),
                tapDevice: names.fabricDevice("t", [interface.name.value]))
        }
        devices = nodes.legs.enumerated().map { index, legs in
            legs.map { leg in
                guard case .bridge = attachments[leg.interface], file.interfaces[leg.interface].tunnel == nil else {
                    return nil
                }
                return names.fabricDevice(
                    "v", [file.nodes[index].name.value, file.interfaces[leg.interface].name.value])
            }
        }
        self.attachments = attachments
    }
}

extension TopologyFile {
    /// The name of a node in chains and entries: its application's.
    func shownName(_ node: Int) -> String { nodes[node].application ?? nodes[node].name.value }

    /// The kind of a node, in a word.
    func word(_ node: Int) -> String {
        let raw = nodes[node]
        return raw.application == nil || raw.application == raw.name.value ? raw.kind.rawValue : "instance"
    }

    /// True if frames to groups may be for a node: the bridge's port gives them the group's MAC address.
    func needsPort(_ node: Int) -> Bool {
        // A device would go with a namespace of somebody else's, and the engine's queue of it.
        if nodes[node].attachment != nil { return true }
        // The leg of a virtual machine is a port of a bridge in its node.
        if case .machine? = nodes[node].process.guest { return true }
        // So does a virtual MAC address, in both directions.
        if !nodes[node].virtual.isEmpty { return true }
        let names = [nodes[node].name.value, shownName(node)]
        return services.contains { service in
            (!service.addresses.isEmpty || service.subnet != nil) && !service.between.isEmpty
                && (service.between.map(\.value) + service.distribute.map(\.value)).contains(where: names.contains)
        }
    }

    /// Copies and bumps in the wire get single frames unless the file says otherwise.
    func hasOffload(_ node: Int) -> Bool { nodes[node].offload ?? !(nodes[node].passive || nodes[node].transparent) }

    func tellSharedName(_ name: Located<String>, _ kind: String, _ other: Int, _ diagnostics: Diagnostics) {
        diagnostics.error(
            name.origin,
            "the \(kind) \(quoted(name.value)) has the name of the \(word(other)) "
                + "\(nodes[other].name.origin.place)",
            hint: "customers, applications and routers share their names: rename one")
    }
}
