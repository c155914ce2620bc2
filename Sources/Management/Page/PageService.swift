import ControlAPI
import EventLoop
import Instructions
import Records
import Reporting
import Synchronization
import WebPages

/// Answers the requests of the page. It has no rights and no way of its own: what it shows and changes, it asks of `TenantService`
/// in the words of the API, as the token of the visitor's session.
final class PageService: Sendable {
    let service: TenantService
    private let sessions = Sessions()
    private let logins = Mutex(LoginLimit())

    init(_ service: TenantService) { self.service = service }

    /// A request of a visitor who is logged in.
    struct Visit: Sendable {
        var request: APIRequest
        var session: Sessions.Session
        /// The fields of the form.
        var form: FormFields
        /// The parameters of the query.
        var query: [String: String]
        /// False for what a page asks by itself.
        var isByPerson: Bool
    }

    /// False if the page's script asks for fresh numbers.
    private static func isByPerson(_ request: APIRequest) -> Bool {
        !request.fields.contains { $0.name == "tapline-refresh" }
    }

    /// Answers one request, on any thread, now or later.
    func answer(_ request: APIRequest, _ done: @escaping @Sendable (APIAnswer) -> Void) {
        do throws(Problem) {
            let target = try RequestTarget(request.target)
            guard let place = PagePlace(target.steps) else {
                throw Problem(.notFound, "there is no such page here")
            }
            guard place.methods.contains(request.method) else {
                var answer = Self.problem(
                    Problem(.methodNotAllowed, "this path has \(place.methods.joined(separator: ", "))"))
                answer.headers.append(("Allow", place.methods.joined(separator: ", ")))
                return done(answer)
            }
            let isPost = request.method == "POST"
            let form = isPost ? try self.form(of: request) : FormFields("")
            switch place {
            case .style: return done(Self.text(TenantPageStyle.text, "text/css; charset=utf-8"))
            case .script: return done(Self.text(TenantPageScript.text, "text/javascript; charset=utf-8"))
            case .login: return done(try isPost ? login(request, form) : loginPage(request))
            default: break
            }
            guard let session = try session(of: request) else { return done(Self.redirect("/login")) }
            let visit = Visit(
                request: request, session: session, form: form, query: target.query,
                isByPerson: Self.isByPerson(request))
            if isPost {
                guard let given = form["secret"], PageSafety.isEqual(given, session.secret) else {
                    throw Problem(
                        .forbidden, "the form does not have the page's secret",
                        hint: "load the page again, and send it anew")
                }
            }
            try answer(place, visit, done)
        } catch {
            done(Self.problem(error))
        }
    }

    /// The fields of a form that comes from this page.
    private func form(of request: APIRequest) throws(Problem) -> FormFields {
        func values(_ name: String) -> [String] { request.fields.filter { $0.name == name }.map(\.value) }
        let refusal = PageSafety.refusal(
            sites: values("sec-fetch-site"), origins: values("origin"), host: try request.field("host"))
        if let refusal { throw Problem(.forbidden, refusal, hint: "use the page itself") }
        let type = try request.field("content-type") ?? ""
        guard type.split(separator: ";").first?.lowercased() == "application/x-www-form-urlencoded" else {
            throw Problem(.wrongType, "the body is no form", hint: "Content-Type: application/x-www-form-urlencoded")
        }
        return FormFields(String(decoding: request.body, as: UTF8.self))
    }

    private func answer(
        _ place: PagePlace, _ visit: Visit, _ done: @escaping @Sendable (APIAnswer) -> Void
    ) throws(Problem) {
        switch place {
        case .logout:
            sessions.end(visit.session)
            var answer = Self.redirect("/login")
            answer.headers.append(("Set-Cookie", Self.cookie("", of: visit.request) + "; Max-Age=0"))
            done(answer)
        case .overview: done(try overview(visit))
        case .history: done(try history(visit))
        case .newService:
            if visit.request.method == "POST" { return try put(nil, visit, done) }
            done(Self.html(200, try newService(visit, ServiceForm())))
        case .service(let name):
            if visit.request.method == "POST" { return try put(name, visit, done) }
            done(Self.html(200, try show(name, visit)))
        case .removeService(let name): try remove(name, visit, done)
        case .restore: try restore(visit, done)
        case .accessLists: done(try accessLists(visit))
        case .access(let name):
            if visit.request.method == "POST" { return try changeAccess(name, visit, done) }
            done(Self.html(200, try access(name, visit)))
        case .style, .script, .login: break
        }
    }

