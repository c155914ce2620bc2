import ControlAPI
import EventLoop
import Glibc
import Instructions
import Plan
import Records
import Reporting
import Synchronization

/// Carries out instructions, one after another and in turns of the tenants, on a thread of its own.
///
/// An instruction is planned and proved by the control process, then written, then published. It is answered when every engine
/// decides by it. If it cannot be published, what was written is taken back.
final class InstructionDesk: Sendable {
    /// How many instructions of one tenant may wait.
    static let mostWaiting = 32

    /// An instruction that waits.
    struct Work: Sendable {
        var request: APIRequest
        var route: Route
        var values: [String: String]
        var caller: TenantService.Caller
        var tenant: String
        var isTrial: Bool
        /// `Idempotency-Key`.
        var key: String?
        var done: @Sendable (APIAnswer) -> Void

        /// - Throws: `Problem` if a field or a parameter is wrong.
        init(
            request: APIRequest, route: Route, values: [String: String], target: RequestTarget,
            caller: TenantService.Caller, done: @escaping @Sendable (APIAnswer) -> Void
        ) throws(Problem) {
            self.request = request
            self.route = route
            self.values = values
            self.caller = caller
            tenant = caller.tenant ?? ""
            self.done = done
            switch target.query[Route.Parameter.dryRun.rawValue] {
            case nil, "false"?: isTrial = false
            case "true"?, ""?: isTrial = true
            default: throw Problem(.notAsExpected, "dry-run is true or false")
            }
            key = try request.field("idempotency-key")
            if let key, !(1...128).contains(key.utf8.count) || !key.utf8.allSatisfy({ (33...126).contains($0) }) {
                throw Problem(.notAsExpected, "an Idempotency-Key has 1 to 128 visible characters of ASCII")
            }
        }
    }

    let store: RecordStore
    private let control: ControlLink
    private let queue = Mutex(FairQueue<Work>(mostOfOne: InstructionDesk.mostWaiting))
    private let bell = Mutex(RaisedFlag())

    init(store: RecordStore, control: ControlLink) throws(ApplianceError) {
        self.store = store
        self.control = control
    }

    /// Begins.
    func start() throws(ApplianceError) {
        try startThread { [self] in
            while true {
                let flag = bell.withLock { $0 }
                while let work = queue.withLock({ $0.next() }) { work.done(answer(work)) }
                flag.wait()
            }
        }
    }

    /// Adds an instruction.
    ///
    /// - Returns: False if too many of the tenant wait already.
    func add(_ work: Work, of tenant: String) -> Bool {
        guard queue.withLock({ $0.add(work, of: tenant) }) else { return false }
        bell.withLock { flag in
            flag.raise()
            flag = RaisedFlag()
        }
        return true
    }

    // MARK: - On its thread

    private func answer(_ work: Work) -> APIAnswer {
        do throws(Problem) { return try perform(work) } catch {
            return TenantService.answer(work.caller.role == .operator ? error : error.withoutDetails)
        }
    }

    /// What an instruction wants.
    struct Wish {
        var put: [RecordedService] = []
        var remove: [String] = []
        var putAccess: [RecordedAccess] = []
        /// By applications.
        var removeAccess: [String] = []
        /// The places of records in the body, by their ids.
        var places: [String: String] = [:]
        /// The same for those that the body only names: it says nothing of what is in them.
        var names: [String: String] = [:]

        /// The JSON pointer to something in the body; nil: the body has nothing of it.
        ///
        /// - Parameter field: A pointer into the record; nil: it is about the whole.
        func pointer(_ record: String, _ field: String?) -> String? {
            places[record].map { $0 + (field ?? "") } ?? names[record]
        }

        /// The same for the control process.
        func change(of tenant: String) -> RecordChange {
            RecordChange(
                put: put, remove: remove.map { "\(tenant)/\($0)" }, putAccess: putAccess,
                removeAccess: removeAccess.map { "\(tenant)/\(RecordedAccess.subject($0))" })
        }
    }

    static let ended = Problem(
        .unauthorised, "the token or certificate is not valid any more",
        hint: "it has expired, or was revoked: ask the operator")

    /// What happened is in the engines or in the database, and not in both: the next process brings them together.
    private func endProcess(_ error: ApplianceError) -> Never {
        let line = Array("tapline-records: the database and the engines may differ, so it starts anew: \(error)\n".utf8)
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        // Nothing is closed in order: the database is whole at every moment.
        _exit(2)
    }

