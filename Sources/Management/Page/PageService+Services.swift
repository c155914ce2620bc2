import ControlAPI
import Instructions
import Reporting
import Synchronization
import WebPages

/// What the page asks of the API for a visitor.
extension PageService {
    /// How many services, and lines of the history, a page has.
    private static let services = 20
    private static let lines = 30
    private static let recentLines = 8

    // MARK: - Asking

    /// A request of the API in a visitor's name.
    private func request(
        _ method: Route.Method, _ target: String, _ visit: Visit, fields: [(String, String)] = [], body: [UInt8] = []
    ) -> APIRequest {
        var request = visit.request
        (request.method, request.target, request.body) = (method.rawValue, target, body)
        request.fields = fields + (body.isEmpty ? [] : [("content-type", "application/json")])
        request.isOperators = false
        request.session = visit.session.admission
        return request
    }

    /// What a route answers that only looks: it answers at once.
    func read<Answer: Decodable>(
        _ type: Answer.Type, _ target: String, _ visit: Visit
    ) throws(Problem) -> Answer {
        let kept = Mutex<APIAnswer?>(nil)
        service.answer(request(.get, target, visit)) { answer in kept.withLock { $0 = answer } }
        guard let answer = kept.withLock({ $0 }) else { throw Problem(.failed, "it was not answered") }
        return try Self.decoded(type, answer)
    }

    private static func decoded<Answer: Decodable>(
        _ type: Answer.Type, _ answer: APIAnswer
    ) throws(Problem) -> Answer {
        if answer.status >= 300, let problem = try? JSONLine.decode(Problem.self, answer.body) { throw problem }
        guard let value = try? JSONLine.decode(type, answer.body) else {
            throw Problem(.failed, "the answer cannot be read")
        }
        return value
    }

    /// Gives an instruction.
    ///
    /// - Parameters:
    ///   - isTrial: Plan and prove it, and do nothing.
    ///   - done: Gets what it has done, or why not.
    func instruct(
        _ method: Route.Method, _ path: String, _ visit: Visit, condition: (String, String)? = nil,
        body: (some Encodable & Sendable)?, isTrial: Bool = false,
        _ done: @escaping @Sendable (Result<Outcome, Problem>) -> Void
    ) throws(Problem) {
        var fields = condition.map { [$0] } ?? []
        if let once = visit.form["once"], !isTrial { fields.append(("idempotency-key", once)) }
        let octets: [UInt8] = if let body { try TenantService.encoded(body) } else { [] }
        let target = path + (isTrial ? "?dry-run=true" : "")
        service.answer(request(method, target, visit, fields: fields, body: octets)) { answer in
            do throws(Problem) { done(.success(try Self.decoded(Outcome.self, answer))) } catch {
                done(.failure(error))
            }
        }
    }

    private func path(_ service: String) -> String { "/v1/services/\(PageView.encoded(service))" }

    // MARK: - Showing

    private func sight(_ service: ServiceView, _ visit: Visit) throws(Problem) -> ServiceSight {
        ServiceSight(
            service: service, counters: try read(ServiceCounters.self, path(service.name) + "/counters", visit),
            health: try read(ServiceHealth.self, path(service.name) + "/health", visit))
    }

    func overview(_ visit: Visit) throws(Problem) -> APIAnswer {
        let after = visit.query["after"].map { "&after=\(PageView.encoded($0))" } ?? ""
        let list = try read(ServiceList.self, "/v1/services?limit=\(Self.services)\(after)", visit)
        var sights: [ServiceSight] = []
        for service in list.services {
            // One that was removed meanwhile is left out.
            do throws(Problem) { sights.append(try sight(service, visit)) } catch {
                guard error.status == 404 else { throw error }
            }
        }
        let recent = try read(AuditList.self, "/v1/audit?limit=\(Self.recentLines)", visit)
        let view = view(visit)
        return Self.html(200, view.overview(sights, next: list.next, below: view.recent(recent.entries)))
    }

