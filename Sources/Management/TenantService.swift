import ControlAPI
import EventLoop
import FoundationEssentials
import Instructions
import Plan
import Records
import Reporting
import Synchronization
import Wire

/// Answers the requests of the API. It authenticates, authorises, and answers what only looks; what changes something goes to the
/// instructions' thread, in turns of the tenants.
final class TenantService: Sendable {
    let store: RecordStore
    let control: ControlLink
    private let desk: InstructionDesk
    private let budgets = Mutex<[String: InstructionBudget]>([:])
    /// How many refusals of each token may still be noted.
    let noted = Mutex<[String: InstructionBudget]>([:])

    init(store: RecordStore, control: ControlLink) throws(ApplianceError) {
        self.store = store
        self.control = control
        desk = try InstructionDesk(store: store, control: control)
    }

    /// Begins to carry out instructions. No thread may be started before the process is confined.
    func start() throws(ApplianceError) { try desk.start() }

    /// Who asks, and for whom.
    struct Caller: Sendable {
        var role: Role
        /// nil: the operator, for all tenants.
        var tenant: String?
        /// `operator`, the id of the token, or `certificate` and its name.
        var who: String
        var origin: String
        /// The names in the client certificate that shows who asks; empty: a token does, or nothing.
        var certificate: [String] = []

        init(role: Role, tenant: String?, who: String, origin: String, certificate: [String] = []) {
            (self.role, self.tenant, self.who, self.origin) = (role, tenant, who, origin)
            self.certificate = certificate
        }

        /// The holder of a token.
        init(_ admission: Admission, origin: String) {
            self.init(
                role: admission.isReadOnly ? .reader : .tenant, tenant: admission.tenant, who: admission.token,
                origin: origin)
        }
    }

    /// Answers one request, on any thread, now or later.
    func answer(_ request: APIRequest, _ done: @escaping @Sendable (APIAnswer) -> Void) {
        // What fails inside is the operator's to know.
        let isOperators = request.isOperators && (try? request.field("authorization")) == nil
        do throws(Problem) {
            let target = try RequestTarget(request.target)
            let found = Route.find(request.method, target.steps)
            let (route, values): (Route, [String: String])
            switch found {
            case .nothing: throw Problem(.notFound, "there is no such path", hint: "see /v1/openapi.json")
            case .otherMethod(let methods):
                var answer = Self.answer(
                    Problem(.methodNotAllowed, "this path has \(methods.joined(separator: ", "))"))
                answer.headers.append(("Allow", methods.joined(separator: ", ")))
                return done(answer)
            case .route(let known, let parameters): (route, values) = (known, parameters)
            }
            let caller = try self.caller(of: request, for: route, target, values)
            if route.right == .instructing {
                try take(from: caller)
                let instruction = try InstructionDesk.Work(
                    request: request, route: route, values: values, target: target, caller: caller, done: done)
                // The operator has turns of their own: a tenant's flood does not keep them waiting.
                guard desk.add(instruction, of: caller.role == .operator ? "" : caller.tenant ?? "") else {
                    throw Problem(
                        .tooMany, "\(InstructionDesk.mostWaiting) instructions wait already", hint: "try again later",
                        retryAfter: 1)
                }
                return
            }
            done(try look(request, route, values, target, caller))
        } catch {
            done(Self.answer(isOperators ? error : error.withoutDetails))
        }
    }

    // MARK: - Who asks

    private func caller(
        of request: APIRequest, for route: Route, _ target: RequestTarget, _ values: [String: String]
    ) throws(Problem) -> Caller {
        let known = Set(route.query.map(\.rawValue))
        for name in target.query.keys where !known.contains(name) {
            throw Problem(
                .notAsExpected, "there is no parameter \(ControlText.shown(name, most: 64)) here",
                hint: known.isEmpty ? "remove it" : "there are: \(known.sorted().joined(separator: ", "))")
        }
        var caller = try identify(request, for: route)
        guard caller.role.has(route.right) else {
            switch caller.role {
            case .stranger:
                throw Problem(.unauthorised, "a token is needed", hint: "Authorization: Bearer TOKEN")
            // What is the operator's alone looks as if it did not exist.
            case .tenant, .reader:
                guard route.right == .instructing else { throw Problem(.notFound, "there is no such path") }
                throw Problem(.forbidden, "this token may only look", hint: "use one that was made without --read-only")
            case .operator: throw Problem(.forbidden, "this is not allowed")
            }
        }
        if route.right == .anyone { return caller }
        let asked = target.query[Route.Parameter.tenant.rawValue] ?? values["tenant"]
        if caller.role == .operator {
            caller.tenant = asked
            guard asked != nil || !route.needsTenant else {
                throw Problem(.notAsExpected, "whose \(route.subject) meant?", hint: "add ?tenant=NAME")
            }
        } else if let asked, asked != caller.tenant {
            throw Problem(.notFound, "there is no tenant \(ControlText.shown(asked, most: 64))")
        }
        if let tenant = caller.tenant, route.name != .listTokens, route.name != .revokeToken {
            _ = try self.tenant(tenant, caller)
        }
        return caller
    }

