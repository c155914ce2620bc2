import Instructions
import WebPages

/// What all pages of one visitor have in common: the frame, and what their forms repeat. All of it works without a script.
struct PageView {
    var tenant: String
    /// False if the token may only look.
    var mayChange: Bool
    /// What forms repeat.
    var secret: String
    /// What was done just now.
    var notice: String?

    /// A whole page.
    ///
    /// - Parameters:
    ///   - here: The path of the page among those of the navigation.
    ///   - main: HTML.
    func page(_ title: String, here: String = "", _ main: String) -> String {
        let links = [
            ("/", "Services"), ("/new-service", "New service"), ("/access", "Access"), ("/history", "History"),
        ]
        .filter { mayChange || $0.0 != "/new-service" }
        .map { path, name in
            "<a href=\"\(path)\"\(path == here ? " aria-current=\"page\"" : "")>\(name)</a>"
        }
        let said = notice.map { "<p class=\"notice\" role=\"status\">\(escaped($0))</p>" } ?? ""
        return htmlDocument(
            "\(title) – \(tenant) – Tapline",
            """
            <a class="skip" href="#main">Skip to the content</a>
            <header><p class="who"><strong>\(escaped(tenant))</strong>\(mayChange ? "" : " (may only look)")</p>
            <nav aria-label="Pages">\(links.joined(separator: "\n"))</nav>
            <form method="post" action="/logout">\(hidden)<button class="plain">Log out</button></form></header>
            <main id="main" tabindex="-1">
            \(said)
            \(main)
            </main>
            <footer>Tapline · <a href="/v1/openapi.json">API</a></footer>
            <script src="/page.js"></script>
            """)
    }

    /// The field that shows that a form is this page's own.
    var hidden: String { "<input type=\"hidden\" name=\"secret\" value=\"\(secret)\">" }

    /// A field that makes it safe to send a form twice.
    var once: String { "<input type=\"hidden\" name=\"once\" value=\"\(PageSafety.random())\">" }

    /// Text that changes while the page is open.
    ///
    /// - Parameter key: Tells it from others on the page.
    static func live(_ key: String, _ text: String, state: String? = nil) -> String {
        let shade = state.map { " class=\"state\" data-state=\"\(escaped($0))\"" } ?? ""
        return "<span data-live=\"\(escaped(key))\"\(shade)>\(escaped(text))</span>"
    }

    /// The shade of a word about how something is.
    static func shade(_ word: String) -> String {
        switch word {
        case "up", "in-force", "active", "done": "up"
        case "down", "failed", "set-aside": "down"
        case "degraded", "pending", "in-part", "starting", "draining", "suppressed", "taken-out", "written": "warn"
        default: "idle"
        }
    }

    // MARK: - Pages without a visitor

    /// The form for the token.
    ///
    /// - Parameter wrong: Why it is shown again.
    static func login(_ wrong: String?) -> String {
        htmlDocument(
            wrong == nil ? "Log in – Tapline" : "Error: log in – Tapline",
            """
            <main id="main" class="narrow"><h1>Tapline</h1>
            <p>Here you manage your services. Log in with the token that the operator gave you.</p>
            \(wrong.map { "<p class=\"problem\" role=\"alert\" id=\"e-token\">\(escaped($0))</p>" } ?? "")
            <form method="post" action="/login" class="fields"><div class="field"><label for="f-token">Token</label>
            <input id="f-token" type="password" name="token" required autocomplete="current-password" spellcheck="false" \
            \(wrong == nil ? "" : "aria-invalid=\"true\" aria-describedby=\"e-token\" ")autofocus></div>
            <p><button>Log in</button></p></form></main>
            <footer>Tapline · <a href="/v1/openapi.json">API</a></footer>
            """)
    }

    /// A page that says why something was not done.
    static func problem(_ problem: Problem) -> String {
        htmlDocument(
            "Error: \(problem.title) – Tapline",
            """
            <main id="main" class="narrow"><h1>Not done</h1>
            \(PageField.sort(problem, []).summary)
            <p><a href="/">Back to the services</a></p></main>
            """)
    }

    /// A problem and what to do about it, as a person reads it.
    static func sentence(_ problem: Problem) -> String { sentence(problem.detail, problem.hint) }

    static func sentence(_ detail: String, _ hint: String?) -> String {
        let whole = hint.map { "\(detail): \($0)" } ?? detail
        return whole.prefix(1).uppercased() + whole.dropFirst() + "."
    }
}

