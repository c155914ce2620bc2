import Forwarding
import Wire

/// A node's place on an interface, found and named.
struct ResolvedLeg {
    var interface: Int
    /// `in`, `out`, or `port` for a node with one leg.
    var role: String
    var mac: MACAddress
    /// The engine's MAC address on this leg's side of a transparent application: destination of what the application
    /// passes out here, source of what the engine sends in here.
    var alias: MACAddress?
    var device: String
    var addresses: [InterfaceAddress] = []
    /// Where the interface is named.
    var position: SourcePosition

    func address(_ family: AddressFamily) -> IPAddress? {
        addresses.first { $0.address.family == family }?.address
    }
}

/// Customers that may use a service: on an interface, with a source or any.
struct Scope: Hashable {
    var interface: Int
    var source: IPPrefix?
    /// The application or router that is the customer, known by its MAC address; nil for customers.
    var node: Int?
}

/// Where answers to customers go: what lies behind an interface, on the link or by way of a customer.
struct CustomerSide: Hashable {
    var interface: Int
    var prefix: IPPrefix
    var via: IPAddress?
    /// The application or router that the prefix lies behind, or whose own it is; nil for customers.
    var node: Int?
}

/// A service whose names have been found.
struct ResolvedService {
    var index: Int
    var raw: RawService
    /// Inline applications in order and the end of the chain, as indices of nodes.
    var chain: [Int]
    /// The passive applications that get a copy before each of `chain`.
    var passives: [[Int]]
    var scopes: [Scope]
    var sides: [CustomerSide]
    /// True where only the customer's address tells this service's packets from those of another.
    var needsSource = false

    var families: Set<AddressFamily> { Set(raw.addresses.map(\.value.family)) }

    /// The applications and routers that are customers of it.
    var openers: [Int] { scopes.compactMap(\.node).uniqued() }
}

/// What an entry of the plan was made from.
struct EntryOrigin {
    var position: SourcePosition
    var label: String
    var service: Int?
    /// The node that the packets come from, -1 for customers.
    var node = -1
    /// The entry by hand.
    var raw: RawEntry?
}

/// Finds what the names of a file stand for, and makes the plan.
final class PlanBuilder {
    let file: TopologyFile
    let diagnostics: Diagnostics
    let name: String

    /// True where the file has mistakes already: what may only follow from them is not told then.
    let followsMistakes: Bool

    var names = GeneratedNames()
    /// Names that several nodes have.
    private var sharedNames: Set<String> = []
    var interfaceIndex: [String: Int] = [:]
    /// The nodes by name; an application's name stands for its first instance.
    var nodeIndex: [String: Int] = [:]
    var applications: [ResolvedApplication] = []
    /// For each node: the application that it is an instance of.
    var applicationIndex: [Int?] = []
    /// For each application: what its checks look at.
    var healthChecks: [[HealthCheckPlan]] = []
    var engineMACs: [MACAddress] = []
    /// For each node: its legs, `in` first.
    var legs: [[ResolvedLeg]] = []
    /// For each interface: the nodes' legs on it, as indices of node and leg.
    var legsOn: [[(node: Int, leg: Int)]] = []
    var services: [ResolvedService] = []
    /// What applications and routers send as customers of services.
    var openings: [Opening] = []
    var systems: [DestinationSystemType] = []
    var entries: [Entry] = []
    var origins: [EntryOrigin] = []
    /// What is copied as it arrives.
    var mirrors: [Mirror] = []
    /// For each node that entries by hand name: what they make it send.
    var handTraffic: [Int: HandTraffic] = [:]
    /// The targets whose system type the file gives itself.
    var vouched: Set<TargetPlace> = []
    var checks: [CheckPlan] = []
    /// For each link: the number of the host that is tried next.
    var nextFree: [IPPrefix: UInt64] = [:]
    /// Of a running topology: the addresses of each node on each interface, and the interfaces that are on bridges.
    var keptAddresses: [[String]: [InterfaceAddress]] = [:]
    var keptBridges: Set<String> = []
    private let kept: AppliancePlan?