    /// What the file says of a tenant.
    private func tenant(_ name: String, _ caller: Caller) throws(Problem) -> TenantsDescription.Tenant {
        let description = try Self.store { () throws(ApplianceError) in try control.description() }
        guard let tenant = description.tenants.first(where: { $0.name == name }) else {
            throw caller.role == .operator
                ? Problem(
                    .notFound, "the file has no tenant \(ControlText.shown(name, most: 64))",
                    hint: "there are: \(description.tenants.map(\.name).joined(separator: ", "))")
                : Problem(.forbidden, "the operator's file no longer names you")
        }
        return tenant
    }

    /// Counts an instruction against its tenant's rate.
    private func take(from caller: Caller) throws(Problem) {
        guard caller.role != .operator, let name = caller.tenant else { return }
        let rate = try tenant(name, caller).instructions
        let now = monotonicTime().nanoseconds
        let wait = budgets.withLock { budgets in
            budgets[name, default: InstructionBudget(perMinute: rate, now: now)].take(perMinute: rate, now: now)
        }
        guard let wait else { return }
        throw Problem(
            .tooMany, "you may give \(rate) instructions in a minute", hint: "try again in \(wait) s", retryAfter: wait)
    }

    // MARK: - Looking

    private func look(
        _ request: APIRequest, _ route: Route, _ values: [String: String], _ target: RequestTarget, _ caller: Caller
    ) throws(Problem) -> APIAnswer {
        switch route.name {
        case .readDocument:
            let text = caller.role == .operator ? OpenAPIDocument.operatorsText : OpenAPIDocument.text
            return APIAnswer(status: 200, body: Array(text.utf8))
        case .listServices: return try listServices(target, route, caller)
        case .readService:
            let service = try service(values, caller)
            var answer = try Self.answer(200, service)
            answer.headers.append(("ETag", "\"\(service.version)\""))
            return answer
        case .listAccess: return try listAccess(target, route, caller)
        case .readAccess: return try readAccess(values, caller)
        case .readCounters:
            return try Self.answer(200, ServiceCounters(try service(values, caller), try observation(for: caller)))
        case .readHealth:
            return try Self.answer(200, ServiceHealth(try service(values, caller), try observation(for: caller)))
        case .listAudit: return try listAudit(target, route, caller)
        case .readCatalogue: return try Self.answer(200, Catalogue(try tenant(caller.tenant ?? "", caller)))
        case .listTenants: return try listTenants()
        case .makeToken: return try makeToken(request, values, caller)
        case .listTokens:
            let tokens = try Self.store { () throws(ApplianceError) in try store.tokens(of: values["tenant"] ?? "") }
            if tokens.isEmpty { _ = try tenant(values["tenant"] ?? "", caller) }
            return try Self.answer(200, TokenList(tokens: tokens))
        case .revokeToken:
            let (id, owner) = (values["token"] ?? "", values["tenant"] ?? "")
            let instruction = Instruction(
                tenant: owner, who: caller.who, origin: caller.origin, name: route.name.rawValue)
            let isRevoked = try Self.store { () throws(ApplianceError) in try store.revoke(id, instruction) }
            guard isRevoked else {
                throw Problem(.notFound, "there is no valid token \(ControlText.shown(id, most: 64)) of this tenant")
            }
            return APIAnswer(status: 204)
        case .putService, .deleteService, .changeServices, .restoreServices, .putAccess, .deleteAccess:
            throw Problem(.failed, "this route changes something")
        }
    }

    /// The service that a path names.
    private func service(_ values: [String: String], _ caller: Caller) throws(Problem) -> ServiceView {
        guard let name = values["service"], let tenant = caller.tenant,
            let kept = try Self.store({ () throws(ApplianceError) in try store.service(name, of: tenant) })
        else { throw Self.noService(values["service"]) }
        return try view([kept], for: caller)[0]
    }

    /// What the caller's tenant may see.
    private func observation(for caller: Caller) throws(Problem) -> TenantObservation {
        try Self.store { () throws(ApplianceError) in try control.observation(of: caller.tenant ?? "") }
    }

    /// Services as they are answered, with their state.
    func view(_ kept: [KeptService], for caller: Caller) throws(Problem) -> [ServiceView] {
        let description = try Self.store { () throws(ApplianceError) in try control.description() }
        let isOperator = caller.role == .operator
        let reasons = Dictionary(description.setAside.map { ($0.id, $0.reasons) }) { first, _ in first }
        return kept.map { kept in
            let own = description.tenants.first { $0.name == kept.service.tenant }
            let known = own.map(TenantSight.init) ?? TenantSight(tenant: kept.service.tenant)
            let sight = isOperator ? nil : known.of(kept.service)
            return ServiceView(
                kept.service, version: kept.version,
                setAside: reasons[kept.service.id]?.map { Problem.shown($0, to: sight) }, isPending: kept.isPending)
        }
    }

