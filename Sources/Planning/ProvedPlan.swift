import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// A plan, and the paths that its table was proved by.
public struct ProvedPlan: Sendable {
    /// The plan.
    public var plan: AppliancePlan
    /// For each service in the order of the file, then for each distribution entry by hand: its paths.
    public var services: [ProvedService]
    /// The entries by hand of which nothing could be proved.
    public var unproved: [UnprovedEntry]
}

/// An entry by hand that no packet was followed through to its end.
public struct UnprovedEntry: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// Where it is written: a line of the file, or a record.
    public var origin: SourceOrigin
    /// Why, for a person.
    public var reason: String
}

/// A service, or an entry by hand, with the paths of its packets.
public struct ProvedService: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// Where it is written: a line of the file, or a record.
    public var origin: SourceOrigin
    /// True for an entry by hand.
    public var isByHand: Bool
    /// Its paths: paths that differ in customers, addresses or ports alone are one.
    public var paths: [ServicePath]
}

/// The way of a request and of its answers, hop by hop.
public struct ServicePath: Sendable, Hashable {
    /// The nodes whose packets take it.
    public var customers: [String]
    /// The addresses and prefixes that they send to; `any` if the entry asks for none.
    public var destinations: [String]
    /// The service ports, with the application's where they differ: `tcp/80 -> 8080`.
    public var servicePorts: [String]
    /// The request's hops.
    public var request: [PathHop]
    /// The hops of the answers.
    public var response: [PathHop]
    /// Why there are none, for a person: `no answer: …`.
    public var silence: String?
}

/// One step of a path through the engine.
public struct PathHop: Sendable, Hashable {
    /// The nodes that the packet may come from: the customers, one other, or an application whose instances share its
    /// work.
    public var from: [String]
    /// The interface that it comes in on.
    public var receivedInterface: String
    /// The entry that takes it.
    public var entry: String
    /// The new source of the packet.
    public var rewriteSource: String?
    /// The service port of the packet here, if it is translated here or has been before.
    public var servicePort: String?
    /// The copies that it sends.
    public var copies: [PathCopy]
}

/// One copy of a hop.
public struct PathCopy: Sendable, Hashable {
    /// The nodes that it may reach: the customers, one other node, or an application whose instances share its work.
    /// Empty if the file names no node there.
    public var to: [String]
    /// All instances, if it reaches one of several.
    public var oneOf: [String]
    /// The condition under which it is sent: `firewall is down`; nil: always.
    public var condition: String?
    /// The send interface.
    public var sendInterface: String
    /// The address that the destination is rewritten to; with several instances, the address of each.
    public var rewriteDestination: String?
    /// The service port that the copy has, if it is translated.
    public var rewritePort: String?
    /// True for a copy that a passive application keeps.
    public var isPassive: Bool
}

extension ResolvedTopology {
    /// The paths of a proof by service, those alike merged.
    func provedServices(_ paths: [ProvedPath]) -> [ProvedService] {
        var order: [ServiceKey] = []
        var members: [ServiceKey: PathGroups] = [:]
        for path in paths {
            let key = bases[path.entry].service.map { ServiceKey.service($0) } ?? .entry(bases[path.entry].origin)
            if members[key] == nil {
                order.append(key)
                members[key] = PathGroups()
            }
            members[key]?.add(path, self)
        }
        return order.sorted().map { key in
            let groups = members[key] ?? PathGroups()
            let entry = groups.firstEntry
            let basis = bases[entry]
            let name = basis.service.map { file.services[$0].name.value } ?? entries[entry].name
            return ProvedService(
                name: name, origin: basis.origin, isByHand: basis.service == nil, paths: groups.finished)
        }
    }

    /// The entries by hand that are in no path: nothing the file's nodes send was followed through them.
    func unprovedEntries(_ paths: [ProvedPath]) -> [UnprovedEntry] {
        let used = Set(paths.flatMap { path in (path.request + path.response).map { bases[$0.entry].origin } })
        var reported: Set<SourceOrigin> = []
        return zip(entries, bases).compactMap { entry, basis in
            guard basis.raw != nil, !used.contains(basis.origin), reported.insert(basis.origin).inserted else {
                return nil
            }
            return UnprovedEntry(
                name: entry.name, origin: basis.origin,
                reason: entry.kind == .distribution
                    ? "it leads to no node of the file"
                    : "no packet that a node of the file sends comes to it and to its end")
        }
    }

    /// Services in the order of the file, then entries by hand.
    private enum ServiceKey: Hashable, Comparable {
        case service(Int)
        case entry(SourceOrigin)
    }

    /// Paths of one service while those alike are merged.
    private struct PathGroups {
        private var index: [Signature: Int] = [:]
        private var paths: [ServicePath] = []
        private(set) var firstEntry = 0
        private var seen: [(customers: Set<String>, destinations: Set<String>, ports: Set<String>)] = []

        /// A path without its customers, addresses and ports.
        private struct Signature: Hashable {
            var request: [PathHop]
            var response: [PathHop]
            var silence: AnswerSilence?
        }