    /// - Parameter kept: The plan of the running topology, of which nothing is to change without need.
    init(_ file: TopologyFile, name: String?, keeping kept: AppliancePlan? = nil, _ diagnostics: Diagnostics) {
        self.file = (kept.map { file.ordered(as: $0) } ?? file).separatingCopies()
        self.diagnostics = diagnostics
        self.name = name ?? file.name.value
        self.kept = kept
        followsMistakes = !diagnostics.isEmpty
        if let kept { keep(kept) }
    }

    /// Finds every name, chooses addresses, resolves the services and makes the entries; notes what is wrong.
    func resolve() {
        resolveInterfaces()
        resolveNodes()
        resolveApplications()
        resolveAddresses()
        resolveDependencies()
        checkSysctls()
        for (index, service) in file.services.enumerated() { resolve(service, index) }
        checkOpeners()
        resolveOpenings()
        widenScopes()
        resolveSystems()
        checkPolicies()
        for service in services { checkCarriage(of: service) }
        for service in services { addEntries(of: service) }
        checkEntryNames()
        for entry in file.entries { addEntries(of: entry) }
        resolveHandTraffic()
        if let kept { keepCounters(kept) }
        resolveMirrors()
        findTies()
        findShadows()
        resolveHealth()
        resolveChecks()
    }

    private func resolveInterfaces() {
        for (index, interface) in file.interfaces.enumerated() {
            interfaceIndex[interface.name.value] = index
            engineMACs.append(names.mac([name, "", interface.name.value]))
            if interface.mtu.value < 1280,
                let six = interface.addresses.first(where: { $0.value.value.address.family == .ipv6 })
            {
                diagnostics.error(
                    interface.mtu.position,
                    "an MTU of \(interface.mtu.value) cannot carry IPv6, and the interface has \(six.value.value)",
                    mend: "write 1280 or more")
            }
        }
        legsOn = Array(repeating: [], count: file.interfaces.count)
    }

    private func resolveNodes() {
        for (index, node) in file.nodes.enumerated() {
            legs.append([])
            if let other = nodeIndex[node.name.value] {
                sharedNames.insert(node.name.value)
                tellSharedName(node.name, word(index), other)
                continue
            }
            nodeIndex[node.name.value] = index
            if let out = node.outLeg, let inLeg = node.inLeg, out.interface.value == inLeg.interface.value {
                diagnostics.error(
                    out.interface.position, "`in` and `out` of \(quoted(told(index))) are the same interface",
                    mend: "omit `out`: the \(node.kind.rawValue) is one-armed then")
                addLeg(inLeg, role: "port", to: index)
                continue
            }
            let isSingle = node.outLeg == nil
            if let leg = node.inLeg { addLeg(leg, role: isSingle ? "port" : "in", to: index) }
            if let leg = node.outLeg { addLeg(leg, role: "out", to: index) }
        }
    }

    private func addLeg(_ raw: RawLeg, role: String, to index: Int) {
        let node = file.nodes[index]
        guard let interface = interface(raw.interface) else { return }
        let parts = [name, node.name.value, raw.interface.value]
        legsOn[interface].append((index, legs[index].count))
        legs[index].append(
            ResolvedLeg(
                interface: interface, role: role, mac: names.mac(parts),
                alias: node.transparent ? names.mac(parts + ["alias"]) : nil,
                device: GeneratedNames.device(
                    file.interfaces[interface].home ?? raw.interface.value, besides: legs[index].map(\.device)),
                position: raw.interface.position))
    }

    /// The index of an interface; an unknown one is told.
    func interface(_ name: Located<String>) -> Int? {
        if let index = interfaceIndex[name.value] { return index }
        diagnostics.error(
            name.position, "there is no interface \(quoted(name.value))",
            mend: Spelling.mend(for: name.value, among: file.interfaces.map(\.name.value), kind: "interfaces"))
        return nil
    }

