import ControlAPI
import EventLoop
import Forwarding
import PortMapping
import Plan
import Reporting
import Wire

/// Proves what applications ask for, and brings it in force. It is made for one request.
final class NegotiationOffice: MappingOffice {
    private let control: ControlProcess
    private let instructions: RecordInstructions
    private let plan: NegotiationPlan
    /// What is granted already.
    private let known: [Mapping.Key: Mapping]

    init(
        _ control: ControlProcess, _ instructions: RecordInstructions, _ plan: NegotiationPlan,
        _ known: [Mapping.Key: Mapping]
    ) {
        self.control = control
        self.instructions = instructions
        self.plan = plan
        self.known = known
    }

    /// The service ports of all services at the addresses that can be given, read once: a request may try thousands.
    private lazy var occupied: [(address: IPPrefix, ports: PortSpecification)] = {
        let (services, records) = control.loop.sync { [control] in
            (
                control.plan.services.map { ($0.addresses, $0.ports) },
                control.plan.serviceRecords.map { ($0.addresses, $0.ports) }
            )
        }
        let wanted = plan.applications.flatMap(\.addresses)
        return (services + records).flatMap { addresses, ports -> [(IPPrefix, PortSpecification)] in
            let prefixes = addresses.compactMap { InterfaceAddress($0)?.prefix }
                .filter { prefix in wanted.contains { prefix.contains($0) } }
            guard !prefixes.isEmpty else { return [] }
            let own = ports.isEmpty ? [.any] : ports.compactMap { try? PortSpecification.service($0) }
            return prefixes.flatMap { prefix in own.map { (prefix, $0) } }
        }
    }()

    func isTaken(_ address: IPAddress, _ protocolNumber: UInt8, port: UInt16) -> Bool {
        occupied.contains { $0.address.contains(address) && $0.ports.contains(protocolNumber, port) }
    }

    func put(_ mapping: Mapping) -> MappingVerdict {
        guard let application = plan.applications.first(where: { $0.name == mapping.key.application }) else {
            return .failed("\(mapping.key.application) may ask for nothing")
        }
        let ports =
            mapping.port == mapping.key.internalPort
            ? mapping.portText : "\(mapping.portText) -> \(mapping.key.internalPort)"
        let record = RecordedService(
            tenant: application.name, name: mapping.recordName, addresses: ["\(mapping.address)"], ports: [ports],
            from: application.from, distribute: application.distribute,
            sequence: application.through + [application.name])
        do throws(ApplianceError) {
            var change = RecordChange(put: [record])
            var after = known
            after[mapping.key] = mapping
            filter([application.name], after, &change)
            guard let refusal = try instructions.carryOut(change) else { return .inForce }
            return .refused(refusal.problems.map(\.message).joined(separator: "; "))
        } catch { return .failed("\(error)") }
    }

    func remove(_ mappings: [Mapping]) -> String? {
        do throws(ApplianceError) {
            var change = RecordChange(remove: mappings.map(\.recordID))
            let gone = Set(mappings.map(\.key))
            filter(Set(gone.map(\.application)), known.filter { !gone.contains($0.key) }, &change)
            let refusal = try instructions.carryOut(change)
            return refusal.map { $0.problems.map(\.message).joined(separator: "; ") }
        } catch { return "\(error)" }
    }
}

extension NegotiationOffice {
    /// Adds to a change what the engine lets through to applications, in the same table as the services: a mapping with filters
    /// is never there without them.
    private func filter(_ applications: Set<String>, _ after: [Mapping.Key: Mapping], _ change: inout RecordChange) {
        let kept = control.loop.sync { [control] in control.plan.wantedAccess }
        for application in applications.sorted() {
            let rules = after.values.filter { $0.key.application == application }.sorted().flatMap(\.rules)
            let list = RecordedAccess(
                tenant: application, application: application, rules: rules,
                otherwise: RecordedVerdict(action: "allow"))
            let former = kept.first { $0.id == list.id }
            if rules.isEmpty {
                if former != nil { change.removeAccess.append(list.id) }
            } else if former != AccessRecord(list) {
                change.putAccess.append(list)
            }
        }
    }
}

extension Mapping {
    /// What its filters are as rules of an access list: these senders, and no others. None without filters.
    fileprivate var rules: [RecordedAccessRule] {
        guard !filters.isEmpty else { return [] }
        func rule(_ action: String) -> RecordedAccessRule {
            RecordedAccessRule(
                action: action, protocolName: key.protocolNumber == IPProtocol.udp ? "udp" : "tcp",
                own: "\(address)", ownPorts: ["\(port)"])
        }
        return filters.map { filter in
            var allowed = rule("allow")
            allowed.remote = "\(filter.prefix)"
            allowed.remotePorts = filter.port == 0 ? [] : ["\(filter.port)"]
            return allowed
        } + [rule("deny")]
    }

    /// The name of its record.
    var recordName: String {
        "\(key.protocolNumber == IPProtocol.udp ? "udp" : "tcp")-\(key.internalPort)\(key.family == .ipv6 ? "-v6" : "")"
    }

    /// The id of its record, which is the name of its service.
    var recordID: String { "\(key.application)/\(recordName)" }

    /// The service port, such as `udp/27015`.
    var portText: String { "\(key.protocolNumber == IPProtocol.udp ? "udp" : "tcp")/\(port)" }

    /// For a person.
    var text: String { "\(portText) at \(address), to port \(key.internalPort) of \(key.application)" }
}

extension SenderFilter {
    /// For a person.
    var text: String { port == 0 ? "\(prefix)" : "\(prefix) port \(port)" }
}

extension NegotiationRules {
    /// The rules of an application of the plan.
    init(_ application: NegotiationPlan.Application) {
        self.init(
            application: application.name, addresses: application.addresses,
            ports: application.ports.compactMap { ports in
                guard case .number(let number) = ports.upperProtocol else { return nil }
                return Ports(protocolNumber: number, range: ports.ports)
            },
            lifetime: UInt32(application.lifetime.lowerBound)...UInt32(application.lifetime.upperBound),
            mappings: application.mappings, requests: application.requests)
    }
}

extension PortSpecification {
    /// True if a port of a protocol is one of these.
    fileprivate func contains(_ number: UInt8, _ port: UInt16) -> Bool {
        switch upperProtocol {
        case .any: true
        case .icmp: false
        case .number(let own): own == number && ports.contains(port)
        }
    }
}
