import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The source of an entry of the plan.
struct EntryBasis: Sendable {
    var origin: SourceOrigin
    var label: String
    var service: Int?
    /// The node that the packets come from, -1 for customers.
    var node = -1
    /// The service port that it was made for.
    var port: Located<PortSpecification>?
    /// The entry by hand.
    var raw: RawEntry?
}

/// An entry, and its source.
struct MadeEntry: Sendable {
    var entry: Entry
    var basis: EntryBasis
}

/// The fourth stage: the entries of the engine's table, first from services, then by hand.
///
/// It guarantees that each entry has a counter of its own, and keeps the one that it had in a running topology. Each
/// entry says what it was made from. Two of them may collide: the next stage says which.
struct PlannedEntries: Sendable {
    let served: ServedTopology
    let entries: [Entry]
    /// For each entry: its source.
    let bases: [EntryBasis]

    init(_ served: ServedTopology, _ diagnostics: Diagnostics) {
        self.served = served
        let maker = EntryMaker(served: served, diagnostics: diagnostics)
        let ofServices =
            served.services.flatMap { maker.entries(of: $0) } + served.neighbourhoods.flatMap { maker.entries(of: $0) }
        maker.checkNames(ofServices)
        let unguarded =
            ofServices + maker.answererEntries() + served.file.entries.flatMap { maker.entries(of: $0) }
        let made = unguarded + served.managementGuards(of: unguarded)
        bases = made.map(\.basis)
        let counted = made.enumerated().map { number, made in
            var entry = made.entry
            entry.counter = number
            return entry
        }
        entries = served.named.kept?.counting(counted, of: served.file) ?? counted
    }

    /// The targets whose system type the file gives itself.
    var vouched: Set<TargetPlace> {
        Set(
            bases.enumerated().flatMap { entry, basis in
                (basis.raw?.targets ?? []).enumerated().filter { $1.system != nil }.map { number, _ in
                    TargetPlace(entry: entry, target: number)
                }
            })
    }
}

/// The questions that a stage can answer as soon as entries are known.
protocol EntryStage: ServiceStage {
    var planned: PlannedEntries { get }
}

extension PlannedEntries: EntryStage {
    var planned: PlannedEntries { self }
}

extension EntryStage {
    var served: ServedTopology { planned.served }
    var entries: [Entry] { planned.entries }
    /// For each entry: its source.
    var bases: [EntryBasis] { planned.bases }
}

/// Makes the entries of services, and those by hand.
struct EntryMaker: ServiceStage, Diagnosing {
    let served: ServedTopology
    let diagnostics: Diagnostics
    /// The services by address, as places in `services`.
    let prefixes: ServicePrefixes
    /// For each address that applications answer from in place of services' addresses: the service that has its echo.
    private(set) var echoes: [RewrittenEnd: Int] = [:]

    init(served: ServedTopology, diagnostics: Diagnostics) {
        self.served = served
        self.diagnostics = diagnostics
        prefixes = ServicePrefixes(served.services.map { $0.raw.addresses.map(\.value) })
        echoes = firstEchoes()
    }

    /// One address and one service port of a service, which an entry names.
    struct Flow {
        var address: IPPrefix
        /// As customers have it.
        var port: ServicePort
        /// The service port as the file has it; nil for ICMP that it does not name.
        var specification: Located<PortSpecification>?
        /// The first place of the chain whose application has other ports; nil if none has.
        var translatedFrom: Int?

        /// What turns the port that customers have into the one of packets at a place of the chain; -1 is before the first.
        func shift(at place: Int) -> PortShift {
            guard let first = translatedFrom, place >= first else { return .none }
            return specification?.value.shift ?? .none
        }

        /// The service port of packets that come from a place of the chain.
        func port(at place: Int) -> ServicePort {
            guard let ports = shift(at: place).applied(to: port.ports) else { return port }
            return ServicePort(protocolNumber: port.protocolNumber, ports: ports)
        }
    }

    /// Entries of different services or applications must not have one name: checks could not tell them apart.
    func checkNames(_ made: [MadeEntry]) {
        var owners: [String: EntryBasis] = [:]
        for made in made {
            let (entry, basis) = (made.entry, made.basis)
            guard let owner = owners[entry.name] else {
                owners[entry.name] = basis
                continue
            }
            guard owner.service != basis.service || owner.node != basis.node else { continue }
            diagnostics.error(
                basis.origin,
                owner.service == basis.service
                    ? "an application of \(basis.label) is called \(quoted("customers")), and its entries would be called "
                        + "\(quoted(entry.name)) as those of the customers"
                    : "entries of \(basis.label) and of \(owner.label) \(owner.origin.place) would both be called "
                        + quoted(entry.name),
                hint: owner.service == basis.service ? "rename the application" : "rename one of the two services")
        }
    }
}
