import ControlAPI
import Engine
import EngineControl
import EventLoop
import Forwarding
import Plan
import Reporting
import TopologyFiles

/// The impaired links of the running topology.
extension ControlProcess {
    /// Has engines do what the file, commands and checks ask for, and waits until all do.
    func publishImpairments(_ cancellation: Cancellation) throws(ApplianceError) {
        try waiting(cancellation) { [self] done in handImpairments(done) }
    }

    /// The same on the loop's thread.
    func handImpairments(_ done: @escaping (Result<Void, ApplianceError>) -> Void) {
        loop.preconditionCurrent()
        guard let fleet else { return done(.failure(.noEngineYet)) }
        let (links, fresh) = impairments.orders(plan)
        fleet.impair(links, fresh: fresh, done)
    }

    /// Impairs a link from now on in place of what the file says; nil: as the file says.
    ///
    /// - Parameter directions: Those whose sequences begin anew, although their settings may be as before.
    /// - Returns: What was asked for before in place of the file.
    func impair(
        _ place: ImpairmentPlace, _ impairment: ImpairmentPair?, begins directions: [ImpairedPlace.Direction],
        _ cancellation: Cancellation
    ) throws(ApplianceError) -> ImpairmentPair? {
        let before = loop.sync { self.impairments.command(place, impairment, begins: directions) }
        do throws(ApplianceError) {
            try publishImpairments(cancellation)
        } catch {
            _ = loop.sync { self.impairments.command(place, before) }
            throw error
        }
        let text = impairment.map { $0.isNothing ? "not impaired" : $0.text } ?? "as the file says"
        happened(ApplianceEvent(.linkImpaired, reason: "\(place.text): \(text)"))
        return before
    }

    /// Takes back what commands have asked for.
    ///
    /// - Returns: A note for each link that is as the file says again.
    func forgetCommandedImpairments(_ cancellation: Cancellation) throws(ApplianceError) -> [String] {
        let forgotten = loop.sync { self.impairments.forgetCommands() }
        guard !forgotten.isEmpty else { return [] }
        try publishImpairments(cancellation)
        return forgotten.map { "the impairment of link \($0.text) that a command asked for has ended" }
    }

    /// Does what a command asks for, and lists the impaired links.
    func impair(_ request: ImpairRequest) throws(ApplianceError) -> ImpairReport {
        if let name = request.link {
            try changing(ChangeGate.change) { [self] (cancellation) throws(ApplianceError) in
                let plan = try running()
                let place = try Self.place(name, in: plan)
                guard loop.sync({ self.impairments.hasRoom(for: place, plan) }) else {
                    throw ApplianceError(
                        .failed, "\(ImpairmentPlan.most) links are impaired already, and engines have room for no more",
                        hint: "take one back with --clear, or impair interfaces in place of their nodes")
                }
                var pair = ImpairmentPair()
                if request.clear != true {
                    pair = try Self.pair(
                        request.settings ?? [:], request.direction,
                        beside: loop.sync { self.impairments.commanded[place] }
                            ?? plan.impairments.first { $0.place == place }?.impairment)
                }
                let named = ImpairedPlace.Direction.allCases.filter { request.direction ?? $0.text == $0.text }
                _ = try impair(place, pair, begins: named, cancellation)
            }
        }
        return loop.sync { ImpairReport(links: self.impairmentReport) }
    }

    /// The impaired links with their counters. On the loop's thread.
    var impairmentReport: [StatusReport.Impairment] {
        impairments.report { self.fleet?.impairmentCount(slot: $0) ?? .init() }
    }

    /// The link that a command names.
    private static func place(_ name: String, in plan: AppliancePlan) throws(ApplianceError) -> ImpairmentPlace {
        let found = plan.links(named: name)
        if found.count == 1 { return found[0] }
        let shown = ControlText.shown(name, most: 64)
        guard found.isEmpty else {
            throw ApplianceError(
                .usage, "'\(shown)' may be several links",
                hint: "name one of them: \(found.map(\.text).joined(separator: ", "))")
        }
        if let service = plan.services.first(where: { $0.name == name || "service/\($0.name)" == name }) {
            throw ApplianceError(
                .usage, "service '\(service.name)' is between neighbours, and has no link of its own",
                hint: "impair the link of one of its nodes, or the interface")
        }
        let interfaces = plan.interfaces.filter { !$0.isVacant }.map(\.name)
        let services = plan.services.map(\.name).filter { plan.link(.service($0)) != nil }
        let names = interfaces + plan.nodes.map(\.name) + services
        throw ApplianceError(
            .name, "there is no link '\(shown)' in '\(plan.name)'",
            hint: Spelling.nearest(to: name, among: names).map { "did you mean '\($0)'?" }
                ?? "name an interface, a node, NODE/INTERFACE or service/NAME")
    }

    /// The impairment of the settings of a command.
    ///
    /// - Parameters:
    ///   - direction: nil: both.
    ///   - present: What the other direction keeps.
    private static func pair(
        _ settings: [String: String], _ direction: String?, beside present: ImpairmentPair?
    ) throws(ApplianceError) -> ImpairmentPair {
        var impairment = Impairment()
        for key in settings.keys.sorted() {
            do throws(ImpairmentText.Fault) {
                if key == "trace" {
                    impairment.trace = try DelayFile.delays(at: settings[key] ?? "", mayBePipe: false)
                } else {
                    try ImpairmentText.set(key, settings[key] ?? "", in: &impairment)
                }
            } catch {
                throw ApplianceError(
                    .usage, "'\(ControlText.shown(key, most: 32))' \(ControlText.shown(error.what, most: 200))",
                    hint: error.hint)
            }
        }
        if let wrong = impairment.contradiction(hasQueue: settings["queue"] != nil) {
            throw ApplianceError(.usage, wrong.what, hint: wrong.hint)
        }
        guard let direction else { return ImpairmentPair(toNodes: impairment, fromNodes: impairment) }
        guard let named = ImpairedPlace.Direction.allCases.first(where: { $0.text == direction }) else {
            throw ApplianceError(.usage, "a direction is to-nodes or from-nodes")
        }
        var pair = present ?? ImpairmentPair()
        pair[named] = impairment
        return pair
    }
}
