import ApplianceClient
import ControlAPI
import Metrics
import NIOCore
import NIOHTTP1
import NIOPosix
import Reporting
import WebPages

/// What is at which path.
extension RequestHandler {
    private static let html = "text/html; charset=utf-8"

    func answer(_ request: HTTPRequestHead) {
        guard desk.access.knows(host: request.headers) else {
            return send(
                .misdirectedRequest,
                text: "this page is not known by that name (Host); add it with --host NAME, or use its address\n")
        }
        let parts = request.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts[0])
        let query = FormFields(parts.count > 1 ? parts[1] : "")
        if path == "/page.css" {
            return only(.GET) { self.send(.ok, type: "text/css; charset=utf-8", text: PageStyle.text) }
        }
        if path == "/login" { return login(request) }
        guard desk.access.admits(request.headers) else { return ask(request, query["token"]) }
        switch path {
        case "/", "/tables": only(.GET) { self.whole() }
        case "/page.js":
            only(.GET) { self.send(.ok, type: "text/javascript; charset=utf-8", text: PageScript.text) }
        case "/live": only(.GET) { self.live(request, query) }
        case "/status.json": only(.GET) { self.status() }
        case "/metrics": only(.GET) { self.metrics() }
        case "/capture": only(.POST) { self.start { self.capture($0) } }
        case "/trace": only(.POST) { self.start { self.trace($0) } }
        default:
            let steps = path.split(separator: "/", omittingEmptySubsequences: false)
            guard steps.count == 3, steps[0].isEmpty, let index = Int(steps[2]), index >= 0 else { return missing() }
            switch steps[1] {
            case "arrow": only(.GET) { self.arrow(index, query) }
            case "node": only(.GET) { self.box(index, query) }
            default: missing()
            }
        }
    }

    private func only(_ method: HTTPMethod, _ body: () -> Void) {
        if request?.method == method || method == .GET && request?.method == .HEAD { return body() }
        send(.methodNotAllowed, text: "this path is for \(method.rawValue)\n", headers: [("Allow", method.rawValue)])
    }

    private func missing() {
        problem(.notFound, "there is no such page here", hint: nil)
    }

    func problem(_ status: HTTPResponseStatus, _ sentence: String, hint: String?) {
        send(status, type: Self.html, text: desk.page.problem(sentence, hint: hint))
    }

    // MARK: - The token

    /// Answers a visitor who has not shown the token.
    private func ask(_ request: HTTPRequestHead, _ given: String?) {
        if let given {
            if request.method == .GET, let cookie = desk.access.cookie(for: given) { return admit(cookie) }
            return send(.unauthorized, type: Self.html, text: desk.page.login(wrong: true))
        }
        let isBrowser = request.headers["accept"].contains { $0.contains("text/html") }
        guard isBrowser else {
            return send(
                .unauthorized, text: "this page needs a token: Authorization: Bearer TOKEN\n",
                headers: [("WWW-Authenticate", "Bearer")])
        }
        send(.unauthorized, type: Self.html, text: desk.page.login(wrong: false))
    }

    private func admit(_ cookie: String) {
        send(.seeOther, text: "", headers: [("Location", "/"), ("Set-Cookie", cookie)])
    }

    private func login(_ request: HTTPRequestHead) {
        guard request.method == .POST else {
            return send(.ok, type: Self.html, text: desk.page.login(wrong: false))
        }
        guard let cookie = desk.access.cookie(for: FormFields(String(buffer: body))["token"] ?? "") else {
            return send(.unauthorized, type: Self.html, text: desk.page.login(wrong: true))
        }
        admit(cookie)
    }

    // MARK: - What is shown

    private func whole() {
        let hub = desk.hub
        let names = hub.sample?.status.nodes.map(\.name) ?? []
        let form = TraceForm(nodes: names, services: hub.sample?.services.map(\.name) ?? [])
        let state = hub.state
        let text = desk.page.whole(
            state: state.text, word: state.word, build: hub.build, picture: hub.picture, tables: hub.tables,
            events: hub.events, form: form)
        send(.ok, type: Self.html, text: text)
    }

    private func live(_ request: HTTPRequestHead, _ query: FormFields) {
        let last = request.headers.first(name: "last-event-id") ?? query["after"]
        follow(known: query["build"].flatMap { Int($0) }, after: last.flatMap { Int($0) } ?? 0)
    }

    private func status() {
        guard desk.hub.trouble == nil, let sample = desk.hub.sample, let text = try? prettyJSON(sample.status) else {
            return send(.serviceUnavailable, text: desk.hub.state.text + "\n")
        }
        send(.ok, type: "application/json", text: text + "\n")
    }

    private func metrics() {
        let hub = desk.hub
        let isSeen = hub.trouble == nil
        let metrics = MetricSet(isSeen ? [hub.sample].compactMap { $0 } : [], silent: isSeen ? [] : [hub.name])
        send(
            .ok, type: "application/openmetrics-text; version=1.0.0; charset=utf-8", text: metrics.text(.openmetrics))
    }

    /// What is known of the picture that the link was made for; answers if that is another one by now.
    private func details(_ query: FormFields) -> Details? {
        guard let drawing = desk.hub.drawing, let sample = desk.hub.sample,
            query["v"].map({ Int($0) == drawing.version }) ?? true
        else {
            problem(.notFound, "the topology has changed since that picture", hint: "go back, and choose again")
            return nil
        }
        return Details(
            drawing: drawing.drawing, version: drawing.version, sample: sample, secret: desk.access.secret)
    }

    private func arrow(_ index: Int, _ query: FormFields) {
        guard let details = details(query) else { return }
        guard details.drawing.arrows.indices.contains(index) else { return missing() }
        let arrow = details.drawing.arrows[index]
        let series = desk.hub.history.series(arrow.entries)
        let title = Picture.title(arrow, details.drawing)
        let client = desk.client
        inHelper({ () throws(ApplianceError) in try client.tables() }) { handler, listing in
            handler.show(title, details.arrow(index, listing, series), query)
        }
    }

    private func box(_ index: Int, _ query: FormFields) {
        guard let details = details(query) else { return }
        guard details.drawing.boxes.indices.contains(index) else { return missing() }
        let box = details.drawing.boxes[index]
        let client = desk.client
        inHelper({ () throws(ApplianceError) -> [(node: String, lines: [String])] in
            var logs: [(node: String, lines: [String])] = []
            for node in box.nodes.prefix(Self.mostLogs) { logs.append((node, try client.log(of: node))) }
            return logs
        }) { handler, logs in
            handler.show(box.name, details.box(index, logs: logs), query)
        }
    }

    /// The most instances of one box whose logs are shown.
    private static let mostLogs = 8

    private func show(_ title: String, _ content: String, _ query: FormFields) {
        send(
            .ok, type: Self.html, text: query["part"] == nil ? desk.page.about(title, content) : content)
    }

    /// Asks the control process beside the event loop.
    private func inHelper<Value: Sendable>(
        _ work: @escaping @Sendable () throws(ApplianceError) -> Value,
        _ then: @escaping (RequestHandler, Value) -> Void
    ) {
        let loop = desk.hub.eventLoop
        let own = NIOLoopBound((self, then), eventLoop: loop)
        let result: EventLoopFuture<Result<Value, ApplianceError>> = desk.helpers.runIfActive(eventLoop: loop) {
            do throws(ApplianceError) { return .success(try work()) } catch { return .failure(error) }
        }
        result.whenComplete { result in
            let (handler, then) = own.value
            switch result {
            case .success(.success(let value)): then(handler, value)
            case .success(.failure(let error)):
                handler.problem(.serviceUnavailable, error.message, hint: error.hint)
            case .failure: handler.problem(.serviceUnavailable, "the page's process ends", hint: nil)
            }
        }
    }

    // MARK: - What is started

    /// Starts something if the request comes from this page.
    private func start(_ body: (FormFields) -> Void) {
        guard let request else { return }
        let form = FormFields(String(buffer: self.body))
        if let refusal = desk.access.refusal(of: request.headers, secret: form["secret"]) {
            return problem(.forbidden, refusal, hint: nil)
        }
        body(form)
    }

    private func capture(_ form: FormFields) {
        guard let details = details(form) else { return }
        guard let index = form["arrow"].flatMap({ Int($0) }), details.drawing.arrows.indices.contains(index) else {
            return missing()
        }
        CaptureDownload.start(details, arrow: index, form, for: self)
    }

    private func trace(_ form: FormFields) {
        guard let drawing = desk.hub.drawing else {
            return problem(.serviceUnavailable, desk.hub.state.text, hint: nil)
        }
        TraceFeed.start(drawing.drawing, form, for: self)
    }
}