    /// What all pages of a visitor have.
    func view(_ visit: Visit) -> PageView {
        PageView(
            tenant: visit.session.admission.tenant, mayChange: !visit.session.admission.isReadOnly,
            secret: visit.session.secret, notice: visit.isByPerson ? sessions.takeNotice(visit.session) : nil)
    }

    /// Goes to a page, which says what was done.
    func done(_ notice: String, _ path: String, _ visit: Visit) -> APIAnswer {
        sessions.note(notice, visit.session)
        return Self.redirect(path)
    }

    // MARK: - Logging in

    /// The name of the cookie. Over TLS, browsers take it from this address alone (`__Host-`).
    private static func cookieName(_ request: APIRequest) -> String {
        request.isSecure ? "__Host-tapline" : "tapline-services"
    }

    private static func cookie(_ value: String, of request: APIRequest) -> String {
        "\(cookieName(request))=\(value); Path=/; HttpOnly; SameSite=Strict" + (request.isSecure ? "; Secure" : "")
    }

    /// The session that a request shows; nil if there is none, or its token is not valid any more.
    private func session(of request: APIRequest) throws(Problem) -> Sessions.Session? {
        let name = Self.cookieName(request)
        for pair in request.fields.filter({ $0.name == "cookie" }).flatMap({ $0.value.split(separator: ";") }) {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == name,
                let session = sessions.find(String(parts[1]), isVisit: Self.isByPerson(request))
            else { continue }
            let isValid = try TenantService.store { () throws(ApplianceError) in
                try service.store.isValid(session.admission.token)
            }
            if isValid { return session }
            sessions.end(session)
        }
        return nil
    }

    private func loginPage(_ request: APIRequest) throws(Problem) -> APIAnswer {
        try session(of: request) == nil ? Self.html(200, PageView.login(nil)) : Self.redirect("/")
    }

    private func login(_ request: APIRequest, _ form: FormFields) throws(Problem) -> APIAnswer {
        let now = monotonicTime()
        if let wait = logins.withLock({ $0.wait(of: request.origin, now: now) }) {
            var answer = Self.html(429, PageView.login("Too many wrong tokens: try again in \(wait) s."))
            answer.headers.append(("Retry-After", "\(wait)"))
            return answer
        }
        let token = AccessToken((form["token"] ?? "").filter { !$0.isWhitespace })
        let admission = try token.flatMap { token throws(Problem) in
            try service.admission(of: token, in: request, for: "login")
        }
        guard let admission else {
            logins.withLock { $0.fail(request.origin, now: now) }
            var answer = Self.html(
                401, PageView.login("That is no valid token. It may have expired, or was revoked: ask the operator."))
            answer.headers.append(("WWW-Authenticate", "Bearer"))
            return answer
        }
        // A browser that logs in again leaves its former session.
        if let former = try session(of: request) { sessions.end(former) }
        var answer = Self.redirect("/")
        answer.headers.append(("Set-Cookie", Self.cookie(sessions.begin(admission), of: request)))
        return answer
    }

    // MARK: - Answers

    static func html(_ status: Int, _ text: String) -> APIAnswer {
        APIAnswer(
            status: status, type: "text/html; charset=utf-8", headers: PageSafety.headers, body: Array(text.utf8))
    }

    private static func text(_ text: String, _ type: String) -> APIAnswer {
        APIAnswer(status: 200, type: type, headers: PageSafety.headers, body: Array(text.utf8))
    }

    static func redirect(_ path: String) -> APIAnswer {
        APIAnswer(
            status: 303, type: "text/plain; charset=utf-8", headers: PageSafety.headers + [("Location", path)])
    }

    static func problem(_ problem: Problem) -> APIAnswer {
        let shown = problem.withoutDetails
        var answer = html(shown.status, PageView.problem(shown))
        if let seconds = shown.retryAfter { answer.headers.append(("Retry-After", "\(seconds)")) }
        return answer
    }
}