        /// The paths with their customers named, and without the addresses that a prefix beside them holds.
        var finished: [ServicePath] {
            paths.map { path in
                func named(_ hops: [PathHop]) -> [PathHop] {
                    hops.map { hop in
                        var hop = hop
                        if hop.from == [PathGroups.customer] { hop.from = path.customers }
                        for index in hop.copies.indices where hop.copies[index].to == [PathGroups.customer] {
                            hop.copies[index].to = path.customers
                        }
                        return hop
                    }
                }
                let prefixes = path.destinations.compactMap { IPPrefix($0) }
                var finished = path
                finished.destinations = path.destinations.filter { text in
                    guard let own = IPPrefix(text) else { return true }
                    return !prefixes.contains { $0 != own && $0.contains(own) } && !(path.destinations.contains("any"))
                }
                finished.request = named(path.request)
                finished.response = named(path.response)
                return finished
            }
        }

        /// Stands for the customers until all are known; no node can be called so.
        static let customer = "*"

        mutating func add(_ path: ProvedPath, _ topology: ResolvedTopology) {
            if paths.isEmpty { firstEntry = path.entry }
            // The same hop of several instances is one hop.
            let signature = Signature(
                request: path.request.map { topology.hop($0, path.customers) }.uniqued(),
                response: path.response.map { topology.hop($0, path.customers) }.uniqued(), silence: path.silence)
            let number: Int
            if let known = index[signature] {
                number = known
            } else {
                number = paths.count
                index[signature] = number
                paths.append(
                    ServicePath(
                        customers: [], destinations: [], servicePorts: [], request: signature.request,
                        response: signature.response, silence: signature.silence?.sentence))
                seen.append(([], [], []))
            }
            for node in path.customers {
                let name = topology.provedName(node)
                if seen[number].customers.insert(name).inserted { paths[number].customers.append(name) }
            }
            let entry = topology.entries[path.entry]
            let destination =
                path.isWholeDestination ? entry.destination.map { "\($0)" } ?? "any" : "\(path.flow.destination)"
            if seen[number].destinations.insert(destination).inserted { paths[number].destinations.append(destination) }
            var port = entry.servicePort.protocolNumber == nil ? "any" : topology.describe(entry.servicePort)
            if let own = topology.bases[path.entry].port?.value, own.translation != nil { port = "\(own)" }
            if seen[number].ports.insert(port).inserted { paths[number].servicePorts.append(port) }
        }
    }

    /// A hop by names, but for the customers of the path: others may share it.
    private func hop(_ hop: ProvedHop, _ customers: [Int]) -> PathHop {
        func names(_ node: Int?) -> [String] {
            guard let node else { return [] }
            return [customers.contains(node) ? PathGroups.customer : shared(node) ?? provedName(node)]
        }
        let entry = entries[hop.entry]
        return PathHop(
            from: names(hop.emitter.node), receivedInterface: file.interfaces[hop.emitter.interface].name.value,
            entry: entry.name, rewriteSource: entry.rewriteSource?.description,
            servicePort: translates(entry) ? describe(entry.servicePort) : nil,
            copies: zip(zip(hop.copies, entry.targets), conditions(entry.hops)).map { both, condition in
                let (copy, target) = both
                let instances = copy.node.flatMap { shared($0) == nil ? nil : members(of: $0) } ?? []
                var network: String?
                if case .network(let address) = copy.address {
                    let own = instances.compactMap { legs[$0][0].address(address.family)?.description }
                    network = own.isEmpty ? address.description : own.joined(separator: ", ")
                }
                return PathCopy(
                    to: names(copy.node), oneOf: instances.map { file.nodes[$0].name.value }, condition: condition,
                    sendInterface: file.interfaces[copy.interface].name.value,
                    rewriteDestination: network,
                    rewritePort: entry.servicePort.shifted(by: target.portShift).map { describe($0) },
                    isPassive: copy.isPassive)
            }.uniqued())
    }

    private func translates(_ entry: Entry) -> Bool {
        !entry.outerShift.isNone || entry.targets.contains { !$0.portShift.isNone }
    }

    /// The application that a node is one of several instances of, which share its work.
    private func shared(_ node: Int) -> String? {
        guard let application = application(of: node), application.members.count > 1, !application.isCopied else {
            return nil
        }
        return application.raw.name.value
    }

    /// For each target of hops, in their order, the condition under which a packet goes there.
    private func conditions(_ hops: [Hop], _ known: [String] = []) -> [String?] {
        hops.flatMap { hop -> [String?] in
            let own = known.isEmpty ? nil : known.joined(separator: " and ")
            switch hop {
            case .target: return [own]
            case .instance(let group, let targets, let otherwise):
                let here = [String?](repeating: own, count: targets.count)
                guard case .hops(let hops) = otherwise else { return here }
                return here + conditions(hops, known + ["\(name(ofGroup: group)) is down"])
            case .whether(let group, let up, let down):
                return conditions(up, known) + conditions(down, known + ["\(name(ofGroup: group)) is down"])
            }
        }
    }

    private func name(ofGroup group: Int) -> String {
        applications.first { $0.groups.contains(group) }?.raw.name.value ?? "#\(group)"
    }
}

extension AnswerSilence {
    /// For a person.
    var sentence: String {
        switch self {
        case .fragment: "no answer: the service port is translated, and fragments have none"
        case .passiveAlone: "no answer: only passive applications get it"
        case .isAnswer: "answers to it are not followed: its entry is for responses"
        case .group: "answers to it are not followed: it is for a group"
        case .unknownEnd:
            "answers to it are not followed: no node of the file has its destination"
        }
    }
}
