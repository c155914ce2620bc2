import ControlAPI
import EngineControl
import EventLoop
import Logging
import Plan
import Planning
import Reporting
import TopologyFiles

/// Plans, proves and publishes what tenants' instructions ask for. On the thread of `RecordKeeper`, one after another.
final class RecordInstructions {
    let control: ControlProcess
    /// What was prepared last, and the plan that it was prepared for.
    private var prepared: Prepared?
    private var nextNumber = 1
    private let observation: RecordObservation
    /// The plan that runs, in the form that instructions change, with its number.
    private var recorded: (version: Int, plan: RecordedPlan)?
    /// What is known of rules that never match, by the ids of the lists.
    var shadows: [String: (list: PlannedAccess, remarks: [AccessRemark])] = [:]
    /// What the last instruction took the place of. Letting go of a large plan takes time, so the answer goes first.
    private var former: (plan: RecordedPlan?, prepared: Prepared)?
    /// How long the stages of the instruction took that is under way.
    private var stages: StageTimes?
    /// True after all records were put in force: nothing is ready for a first instruction.
    private var isFresh = false

    private struct Prepared {
        var number: Int
        var basis: Int
        var wanted: RecordChange
        var planned: PlannedFile
        /// The plan in the form that the next instruction changes.
        var recorded: RecordedPlan?
    }

    init(_ control: ControlProcess) {
        self.control = control
        observation = RecordObservation(control)
    }

    /// The answer to one message of the records' process; nil if there is none.
    ///
    /// - Parameter isStarting: True while the topology comes up, whose thread is in the gate and waits.
    func answer(_ request: InstructionRequest, whileStarting isStarting: Bool) -> InstructionAnswer? {
        do throws(ApplianceError) {
            switch request {
            case .begin(let services, let access):
                try inGate(isStarting) { cancellation throws(ApplianceError) in
                    try begin(services, access, cancellation)
                }
                return .description(description())
            case .failed: return nil
            case .describe: return .description(description())
            case .observe(let tenant): return .observation(observation.answer(of: tenant))
            case .access(let tenant): return .access(accessStates(of: tenant))
            case .prepare(let wanted):
                return try inGate(isStarting) { cancellation throws(ApplianceError) in
                    try prepare(wanted, cancellation)
                }
            case .commit(let number):
                return try inGate(isStarting) { cancellation throws(ApplianceError) in try commit(number, cancellation)
                }
            }
        } catch {
            return .error(error)
        }
    }

    private func inGate<Value>(
        _ isIn: Bool, _ body: (Cancellation) throws(ApplianceError) -> Value
    ) throws(ApplianceError) -> Value {
        if isIn { return try body(control.cancellation) }
        let cancellation = try control.gate.enterForInstruction()
        defer { control.gate.leaveInstruction() }
        return try body(cancellation)
    }

    // MARK: - All records

    /// Makes exactly these records those that tenants want: at the start, and when the records' process was started anew.
    private func begin(
        _ services: [RecordedService], _ access: [RecordedAccess], _ cancellation: Cancellation
    ) throws(ApplianceError) {
        let current = try control.running()
        isFresh = true
        // What applications asked for is not in the database.
        let own = Set(current.negotiation?.applications.map(\.name) ?? [])
        let asked = current.wantedRecords.filter { own.contains($0.tenant) }
        let filters = current.wantedAccess.filter { own.contains($0.tenant) }
        let (wanted, lists) = (services.map(ServiceRecord.init) + asked, access.map(AccessRecord.init) + filters)
        guard Set(wanted) != Set(current.wantedRecords) || Set(lists) != Set(current.wantedAccess) else { return }
        let source = control.loop.sync { self.control.topology.source }
        var basis = current
        // In the order of the database: it is that in which they came.
        (basis.serviceRecords, basis.recordsSetAside) = (wanted, [])
        var fresh = try PlanReader.plan(source, name: control.name, keeping: basis, changes: current.changes)
        Planner.judge(fitting: lists, in: &fresh.plan, of: source, keeping: current)
        fresh.cause = "all records came into force"
        _ = try control.change(current, to: fresh, isTrial: false, drain: .zero, cancellation) { _ in }
        let plan = control.loop.sync { self.control.plan }
        for aside in plan.recordsSetAside {
            control.logger.warning(
                "service \(aside.record.id) is set aside: \(aside.reasons.joined(separator: "; "))")
        }
        for aside in plan.accessSetAside {
            control.logger.warning("\(aside.record.id) is set aside: \(aside.reasons.joined(separator: "; "))")
        }
        for note in plan.accessLists.flatMap(\.notes) { control.logger.warning("\(note)") }
    }