    /// The index of a node of one of the kinds; an unknown one is told.
    func node(_ name: Located<String>, _ kinds: Set<NodeKind>, _ what: String) -> Int? {
        func known() -> [String] {
            what == "node"
                ? file.nodes.filter { kinds.contains($0.kind) }.map(\.name.value) : listedNames(kinds)
        }
        guard let index = nodeIndex[name.value] else {
            diagnostics.error(
                name.position, "there is no \(what) \(quoted(name.value))",
                mend: Spelling.mend(for: name.value, among: known(), kind: "\(what)s"))
            return nil
        }
        guard kinds.contains(file.nodes[index].kind) else {
            guard !sharedNames.contains(name.value) else { return nil }
            let found = file.nodes[index]
            diagnostics.error(
                name.position,
                "\(quoted(name.value)) is the \(found.kind.rawValue) on line \(found.name.position.line), not \(what == "application" ? "an" : "a") \(what)",
                mend: Spelling.mend(for: name.value, among: known(), kind: "\(what)s"))
            return nil
        }
        return index
    }

    private func resolveDependencies() {
        var edges: [Int: [Int]] = [:]
        for (index, node) in file.nodes.enumerated() {
            edges[index] = node.depends.flatMap { every($0) }
        }
        // 1: on the path that is walked, 2: done.
        var state = [Int](repeating: 0, count: file.nodes.count)
        for start in file.nodes.indices where state[start] == 0 {
            var path = [(node: start, next: 0)]
            state[start] = 1
            while let (node, next) = path.last {
                guard let onward = edges[node], next < onward.count else {
                    state[node] = 2
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let target = onward[next]
                if state[target] == 0 {
                    state[target] = 1
                    path.append((target, 0))
                } else if state[target] == 1, let begin = path.firstIndex(where: { $0.node == target }) {
                    let circle = (path[begin...].map(\.node) + [target]).map { file.nodes[$0].name.value }
                    let where_ = file.nodes[node].depends.first {
                        $0.value == file.nodes[target].name.value || $0.value == told(target)
                    }
                    diagnostics.error(
                        where_?.position ?? file.nodes[node].name.position,
                        "the nodes wait for each other: \(circle.joined(separator: " → "))",
                        mend: "remove one of the `depends`")
                }
            }
        }
    }

    /// What each node is: by its place in the chains, else by its interfaces.
    private func resolveSystems() {
        let inner = Set(services.flatMap { $0.chain.dropLast() })
        let ends = Set(services.compactMap(\.chain.last))
        systems = file.nodes.enumerated().map { index, node in
            switch node.kind {
            case .customer: .customer
            case .router: .router
            case .application:
                node.passive
                    ? .passiveApplication
                    : inner.contains(lead(index)) || (!ends.contains(lead(index)) && node.outLeg != nil)
                        ? .inlineApplication : .terminalApplication
            }
        }
    }

    /// Entries of different services or applications must not have one name: checks could not tell them apart.
    private func checkEntryNames() {
        var owners: [String: EntryOrigin] = [:]
        for (entry, origin) in zip(entries, origins) {
            guard let owner = owners[entry.name] else {
                owners[entry.name] = origin
                continue
            }
            guard owner.service != origin.service || owner.node != origin.node else { continue }
            diagnostics.error(
                origin.position,
                owner.service == origin.service
                    ? "an application of \(origin.label) is called \(quoted("customers")), and its entries would be called "
                        + "\(quoted(entry.name)) as those of the customers"
                    : "entries of \(origin.label) and of \(owner.label) on line \(owner.position.line) would both be called "
                        + quoted(entry.name),
                mend: owner.service == origin.service ? "rename the application" : "rename one of the two services")
        }
    }
}
