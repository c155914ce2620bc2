import ControlAPI
import WebPages

/// The page as HTML. All of it works without a script: what a click does is a link or a form.
struct Page {
    /// The topology.
    let name: String
    /// What a request that starts something must repeat.
    let secret: String

    /// The whole page.
    ///
    /// - Parameters:
    ///   - build: The number of the page's structure: a script that knows another one gets the parts anew.
    ///   - events: The last events, newest first, and the number of the newest.
    func whole(
        state: String, word: String, build: Int, picture: Fragment, tables: Fragment,
        events: (lines: [String], last: Int), form: TraceForm
    ) -> String {
        let list = events.lines.map { "<li>\(escaped($0))</li>" }.joined(separator: "\n")
        let body = """
            <a class="skip" href="#tables">Skip to the tables</a>
            <header><h1>\(escaped(name))</h1>
            <p id="state" role="status" aria-label="State" data-s="state.word" data-state="\(escaped(word))">\
            <span data-c="state.text">\(escaped(state))</span></p>
            <nav aria-label="Page"><a href="#picture">Picture</a> <a href="#trace">Trace</a> <a href="#events">Events</a>
            <a href="#tables">Tables</a> <a href="/metrics">Metrics</a></nav></header>
            <main>
            <section aria-labelledby="h-picture"><h2 id="h-picture">Picture</h2>
            <p class="hint">The numbers are packets a second. Requests are solid, responses dashed, copies thin. \
            Choose an arrow or a node to see more.</p>
            <div id="picture" class="scroll" tabindex="0" role="region" aria-labelledby="h-picture">\(picture.html)</div>
            </section>
            <section id="details" aria-label="Details" tabindex="-1" hidden></section>
            <section id="trace" aria-labelledby="h-trace"><h2 id="h-trace">Trace</h2>
            \(form.html(secret))
            <div id="traces" role="log" aria-label="Traces" tabindex="0"></div></section>
            <section id="events" aria-labelledby="h-events"><h2 id="h-events">Events</h2>
            <div class="scroll" tabindex="0" role="region" aria-labelledby="h-events">
            <ol id="happened" aria-live="polite" aria-relevant="additions">\(list)</ol></div></section>
            <section id="tables" aria-labelledby="h-tables" tabindex="-1"><h2 id="h-tables">Tables</h2>
            <noscript><p>Without a script, the numbers are those of the moment of loading. \
            <a href="/">Load again</a></p></noscript>
            <div id="lists">\(tables.html)</div></section>
            </main>
            <footer>Tapline</footer>
            <script src="/page.js"></script>
            """
        return htmlDocument(
            "\(name) – Tapline",
            attributes: " data-build=\"\(build)\" data-last=\"\(events.last)\"", body)
    }

    /// A page about one thing; its content is what the script shows beside the picture.
    func about(_ title: String, _ content: String) -> String {
        htmlDocument(
            "\(title) – \(name) – Tapline",
            "<main><p><a href=\"/\">Back to \(escaped(name))</a></p>\n\(content)\n</main>")
    }

    /// A page that says what is wrong.
    func problem(_ sentence: String, hint: String?) -> String {
        about(
            "Not done",
            "<h1>Not done</h1><p role=\"alert\">\(escaped(sentence))</p>"
                + (hint.map { "<p>\(escaped($0))</p>" } ?? ""))
    }

    /// The form for the secret.
    func login(wrong: Bool) -> String {
        htmlDocument(
            "Tapline",
            """
            <main><h1>Tapline</h1>
            \(wrong ? "<p role=\"alert\">That is not the secret.</p>" : "")
            <form method="post" action="/login"><label>Secret <input type="password" name="token" required \
            autocomplete="current-password"></label> <button>Open the page</button></form></main>
            """)
    }
}

/// The form that starts a trace.
struct TraceForm {
    /// The nodes that packets can come from, and those that they can pass.
    var nodes: [String]
    var services: [String]

    /// How long a trace may take, in seconds, and how many packets it may show.
    static let mostSeconds = 60
    static let mostPackets = 100

    func html(_ secret: String) -> String {
        func options(_ names: [String]) -> String {
            "<option value=\"\">any</option>"
                + names.prefix(1000).map { "<option>\(escaped($0))</option>" }.joined()
        }
        return """
            <form id="trace-form" method="post" action="/trace">
            <input type="hidden" name="secret" value="\(secret)">
            <label>From <select name="from">\(options(nodes))</select></label>
            <label>Service <select name="service">\(options(services))</select></label>
            <label>Via <select name="via">\(options(nodes))</select></label>
            <label>Filter <input name="filter" maxlength="1000" placeholder="tcp port 80" autocomplete="off"></label>
            <label>Packets <input name="count" type="number" min="1" max="\(Self.mostPackets)" value="5"></label>
            <label>Seconds <input name="seconds" type="number" min="1" max="\(Self.mostSeconds)" value="20"></label>
            <button>Start a trace</button> <button type="button" id="trace-stop" hidden>Stop</button>
            </form>
            """
    }
}