    // MARK: - Instructions

    private func prepare(
        _ wanted: RecordChange, _ cancellation: Cancellation
    ) throws(ApplianceError) -> InstructionAnswer {
        // A plan cannot be interrupted: an instruction that is taken back begins none, and none that was made counts.
        try cancellation.check()
        let (current, basis, source) = control.loop.sync {
            (self.control.plan, self.control.topology.version, self.control.topology.source)
        }
        _ = try control.running()
        stages = StageTimes()
        var outcome = planned(wanted, source, current, basis)
        try cancellation.check()
        if case .proved(let planned, let recorded) = outcome {
            outcome = judging(wanted, planned, recorded, source, current)
        }
        stages?.end("plan")
        switch outcome {
        case .refused(let refusal): return .refused(refusal)
        case .proved(let planned, let recorded):
            let difference = PlanDifference(
                from: current, to: planned.plan.adopting(current), patch: planned.patch)
            stages?.end("difference")
            if let refusal = refusal(of: difference, wanted, current) { return .refused(refusal) }
            if let refusal = refusal(ofAccess: planned.plan, wanted) { return .refused(refusal) }
            let number = nextNumber
            nextNumber += 1
            prepared = Prepared(
                number: number, basis: basis, wanted: wanted, planned: planned, recorded: recorded)
            return .prepared(
                PreparedInstruction(
                    number: number, changes: difference.lines(planned.plan), remarks: remarks(wanted, planned.plan)))
        }
    }

    /// The plan with the services that are wanted.
    private func planned(
        _ wanted: RecordChange, _ source: TopologyFile, _ current: AppliancePlan, _ basis: Int
    ) -> Planned {
        guard !wanted.changesServices else {
            return plan(wanted.put.map(ServiceRecord.init), Set(wanted.remove), source, current, basis)
        }
        // Access lists change no service.
        return .proved(
            PlannedFile(source: source, plan: current), recorded?.version == basis ? recorded?.plan : nil)
    }

    /// Plans and proves the running plan with an instruction: what the instruction can touch if that is enough, else all.
    private func plan(
        _ put: [ServiceRecord], _ remove: Set<String>, _ source: TopologyFile, _ current: AppliancePlan, _ basis: Int
    ) -> Planned {
        let touched = remove.union(put.map(\.id))
        let aside = current.recordsSetAside.filter { !touched.contains($0.record.id) }
        do throws(RecordRefusal) {
            if recorded?.version != basis { recorded = RecordedPlan(source, current).map { (basis, $0) } }
            switch try recorded?.plan.changed(put: put, remove: remove) {
            case .changed(let changed, let table)?:
                var planned = PlannedFile(source: source, plan: changed.plan, patch: table)
                planned.plan.recordsSetAside = aside
                return .proved(planned, changed)
            case .unknown(let why)?: control.logger.debug("all is planned: \(why)")
            case nil: control.logger.debug("all is planned: the plan in force cannot be read")
            }
            var planned = try PlanReader.plan(
                source, records: current.serviceRecords.with(put, remove), name: control.name, keeping: current)
            planned.plan.recordsSetAside = aside
            return .proved(planned, nil)
        } catch {
            return .refused(InstructionRefusal(error))
        }
    }

    enum Planned {
        case proved(PlannedFile, RecordedPlan?)
        case refused(InstructionRefusal)
    }