/// A field of a form, with what is wrong in it beside it.
struct PageField {
    /// Its name in the form. It is the first part of the pointers to its mistakes.
    var name: String
    var label: String
    /// HTML.
    var hint: String
    var value: String
    /// How many lines it has; 1: it has one, and no more.
    var lines = 1
    var isRequired = false
    /// HTML attributes beside the usual ones.
    var attributes = ""
    /// The choices; nil: it is a text.
    var choices: [(value: String, label: String)]?

    /// The field as HTML.
    func html(_ mistakes: [Problem.Mistake]) -> String {
        var html = "<div class=\"field\"><label for=\"f-\(name)\">\(escaped(label))</label>\n"
        var described: [String] = []
        if !hint.isEmpty {
            described.append("h-\(name)")
            html += "<p class=\"hint\" id=\"h-\(name)\">\(hint)</p>\n"
        }
        if !mistakes.isEmpty {
            described.append("e-\(name)")
            html += "<ul class=\"mistakes\" id=\"e-\(name)\">\(mistakes.map(Self.item).joined())</ul>\n"
        }
        let common =
            "id=\"f-\(name)\" name=\"\(name)\""
            + (described.isEmpty ? "" : " aria-describedby=\"\(described.joined(separator: " "))\"")
            + (mistakes.isEmpty ? "" : " aria-invalid=\"true\"") + (isRequired ? " required" : "")
            + (attributes.isEmpty ? "" : " \(attributes)")
        if let choices {
            let options = choices.map {
                "<option value=\"\(escaped($0.value))\"\($0.value == value ? " selected" : "")>\(escaped($0.label))</option>"
            }
            html += "<select \(common)>\(options.joined())</select>"
        } else if lines > 1 {
            html += "<textarea \(common) rows=\"\(lines)\" spellcheck=\"false\">\n\(escaped(value))</textarea>"
        } else {
            html += "<input \(common) value=\"\(escaped(value))\" spellcheck=\"false\" autocapitalize=\"none\">"
        }
        return html + "</div>\n"
    }

    private static func item(_ mistake: Problem.Mistake) -> String {
        let example = mistake.example.map { "<pre>\(escaped($0))</pre>" } ?? ""
        return "<li>\(escaped(PageView.sentence(mistake.detail, mistake.hint)))\(example)</li>"
    }

    /// The mistakes of a problem by the fields that they belong to, and above them all a summary with links.
    ///
    /// - Parameter names: The names of the form's fields, by the first part of a pointer.
    static func sort(
        _ problem: Problem?, _ fields: [PageField]
    ) -> (summary: String, of: [String: [Problem.Mistake]]) {
        guard let problem else { return ("", [:]) }
        var sorted: [String: [Problem.Mistake]] = [:]
        var items = ""
        for mistake in problem.errors ?? [] {
            let part = mistake.pointer?.split(separator: "/").first.map(String.init)
            if let field = fields.first(where: { $0.name == part }) {
                sorted[field.name, default: []].append(mistake)
                items +=
                    "<li><a href=\"#f-\(field.name)\">\(escaped(field.label))</a>: "
                    + "\(escaped(PageView.sentence(mistake.detail, mistake.hint)))</li>"
            } else {
                items += item(mistake)
            }
        }
        let list = items.isEmpty ? "<p>\(escaped(PageView.sentence(problem)))</p>" : "<ul>\(items)</ul>"
        return (
            """
            <div class="problem" role="alert" id="problem" tabindex="-1"><h2>\(escaped(problem.title))</h2>\(list)</div>
            """, sorted
        )
    }
}
