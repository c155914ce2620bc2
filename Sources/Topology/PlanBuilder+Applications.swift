import Forwarding
import Wire

/// An application whose health is looked after, with the nodes that are its instances.
struct ResolvedApplication {
    var raw: RawApplication
    /// Its instances, as indices of nodes, in the order of the file; the first one stands for all where a chain names the
    /// application.
    var members: [Int]
    /// The table's groups: one for all instances, or with `copies` one for each.
    var groups: Range<Int>

    /// True where each instance gets every packet.
    var isCopied: Bool { raw.resolvedRedundancy == .copies }
}

extension PlanBuilder {
    /// Finds the instances of each application; notes names that two have.
    func resolveApplications() {
        applicationIndex = Array(repeating: nil, count: file.nodes.count)
        var groups = 0
        for raw in file.applications {
            let members = file.nodes.indices.filter {
                file.nodes[$0].application == raw.name.value && nodeIndex[file.nodes[$0].name.value] == $0
            }
            guard let lead = members.first else { continue }
            if let other = nodeIndex[raw.name.value], file.nodes[other].application != raw.name.value {
                tellSharedName(raw.name, "application", other)
            } else if nodeIndex[raw.name.value] == nil {
                nodeIndex[raw.name.value] = lead
            }
            for member in members { applicationIndex[member] = applications.count }
            let count = raw.resolvedRedundancy == .copies ? members.count : 1
            applications.append(
                ResolvedApplication(raw: raw, members: members, groups: groups..<groups + count))
            groups += count
        }
        if groups > Self.maximumGroups {
            diagnostics.error(
                file.applications.last?.name.position ?? file.name.position,
                "the applications need \(groups) groups of instances, but the engine has room for \(Self.maximumGroups)",
                mend: "give fewer applications instances or health checks of their own")
        }
    }

    /// What a table has room for.
    private static let maximumGroups = 1_024

    func tellSharedName(_ name: Located<String>, _ kind: String, _ other: Int) {
        let first = file.nodes[other]
        diagnostics.error(
            name.position,
            "the \(kind) \(quoted(name.value)) has the name of the \(word(other)) on line \(first.name.position.line)",
            mend: "customers, applications and routers share their names: rename one")
    }

    /// What a node is, in a word.
    func word(_ node: Int) -> String {
        let raw = file.nodes[node]
        return raw.application == nil || raw.application == raw.name.value ? raw.kind.rawValue : "instance"
    }

    /// The application that a node is an instance of.
    func application(of node: Int) -> ResolvedApplication? {
        applicationIndex[node].map { applications[$0] }
    }

    /// The nodes that share a place in a chain with this one: the instances of its application, else itself alone.
    func members(of node: Int) -> [Int] { application(of: node)?.members ?? [node] }

    /// The node that stands for an application in chains: its first instance, or the only one.
    func lead(_ node: Int) -> Int { application(of: node)?.members[0] ?? node }

    /// What chains and entries call a node: by its application.
    func told(_ node: Int) -> String { file.nodes[node].application ?? file.nodes[node].name.value }

    /// Where what chains call a node is described.
    func place(_ node: Int) -> SourcePosition {
        application(of: node)?.raw.name.position ?? file.nodes[node].name.position
    }

    /// The names that services may list: applications and not their instances, without those of other kinds.
    func listedNames(_ kinds: Set<NodeKind>) -> [String] {
        file.nodes.indices.filter { kinds.contains(file.nodes[$0].kind) }.map { told($0) }.uniqued()
    }

    /// A node that a service names: an application or a router, as a whole.
    func listed(_ name: Located<String>) -> Int? {
        if isInstance(name) { return nil }
        return node(name, [.application, .router], "application")
    }

    /// True, and told, where a service names one instance of an application.
    func isInstance(_ name: Located<String>) -> Bool {
        guard let node = nodeIndex[name.value], let application = file.nodes[node].application,
            application != name.value, file.nodes[node].name.value == name.value
        else { return false }
        diagnostics.error(
            name.position, "\(quoted(name.value)) is an instance of \(quoted(application))",
            mend: "write \(application): which instance gets a packet, the table decides")
        return true
    }

