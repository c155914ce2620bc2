import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Remarks on parts of a file that work but are hardly intended.
struct Remarker: EntryStage, Diagnosing {
    let planned: PlannedEntries
    /// For each node: the nodes that it waits for.
    let dependencies: [[Int]]
    let diagnostics: Diagnostics

    /// Remarks on unused parts, and on parts that cannot do their work.
    func remark() {
        remarkOnIdleNodes()
        remarkOnEmptyInterfaces()
        remarkOnTransparentNodes()
        remarkOnPassedApplications()
        remarkOnRepeatedNames()
        remarkOnEntries()
        remarkOnSysctls()
        remarkOnFragments()
        remarkOnSpoofing()
        remarkOnMembers()
        remarkOnPorts()
        remarkOnPrefixes()
    }

    /// Who gets the packets of a group that nodes join is not known before they do.
    private func remarkOnMembers() {
        for neighbourhood in neighbourhoods where neighbourhood.joins {
            let groups = neighbourhood.groups.filter(\.isMulticast).map { "\($0)" }.joined(separator: ", ")
            diagnostics.remark(
                neighbourhood.raw.members.first { $0.value == ServiceResolver.joined }?.origin
                    ?? neighbourhood.raw.name.origin,
                "who gets packets to \(groups) is decided by the nodes' reports while they run: the proof takes every "
                    + "node of service \(quoted(neighbourhood.raw.name.value)) for a member",
                hint: "name the nodes in `members` that must get them in any case")
        }
    }

    /// A file without services and entries is unfinished (`apply` adds more): none of its nodes is idle yet.
    private func remarkOnIdleNodes() {
        guard !services.isEmpty || !file.entries.isEmpty else { return }
        let busy = busyNodes()
        var reported: Set<String> = []
        for (index, node) in file.nodes.enumerated() where !busy.contains(lead(index)) {
            let name = self.shownName(index)
            guard reported.insert(name).inserted else { continue }
            let position = place(index)
            switch node.kind {
            case .customer:
                diagnostics.remark(
                    position, "customer \(quoted(name)) has no service: no service and no entry takes its packets",
                    hint: "name it, or its interface, in the `from` of a service, or remove it")
            case .application, .router:
                diagnostics.remark(
                    position,
                    "no packet reaches \(node.kind.rawValue) \(quoted(name)): no service and no entry names it",
                    hint: "name it in a service's `sequence`\(node.passive ? " or `distribute`" : ""), or remove it")
            }
        }
    }

    /// The nodes that services and entries by hand have to do with, or that others wait for; of an application's
    /// instances the first.
    private func busyNodes() -> Set<Int> {
        var busy: Set<Int> = []
        var scopes: Set<Scope> = []
        for service in services {
            busy.formUnion(service.chain)
            busy.formUnion(service.listeners)
            busy.formUnion(service.openers.map { lead($0) })
            scopes.formUnion(service.scopes.filter { $0.node == nil })
        }
        for scope in scopes {
            for (node, leg) in legsOn[scope.interface] where file.nodes[node].kind == .customer {
                let networks =
                    legs[node][leg].addresses.map { IPPrefix(host: $0.address) }
                    + file.nodes[node].prefixes.map(\.value)
                if scope.source.map({ source in networks.contains { source.overlaps($0) } }) ?? true {
                    busy.insert(node)
                }
            }
        }
        for neighbourhood in neighbourhoods {
            busy.formUnion(neighbourhood.members.map { lead($0.node) } + neighbourhood.listeners.map(\.node))
        }
        for index in entries.indices where bases[index].raw != nil {
            let interfaces = [entries[index].receivedInterface] + entries[index].targets.map(\.interface)
            for (node, _) in interfaces.flatMap({ legsOn[$0] }) {
                // An entry that names no node may mean every node there.
                if file.nodes[node].kind == .customer || isNamed(node, in: entries[index]) { busy.insert(lead(node)) }
            }
        }
        for answerer in answerers { busy.insert(answerer.node) }
        for tunnel in named.tunnels.tunnels.compactMap({ $0 }) {
            let hops = legsOn[tunnel.carrier].filter { legs[$0.node][$0.leg].mac == tunnel.nextHop }
            busy.formUnion(hops.map { lead($0.node) })
        }
        // What ends at them is asked for while the topology is up.
        for (name, rules) in file.negotiations() {
            busy.formUnion(([name] + rules.through).compactMap { nodeIndex[$0.value] }.map { lead($0) })
        }
        busy.formUnion(dependencies.joined().map { lead($0) })
        return busy
    }