    func history(_ visit: Visit) throws(Problem) -> APIAnswer {
        let after = visit.query["after"].map { "&after=\(PageView.encoded($0))" } ?? ""
        let list = try read(AuditList.self, "/v1/audit?limit=\(Self.lines)\(after)", visit)
        return Self.html(200, view(visit).history(list.entries, next: list.next))
    }

    func show(
        _ name: String, _ visit: Visit, _ form: ServiceForm? = nil, problem: Problem? = nil, trial: [String]? = nil
    ) throws(Problem) -> String {
        let service = try read(ServiceView.self, path(name), visit)
        let sight = try sight(service, visit)
        let uses = try read(Catalogue.self, "/v1/catalogue", visit)
        return view(visit).service(sight, form ?? ServiceForm(service), uses, problem: problem, trial: trial)
    }

    func newService(
        _ visit: Visit, _ form: ServiceForm, problem: Problem? = nil, trial: [String]? = nil
    ) throws(Problem) -> String {
        let uses = try read(Catalogue.self, "/v1/catalogue", visit)
        return view(visit).newService(form, uses, problem: problem, trial: trial)
    }

    // MARK: - Changing

    /// Makes or replaces a service by its form. What is wrong is shown in the form, which keeps what was written.
    ///
    /// - Parameter name: nil: it is a new one, and the form has its name.
    func put(_ name: String?, _ visit: Visit, _ done: @escaping @Sendable (APIAnswer) -> Void) throws(Problem) {
        let form = ServiceForm(visit.form, name: name)
        let isTrial = visit.form["do"] == "check"
        @Sendable func again(_ problem: Problem?, _ trial: [String]?) -> APIAnswer {
            do throws(Problem) {
                let page: String
                if let name {
                    page = try show(name, visit, form, problem: problem, trial: trial)
                } else {
                    page = try newService(visit, form, problem: problem, trial: trial)
                }
                return Self.html(problem?.status ?? 200, page)
            } catch { return Self.problem(error) }
        }
        guard !form.name.isEmpty else {
            let missing = "a service has a name"
            return done(again(Problem(.invalid, missing, errors: [.init(pointer: "/name", detail: missing)]), nil))
        }
        // Nobody's change is overwritten unseen.
        let condition = name == nil ? ("if-none-match", "*") : ("if-match", "\"\(form.version)\"")
        try instruct(.put, path(form.name), visit, condition: condition, body: form.body, isTrial: isTrial) { outcome in
            switch outcome {
            case .failure(let problem): done(again(problem, nil))
            case .success(let outcome) where isTrial: done(again(nil, outcome.changes))
            case .success(let outcome):
                done(
                    self.done(
                        "\(form.name) is in force\(outcome.version.map { ": version \($0)" } ?? "").",
                        "/services/\(PageView.encoded(form.name))", visit))
            }
        }
    }

    func remove(_ name: String, _ visit: Visit, _ done: @escaping @Sendable (APIAnswer) -> Void) throws(Problem) {
        try instruct(
            .delete, path(name), visit, condition: ("if-match", "\"\(visit.form["version"] ?? "")\""),
            body: String?.none
        ) { outcome in
            switch outcome {
            case .failure(let problem): done(Self.problem(problem))
            case .success(let outcome):
                done(self.done("\(name) is removed\(outcome.version.map { ": version \($0)" } ?? "").", "/", visit))
            }
        }
    }

    /// The body of the instruction.
    private struct Version: Encodable, Sendable { var version: Int }

    func restore(_ visit: Visit, _ done: @escaping @Sendable (APIAnswer) -> Void) throws(Problem) {
        guard let version = visit.form["version"].flatMap({ Int($0) }) else {
            throw Problem(.invalid, "a version is missing")
        }
        try instruct(.post, "/v1/restore", visit, body: Version(version: version)) { outcome in
            switch outcome {
            case .failure(let problem): done(Self.problem(problem))
            case .success(let outcome):
                let what = outcome.changes.isEmpty ? "Nothing had to change" : "Restored"
                done(
                    self.done(
                        "\(what): everything is as it was at version \(version).", "/", visit))
            }
        }
    }
}
