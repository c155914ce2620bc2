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

    init(_ control: ControlProcess, _ instructions: RecordInstructions, _ plan: NegotiationPlan) {
        self.control = control
        self.instructions = instructions
        self.plan = plan
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
            guard let refusal = try instructions.carryOut(RecordChange(put: [record])) else { return .inForce }
            return .refused(refusal.problems.map(\.message).joined(separator: "; "))
        } catch { return .failed("\(error)") }
    }

    func remove(_ mappings: [Mapping]) -> String? {
        do throws(ApplianceError) {
            let refusal = try instructions.carryOut(RecordChange(remove: mappings.map(\.recordID)))
            return refusal.map { $0.problems.map(\.message).joined(separator: "; ") }
        } catch { return "\(error)" }
    }
}

extension Mapping {
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
            mappings: application.mappings, requests: application.requests, hasFilters: false)
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