    private func isNamed(_ node: Int, in entry: Entry) -> Bool {
        let macs = Set(legs[node].flatMap { [$0.mac, $0.alias].compactMap { $0 } })
        let own = legs[node].flatMap(\.addresses).map(\.address)
        if let mac = entry.sourceMAC {
            if macs.contains(mac) { return true }
        } else if legs[node].contains(where: { $0.interface == entry.receivedInterface }) {
            return true
        }
        return entry.targets.contains { target in
            switch target.address {
            case .mac(let mac): macs.contains(mac)
            case .network(let address), .neighbour(let address?): own.contains(address)
            case .neighbour(nil): legs[node].contains { $0.interface == target.interface }
            }
        }
    }

    private func remarkOnEmptyInterfaces() {
        for (index, interface) in file.interfaces.enumerated()
        where legsOn[index].isEmpty && named.circuits.links[index] == nil && !interface.isVacant {
            let isNamed = file.entries.contains { entry in
                entry.targets.contains { $0.interface?.value == interface.name.value }
            }
            guard !isNamed, interface.behind.isEmpty else { continue }
            if let device = interface.loan {
                diagnostics.remark(
                    device.origin,
                    "nobody is known behind the device \(quoted(device.value)) of \(interface.circuit == nil ? "interface" : "circuit") "
                        + "\(quoted(interface.name.value))",
                    hint: "add `behind: …` with the networks of the hosts there")
                continue
            }
            diagnostics.remark(
                interface.name.origin,
                "no node is on \(interface.circuit == nil ? "interface" : "circuit") \(quoted(interface.name.value))",
                hint: "attach one, or remove the \(interface.circuit == nil ? "interface" : "circuit")")
        }
    }

    /// A program, or a bridge that `setup` makes, passes frames on; the kernel alone does not.
    private func remarkOnTransparentNodes() {
        var reported: Set<String> = []
        for (index, node) in file.nodes.enumerated()
        where node.transparent && node.remote == nil && node.process.isNothing {
            guard reported.insert(self.shownName(index)).inserted else { continue }
            diagnostics.remark(
                place(index),
                "\(quoted(self.shownName(index))) is transparent and has neither `run` nor `setup`, so it passes no frames on",
                hint: "name the program in `run`, or make a bridge of its two devices in `setup`")
        }
    }

    /// Entries by hand may be for forged packets; hosts send none from or to such addresses.
    private func remarkOnEntries() {
        for entry in file.entries {
            for (end, word) in [(entry.source, "from"), (entry.destination, "to")] {
                guard let end, case .prefix(let prefix) = end.value,
                    let fault = unusable(prefix) ?? unusableOnLinks(prefix)
                else { continue }
                diagnostics.remark(
                    end.origin, "no host sends a packet \(word) \(prefix) by way of the engine: it \(fault)",
                    hint: "write a unicast address or prefix, or remove the entry")
            }
        }
    }

    private func remarkOnRepeatedNames() {
        var seen: [String: SourceOrigin] = [:]
        for check in file.checks {
            if let other = seen[check.name] {
                diagnostics.remark(
                    check.origin, "the check \(other.place) is called \(quoted(check.name)), too",
                    hint: "rename one: reports and `--filter` tell checks by their names")
            } else {
                seen[check.name] = check.origin
            }
        }
        let lists = file.services.map { ($0.from.map(\.name), "`from`") } + file.nodes.map { ($0.depends, "`depends`") }
        for (names, what) in lists {
            var seen: Set<String> = []
            for name in names where !seen.insert(name.value).inserted {
                diagnostics.remark(name.origin, "\(quoted(name.value)) is in \(what) twice", hint: "remove one")
            }
        }
    }

    /// The kernel that reads the file may not be the one that will run it. So a sysctl that is missing here is a
    /// remark.
    private func remarkOnSysctls() {
        guard KernelSettings.areKnown else { return }
        for (index, node) in file.nodes.enumerated() {
            for (name, position) in node.sysctlPlaces {
                let devices = legs[index].map(\.device)
                guard let fault = KernelSettings.fault(of: name, devices: devices) else { continue }
                diagnostics.remark(position, fault.message, hint: fault.hint)
            }
        }
    }
}