    /// The one node that a name means; an application with several instances is told.
    func single(_ name: Located<String>) -> Int? {
        guard let node = node(name, [.customer, .application, .router], "node") else { return nil }
        let members = members(of: node)
        guard members.count > 1, file.nodes[node].name.value != name.value else { return node }
        let names = members.prefix(6).map { quoted(file.nodes[$0].name.value) }
        diagnostics.error(
            name.position, "\(quoted(name.value)) has \(members.count) instances, but one is needed",
            mend: "name one of them: \(names.joined(separator: ", "))\(members.count > 6 ? " and others" : "")")
        return nil
    }

    /// The nodes that a name means: of an application all its instances.
    func every(_ name: Located<String>) -> [Int] {
        guard let node = node(name, [.customer, .application, .router], "node") else { return [] }
        return file.nodes[node].name.value == name.value ? [node] : members(of: node)
    }

    /// The groups of instances for the table.
    func groups() -> [InstanceGroup] {
        applications.flatMap { application -> [InstanceGroup] in
            let raw = application.raw
            let members = zip(application.members, instances(application)).map { node, instance in
                GroupMember(
                    name: file.nodes[node].name.value, weight: instance?.weight?.value ?? 1,
                    priority: instance?.priority?.value ?? 100)
            }
            func group(_ members: [GroupMember], active: Int? = nil) -> InstanceGroup {
                InstanceGroup(
                    name: raw.name.value, hashing: raw.hashing?.value ?? hashing(application.members[0]),
                    seed: raw.seed.map { UInt64($0.value) } ?? GeneratedNames.hash([raw.name.value]), active: active,
                    minimum: raw.minimum?.value ?? 1, members: members)
            }
            switch raw.resolvedRedundancy {
            case .copies: return members.map { group([$0]) }
            case .balance: return [group(members)]
            case .activeStandby: return [group(members, active: raw.active?.value ?? 1)]
            }
        }
    }

    /// What the file says of each member.
    private func instances(_ application: ResolvedApplication) -> [RawInstance?] {
        application.members.map { node in
            application.raw.instances.first { $0.name == file.nodes[node].name.value }
        }
    }

    /// A server may get each connection wherever it comes from; what inspects wants to see all that belongs together, and
    /// datagrams in fragments do.
    private func hashing(_ node: Int) -> FlowHashing { systems[node] == .terminalApplication ? .ports : .sessions }

    /// The applications whose health is looked after.
    func applicationPlans() -> [ApplicationPlan] {
        applications.enumerated().map { number, application in
            let raw = application.raw
            var damping: DampingPlan? = DampingPlan()
            switch raw.damping {
            case nil: break
            case .off?: damping = nil
            case .on(let plan)?: damping = plan
            }
            return ApplicationPlan(
                name: raw.name.value, line: raw.name.position.line, type: raw.template.type,
                redundancy: raw.resolvedRedundancy,
                instances: application.members.enumerated().map { index, node in
                    InstancePlan(
                        node: file.nodes[node].name.value,
                        group: application.isCopied
                            ? application.groups.lowerBound + index : application.groups.lowerBound,
                        member: application.isCopied ? 0 : index)
                },
                health: healthChecks[number], damping: damping,
                whenDown: raw.whenDown?.value ?? (raw.template.passive ? .bypass : .drop),
                drainTime: raw.drain ?? 30_000, scale: raw.scale?.plan)
        }
    }

    /// The packeting engines, each with its interfaces where they share the load by direction.
    func enginesPlan() -> EnginesPlan {
        var plan = file.engines
        guard plan.sharing == .direction else { return plan }
        // An interface on which requests and answers come in has requests.
        let answering = Set(entries.filter { $0.direction == .response }.map(\.receivedInterface))
        let asking = Set(entries.filter { $0.direction == .request }.map(\.receivedInterface))
        plan.engineOfInterface = file.interfaces.indices.map { answering.contains($0) && !asking.contains($0) ? 1 : 0 }
        return plan
    }
}