    private func commit(_ number: Int, _ cancellation: Cancellation) throws(ApplianceError) -> InstructionAnswer {
        guard var prepared, prepared.number == number else {
            throw ApplianceError(.failed, "instruction \(number) is not the one that was prepared last")
        }
        self.prepared = nil
        let current = try control.running()
        if control.loop.sync({ self.control.topology.version }) != prepared.basis {
            // Another change came between: what was proved no longer runs. The instruction is prepared again beside what runs now.
            let answer = try prepare(prepared.wanted, cancellation)
            guard let fresh = self.prepared else { return answer }
            self.prepared = nil
            prepared = fresh
        }
        stages?.begin()
        _ = control.access.takeRefusal()
        do throws(ApplianceError) {
            prepared.planned.cause = "an instruction changed \(prepared.wanted.ids.joined(separator: ", "))"
            _ = try control.change(current, to: prepared.planned, isTrial: false, drain: .zero, cancellation) { _ in }
        } catch {
            guard let refusal = refusal(ofCommitting: prepared.wanted) else { throw error }
            return .refused(refusal)
        }
        restoreFiles(prepared.wanted)
        stages?.end("publish")
        remember(prepared)
        if let stages { control.logger.debug("instruction took \(stages.text)") }
        return .committed(CommittedInstruction(generation: generation))
    }

    /// Keeps the form of the plan that the next instruction changes, if nothing else has changed the plan.
    private func remember(_ prepared: Prepared) {
        let (version, plan) = control.loop.sync { (self.control.topology.version, self.control.plan) }
        former = (recorded?.plan, prepared)
        guard var recorded = prepared.recorded, version == prepared.basis + 1 else { return self.recorded = nil }
        recorded.adopt(plan, insteadOf: self.recorded?.plan)
        self.recorded = (version, recorded)
    }

    /// Lets go of what is no longer needed, and makes ready what the next instruction needs. Call it when the answer is on its
    /// way.
    func tidy() {
        former = nil
        recorded?.plan.catchUp()
        guard isFresh else { return }
        isFresh = false
        let (current, version, source) = control.loop.sync {
            (self.control.plan, self.control.topology.version, self.control.topology.source)
        }
        if recorded?.version != version { recorded = RecordedPlan(source, current).map { (version, $0) } }
        control.prepareForChanges()
    }

    private var generation: UInt64 { control.loop.sync { self.control.fleet?.newestGeneration ?? 0 } }

    // MARK: - What there is

    private func description() -> TenantsDescription {
        let plan = control.loop.sync { self.control.plan }
        let interfaces = plan.interfaces.filter { !$0.isVacant }.map(\.name)
        var description = TenantsDescription(
            topology: control.name,
            tenants: (plan.records?.tenants ?? []).map { tenant in
                var described = TenantsDescription.Tenant(
                    name: tenant.name, customers: tenant.customers, addresses: tenant.addresses.map { "\($0)" },
                    applications: tenant.applications.map {
                        TenantsDescription.Application(
                            name: $0.name, type: $0.type, passive: $0.isPassive, access: $0.access)
                    }, must: tenant.must, interfaces: interfaces, services: tenant.services, rules: tenant.rules,
                    instructions: tenant.instructions)
                described.origins = tenant.origins.map { "\($0)" }
                described.certificates = tenant.certificates
                return described
            },
            setAside: plan.recordsSetAside.map { TenantsDescription.SetAside(id: $0.record.id, reasons: $0.reasons) }
                + plan.accessSetAside.map { TenantsDescription.SetAside(id: $0.record.id, reasons: $0.reasons) },
            generation: generation)
        description.inPart = plan.accessLists.filter { !$0.omissions.isEmpty }.map {
            TenantsDescription.SetAside(id: $0.record.id, reasons: $0.omissions.map(\.message))
        }
        description.networks = plan.records?.management?.networks.map { $0.map { "\($0)" } } ?? []
        return description
    }
}

extension ServiceRecord {
    init(_ service: RecordedService) {
        self.init(
            tenant: service.tenant, name: service.name, addresses: service.addresses, ports: service.ports,
            from: service.from, distribute: service.distribute, sequence: service.sequence)
    }
}

extension InstructionRefusal {
    init(_ refusal: RecordRefusal) {
        let stage: Stage =
            switch refusal.stage {
            case .invalid: .invalid
            case .forbidden: .forbidden
            case .conflict: .conflict
            }
        self.init(stage: stage, problems: refusal.error.problems.map(InstructionProblem.init))
    }
}

extension InstructionProblem {
    init(_ problem: TopologyProblem) {
        let record = problem.origin.record
        self.init(
            record: record?.id, pointer: record?.field, message: problem.message, hint: problem.hint,
            example: problem.example,
            related: problem.related.map { "\($0.origin.head(in: problem.file)): \($0.label)" },
            relatedRecords: problem.related.compactMap { $0.origin.record?.id })
    }
}