    private func perform(_ work: Work) throws(Problem) -> APIAnswer {
        // It may have been revoked while the instruction waited.
        guard try TenantService.store({ () throws(ApplianceError) in try store.isValid(work.caller.who) }) else {
            throw Self.ended
        }
        if !work.caller.certificate.isEmpty {
            let description = try TenantService.store { () throws(ApplianceError) in try control.description() }
            guard description.tenant(certified: work.caller.certificate)?.name == work.tenant else { throw Self.ended }
        }
        // The operator is told more than the tenant: neither gets an answer of the other's.
        let asker = work.caller.role == .operator ? "operator" : "tenant"
        let request = SHA256.hash(
            Array("\(asker) \(work.request.method) \(work.request.target)\n".utf8) + work.request.body)
        if let key = work.key, !work.isTrial, let known = try repeated(key, of: work.tenant) {
            guard known.request == request else {
                throw Problem(.invalid, "this Idempotency-Key was used for another request", hint: "use another one")
            }
            return APIAnswer(
                status: 200, headers: [("Idempotency-Replayed", "true")], body: Array(known.answer.utf8))
        }
        let wish = try wish(of: work)
        let prepared = try prepare(wish, work)
        let changes = sight(of: work)?.changes(prepared.changes) ?? prepared.changes
        func outcome(_ version: Int?, _ generation: UInt64?) -> Outcome {
            Outcome(
                version: version, generation: generation, dryRun: version == nil, changes: changes,
                services: wish.put.map { ServiceView($0, version: version ?? 0, setAside: nil) }, removed: wish.remove,
                access: Self.views(of: wish, version ?? 0, prepared.remarks), removedAccess: wish.removeAccess)
        }
        if work.isTrial { return try TenantService.answer(200, outcome(nil, nil)) }
        let instruction = Instruction(
            tenant: work.tenant, who: work.caller.who, origin: work.caller.origin, name: work.route.name.rawValue,
            repeating: work.key.map { ($0, request) })
        let version = try TenantService.store { () throws(ApplianceError) in
            try store.write(
                instruction, put: wish.put, remove: wish.remove, putAccess: wish.putAccess,
                removeAccess: wish.removeAccess
            ) { version in
                String(decoding: try TenantService.encoded(outcome(version, nil)), as: UTF8.self)
            }
        }
        guard let version else { throw Self.ended }
        let generation = try publish(prepared.number, version, work, wish)
        let body = try TenantService.encoded(outcome(version, generation))
        do throws(ApplianceError) {
            try store.confirm(version, generation: generation, answer: String(decoding: body, as: UTF8.self))
        } catch { endProcess(error) }
        var answer = APIAnswer(status: 200, body: body)
        if [.putService, .putAccess].contains(work.route.name) { answer.headers.append(("ETag", "\"\(version)\"")) }
        return answer
    }

    private func repeated(_ key: String, of tenant: String) throws(Problem) -> (request: [UInt8], answer: String)? {
        try TenantService.store { () throws(ApplianceError) in try store.answer(to: key, of: tenant) }
    }

    // MARK: - What is wanted

    private func wish(of work: Work) throws(Problem) -> Wish {
        switch work.route.name {
        case .putService:
            let name = work.values["service"] ?? ""
            var reader = BodyReader()
            let service = reader.service(try TenantService.json(work.request), tenant: work.tenant, name: name)
            try reader.check()
            guard let service else { throw Problem(.invalid, "the body is no service") }
            // What could not be done anyway needs no condition (RFC 9110, section 13.2.1).
            try check(work, "service", try kept(name, work.tenant)?.version)
            return Wish(put: [service], places: [service.id: ""])
        case .deleteService:
            let name = work.values["service"] ?? ""
            guard let kept = try kept(name, work.tenant) else { throw TenantService.noService(name) }
            try check(work, "service", kept.version)
            return Wish(remove: [name])
        case .changeServices:
            var reader = BodyReader()
            let batch = reader.batch(try TenantService.json(work.request), tenant: work.tenant)
            try reader.check()
            return try wish(of: batch, work)
        case .putAccess, .deleteAccess: return try accessWish(of: work)
        case .restoreServices: return try restoring(work)
        default: throw Problem(.failed, "this route changes nothing")
        }
    }

    private func wish(of batch: BodyReader.Batch, _ work: Work) throws(Problem) -> Wish {
        var wish = Wish(
            put: batch.put, remove: batch.remove, putAccess: batch.putAccess, removeAccess: batch.removeAccess)
        for (place, name) in batch.remove.enumerated() {
            guard try kept(name, work.tenant) != nil else {
                throw TenantService.noService(name, at: "/remove/\(place)")
            }
            wish.names["\(work.tenant)/\(name)"] = "/remove/\(place)"
        }
        for (place, name) in batch.removeAccess.enumerated() {
            guard try keptAccess(name, work.tenant) != nil else {
                throw TenantService.noAccess(name, at: "/remove-access/\(place)")
            }
            wish.names["\(work.tenant)/\(RecordedAccess.subject(name))"] = "/remove-access/\(place)"
        }
        for (place, service) in batch.put.enumerated() { wish.places[service.id] = "/put/\(place)" }
        for (place, list) in batch.putAccess.enumerated() { wish.places[list.id] = "/put-access/\(place)" }
        return wish
    }

