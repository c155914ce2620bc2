import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The parts of a plan that follow from the stages without further mistakes.
extension ResolvedTopology {
    /// The interfaces, each with its connection to its nodes.
    func interfacePlans() -> [InterfacePlan] {
        zip(file.interfaces, named.fabric.attachments).enumerated().map { index, part in
            let (interface, attachment) = part
            var plan = InterfacePlan(
                name: interface.name.value, mtu: interface.mtu.value, queue: interface.queue, attachment: attachment)
            plan.device = interface.device.map {
                let places = [index] + file.interfaces.indices.filter { named.circuits.carriers[$0] == index }
                return DevicePlan(
                    name: $0.value, behind: interface.behind.map(\.value),
                    learns: places.contains { !file.interfaces[$0].behind.isEmpty },
                    stations: places.flatMap(stations(beyond:)).uniqued())
            }
            plan.carrier = named.circuits.carriers[index]
            plan.link = named.circuits.links[index]
            plan.encapsulation = interface.circuit.map { "\($0.encapsulation)" } ?? interface.tunnel?.text
            plan.isTunnel = interface.tunnel != nil
            plan.isUnderlay = isUnderlay(index)
            return plan
        }
    }

    /// Whether the nodes of an underlay take what is unfinished inside of tunnels: only the file can know. A kernel that ends or forwards
    /// a tunnel does. A program that ends one by a socket gets partial checksums and segments as they are.
    private func isUnderlay(_ index: Int) -> Bool {
        let carried = file.interfaces.indices.filter { named.circuits.carriers[$0] == index }
        return carried.contains { !(file.interfaces[$0].tunnel?.encapsulation.kind == .ethernet) }
            && carried.allSatisfy { file.interfaces[$0].tunnel != nil }
            && legsOn[index].allSatisfy { file.nodes[$0.node].offload == true }
    }

    /// The MAC addresses on an interface that entries by hand name, and no node has.
    private func stations(beyond interface: Int) -> [MACAddress] {
        let own = Set(legsOn[interface].map { legs[$0.node][$0.leg].mac })
        return entries.flatMap { entry -> [MACAddress] in
            let sources = entry.receivedInterface == interface ? [entry.sourceMAC].compactMap { $0 } : []
            return sources
                + entry.targets.compactMap { target in
                    guard target.interface == interface, case .mac(let mac) = target.address else { return nil }
                    return mac
                }
        }.filter { !own.contains($0) && !$0.isMulticast }.uniqued()
    }

    /// The applications whose health Tapline looks after.
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
                name: raw.name.value, origin: raw.name.origin, type: raw.template.type,
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

    /// The services as customers find them.
    func serviceAddresses() -> [ServiceAddresses] {
        let resolved = Dictionary(services.map { ($0.index, $0) }) { first, _ in first }
        let echoes = Set(
            entries.filter { $0.direction == .request && [1, 58].contains($0.servicePort.protocolNumber) }.map {
                Echo(entry: $0.name, address: $0.destination)
            })
        return file.services.enumerated().map { number, service in
            var plan = ServiceAddresses(
                name: service.name.value, addresses: service.addresses.map { "\($0.value)" }.uniqued(),
                ports: service.ports.filter { $0.value != .any }.map { "\($0.value)" }.uniqued())
            plan.interfaces = (resolved[number]?.scopes ?? []).map(\.interface).uniqued().sorted()
            let first = "\(service.name.value).request.customers"
            plan.matches = service.addresses.map(\.value).flatMap { address -> [ImpairedPlace.Match] in
                var ports = service.ports.map(\.value)
                if echoes.contains(Echo(entry: first, address: address)) { ports.append(.icmp) }
                return ports.uniqued().map { specification in
                    .service(
                        address, protocolNumber: specification.servicePort(address.family).protocolNumber,
                        ports: specification.ports)
                }
            }
            return plan
        }
    }

    /// A service address whose ICMP an entry takes from customers.
    private struct Echo: Hashable {
        var entry: String
        var address: IPPrefix?
    }

    /// What the entries are made for.
    func entryOrigins() -> [EntryOrigin] {
        file.services.map { service in
            EntryOrigin(
                name: service.name.value, isService: true, origin: service.name.origin,
                addresses: service.addresses.map(\.value))
        }
            + file.entries.map { EntryOrigin(name: $0.name.value, isService: false, origin: $0.origin) }
    }

    /// The packeting engines, each with its interfaces if they share the load by direction.
    func enginesPlan() -> EnginesPlan {
        var plan = file.engines
        guard plan.sharing == .direction else { return plan }
        // An interface on which requests and answers come in has requests.
        func device(_ entry: Entry) -> Int {
            named.circuits.carriers[entry.receivedInterface] ?? entry.receivedInterface
        }
        let answering = Set(entries.filter { $0.direction == .response }.map(device))
        let asking = Set(entries.filter { $0.direction == .request }.map(device))
        plan.engineOfInterface = file.interfaces.indices.map {
            answering.contains($0) && !asking.contains($0) ? 1 : 0
        }
        return plan
    }
}