    static func limit(_ target: RequestTarget) throws(Problem) -> Int {
        guard let text = target.query[Route.Parameter.limit.rawValue] else { return Paging.usual }
        guard let limit = Int(text), (1...Paging.most).contains(limit), text == "\(limit)" else {
            throw Problem(.notAsExpected, "limit is 1 to \(Paging.most)")
        }
        return limit
    }

    /// What `next` of the page before was; nil: this is the first page.
    static func place(_ target: RequestTarget, _ route: Route) throws(Problem) -> String? {
        let after = target.query[Route.Parameter.after.rawValue]
        if let after, !route.isPlace(after) { throw Problem(.notAsExpected, "after is `next` of the page before") }
        return after
    }

    private func listServices(
        _ target: RequestTarget, _ route: Route, _ caller: Caller
    ) throws(Problem) -> APIAnswer {
        let (limit, after) = (try Self.limit(target), try Self.place(target, route))
        let kept = try Self.store { () throws(ApplianceError) in
            try store.services(of: caller.tenant, after: after, limit: limit + 1)
        }
        let page = Array(kept.prefix(limit))
        return try Self.answer(
            200,
            ServiceList(services: try view(page, for: caller), next: kept.count > limit ? page.last?.service.id : nil))
    }

    private func listAudit(
        _ target: RequestTarget, _ route: Route, _ caller: Caller
    ) throws(Problem) -> APIAnswer {
        let (limit, before) = (try Self.limit(target), try Self.place(target, route).flatMap { Int($0) })
        let page = try Self.store { () throws(ApplianceError) in
            try store.audit(of: caller.tenant, before: before, limit: limit, refusals: caller.role == .operator)
        }
        return try Self.answer(
            200, AuditList(entries: page.entries, next: page.isLast ? nil : page.entries.last.map { "\($0.id)" }))
    }

    private func listTenants() throws(Problem) -> APIAnswer {
        let description = try Self.store { () throws(ApplianceError) in try control.description() }
        let counts = try Self.store { () throws(ApplianceError) in try store.counts() }
        let known = description.tenants.map(\.name)
        let gone = counts.keys.filter { !known.contains($0) && (counts[$0]?.services ?? 0) > 0 }.sorted()
        return try Self.answer(
            200,
            TenantList(
                tenants: (known + gone).map { name in
                    TenantList.Tenant(
                        name: name, services: counts[name]?.services ?? 0, tokens: counts[name]?.tokens ?? 0,
                        known: known.contains(name))
                }))
    }

    private func makeToken(
        _ request: APIRequest, _ values: [String: String], _ caller: Caller
    ) throws(Problem) -> APIAnswer {
        var reader = BodyReader()
        let wanted = reader.token(try Self.json(request))
        try reader.check()
        let instruction = Instruction(
            tenant: values["tenant"] ?? "", who: caller.who, origin: caller.origin, name: Route.Name.makeToken.rawValue)
        let token = try Self.store { () throws(ApplianceError) in
            try store.makeToken(instruction, readOnly: wanted.readOnly, life: wanted.expires, own: wanted.own)
        }
        return try Self.answer(201, token)
    }

    // MARK: - Parts of answers

    /// The body of a request.
    static func json(_ request: APIRequest) throws(Problem) -> JSONValue {
        let type = try request.field("content-type") ?? ""
        guard type.split(separator: ";").first?.lowercased() == "application/json" else {
            throw Problem(.wrongType, "the body must be JSON", hint: "Content-Type: application/json")
        }
        return try BodyReader.json(request.body)
    }

    /// - Parameter pointer: Where the body names it; nil: the path does.
    static func noService(_ name: String?, at pointer: String? = nil) -> Problem {
        Problem(.notFound, "there is no service \(ControlText.shown(name ?? "", most: 64))", at: pointer)
    }

    /// Something that can fail on the way, as a problem.
    static func store<Value>(_ body: () throws(ApplianceError) -> Value) throws(Problem) -> Value {
        do throws(ApplianceError) { return try body() } catch {
            throw Problem(.unavailable, error.message, hint: error.hint, retryAfter: 1)
        }
    }

    /// An answer of a value.
    static func answer(_ status: Int, _ value: some Encodable) throws(Problem) -> APIAnswer {
        APIAnswer(status: status, body: try encoded(value))
    }

    static func encoded(_ value: some Encodable) throws(Problem) -> [UInt8] {
        do throws(ApplianceError) { return try JSONLine.encode(value) } catch { throw Problem(.failed, error.message) }
    }

    /// A problem as an answer.
    static func answer(_ problem: Problem) -> APIAnswer {
        var answer = APIAnswer(
            status: problem.status, type: "application/problem+json", body: (try? JSONLine.encode(problem)) ?? [])
        if let seconds = problem.retryAfter { answer.headers.append(("Retry-After", "\(seconds)")) }
        if problem.status == 401 { answer.headers.append(("WWW-Authenticate", "Bearer")) }
        return answer
    }
}