    private func restoring(_ work: Work) throws(Problem) -> Wish {
        var reader = BodyReader()
        let version = reader.version(try TenantService.json(work.request))
        try reader.check()
        let tenant = work.tenant
        let (then, now) = try TenantService.store { () throws(ApplianceError) in
            (
                try store.records(of: tenant, at: version ?? 0),
                try store.records(of: tenant, at: try store.newestVersion())
            )
        }
        guard let then, let now else {
            throw Problem(
                .notFound, "there was no version \(version ?? 0)", hint: "see the audit: every change has one",
                at: "/version")
        }
        let names = Set(then.services.map(\.name))
        let applications = Set(then.access.map(\.application))
        var wish = Wish(
            put: then.services.filter { !now.services.contains($0) },
            remove: now.services.map(\.name).filter { !names.contains($0) },
            putAccess: then.access.filter { !now.access.contains($0) },
            removeAccess: now.access.map(\.application).filter { !applications.contains($0) })
        // All that is wanted follows from the version.
        wish.names = Dictionary(wish.change(of: tenant).ids.map { ($0, "/version") }) { first, _ in first }
        return wish
    }

    private func kept(_ name: String, _ tenant: String) throws(Problem) -> KeptService? {
        try TenantService.store { () throws(ApplianceError) in try store.service(name, of: tenant) }
    }

    /// Compares a record with what the request expects of it (RFC 9110, section 13).
    ///
    /// - Parameters:
    ///   - what: Its kind, for a person.
    ///   - version: nil: it does not exist.
    func check(_ work: Work, _ what: String, _ version: Int?) throws(Problem) {
        let tag = version.map { "\"\($0)\"" }
        func matches(_ name: String) throws(Problem) -> Bool? {
            guard let field = try work.request.field(name) else { return nil }
            guard let tags = EntityTags(field) else {
                throw Problem(
                    .notAsExpected, "\(name) is * or an ETag in quotes", hint: "read the \(what): it has an ETag")
            }
            return tags.match(tag)
        }
        // Each is read, whatever the other one says.
        let (expected, unexpected) = (try matches("if-match"), try matches("if-none-match"))
        if expected == false {
            throw Problem(
                .changed, tag.map { "the \(what) has the ETag \($0) now" } ?? "the \(what) does not exist",
                hint: "read it again")
        }
        if unexpected == true {
            throw Problem(
                .changed, "the \(what) exists already, with the ETag \(tag ?? "")", hint: "send If-Match with it")
        }
    }

    // MARK: - Doing it

    private func prepare(_ wish: Wish, _ work: Work) throws(Problem) -> PreparedInstruction {
        let answer = try TenantService.store { () throws(ApplianceError) in
            try control.ask(.prepare(wish.change(of: work.tenant)))
        }
        switch answer {
        case .prepared(let prepared): return prepared
        case .refused(let refusal): throw problem(refusal, work, wish)
        case .error(let error): throw Problem(.unavailable, error.message, hint: error.hint, retryAfter: 1)
        default: throw Problem(.failed, "the control process says something unexpected")
        }
    }

    /// Has every engine decide by what was prepared; if that cannot be, takes back what was written.
    private func publish(_ number: Int, _ version: Int, _ work: Work, _ wish: Wish) throws(Problem) -> UInt64 {
        let answer: InstructionAnswer
        do throws(ApplianceError) { answer = try control.ask(.commit(number: number)) } catch {
            // Nobody knows whether it is in force: the next start tells.
            throw Problem(.unavailable, error.message, hint: "ask for the service when the topology is up again")
        }
        control.forget()
        if case .committed(let committed) = answer { return committed.generation }
        var reason: String?
        if case .refused(let refusal) = answer { reason = refusal.reason }
        do throws(ApplianceError) { try store.undo(version, reason: reason) } catch { endProcess(error) }
        switch answer {
        case .refused(let refusal): throw problem(refusal, work, wish)
        case .error(let error): throw Problem(.unavailable, error.message, hint: error.hint, retryAfter: 1)
        default: throw Problem(.failed, "the control process says something unexpected")
        }
    }

    private func problem(_ refusal: InstructionRefusal, _ work: Work, _ wish: Wish) -> Problem {
        Problem(refusal, for: sight(of: work), place: wish.pointer)
    }

    /// What the tenant that asks may be told; nil for the operator.
    private func sight(of work: Work) -> TenantSight? {
        guard work.caller.role != .operator else { return nil }
        let tenant = (try? control.description())?.tenants.first { $0.name == work.tenant }
        return tenant.map(TenantSight.init) ?? TenantSight(tenant: work.tenant)
    }
}
