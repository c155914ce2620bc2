import Instructions
import WebPages

/// What a page knows of one service.
struct ServiceSight {
    var service: ServiceView
    var counters: ServiceCounters
    var health: ServiceHealth
}

/// The texts of the form of a service.
struct ServiceForm {
    var name = ""
    var addresses = ""
    var ports = ""
    var from = ""
    var distribute = ""
    var sequence = ""
    /// The version that it was made from; empty: it is a new one.
    var version = ""

    init() {}

    init(_ service: ServiceView) {
        name = service.name
        addresses = service.addresses.joined(separator: "\n")
        ports = service.ports.joined(separator: ", ")
        from = service.from.joined(separator: ", ")
        distribute = service.distribute.joined(separator: ", ")
        sequence = service.sequence.joined(separator: ", ")
        version = "\(service.version)"
    }

    /// - Parameter name: The name in the path; nil: it is a new service, and the form has it.
    init(_ fields: FormFields, name: String?) {
        self.name = name ?? (fields["name"] ?? "").filter { !$0.isWhitespace }
        // Browsers end lines in forms by both.
        addresses = (fields["addresses"] ?? "").replacing("\r\n", with: "\n")
        ports = fields["ports"] ?? ""
        from = fields["from"] ?? ""
        distribute = fields["distribute"] ?? ""
        sequence = fields["sequence"] ?? ""
        version = fields["version"] ?? ""
    }

    /// The body of the instruction.
    struct Body: Encodable {
        var addresses: [String]
        var ports: [String]
        var from: [String]
        var distribute: [String]
        var sequence: [String]
    }

    var body: Body {
        Body(
            addresses: Self.values(addresses), ports: Self.ports(ports), from: Self.values(from),
            distribute: Self.values(distribute), sequence: Self.values(sequence))
    }

    /// The values of a text: commas, blanks and ends of lines stand between them.
    static func values(_ text: String) -> [String] {
        text.split { $0 == "," || $0.isWhitespace }.map(String.init)
    }

    /// The same for service ports: blanks around an arrow, and around `at`, are part of a value.
    static func ports(_ text: String) -> [String] {
        text.split(separator: ",").flatMap { part in
            values(String(part)).reduce(into: [String]()) { ports, word in
                guard let last = ports.last else { return ports.append(word) }
                let goesOn =
                    word.hasPrefix("->") || last.hasSuffix("->") || last.hasSuffix(" at")
                    || word == "at" && last.contains("->")
                if goesOn { ports[ports.count - 1] += " \(word)" } else { ports.append(word) }
            }
        }
    }
}

extension PageView {
    // MARK: - All services

    /// The first page.
    ///
    /// - Parameters:
    ///   - next: For the next page of services; nil: this is the last.
    ///   - below: HTML that follows.
    func overview(_ sights: [ServiceSight], next: String?, below: String) -> String {
        var main = "<h1>Services</h1>\n"
        if sights.isEmpty {
            main += "<p>There is no service yet.\(mayChange ? " <a href=\"/new-service\">Make one</a>." : "")</p>\n"
        } else {
            main += "<ul class=\"cards\">\n\(sights.map(card).joined())</ul>\n"
        }
        if let next { main += "<p><a href=\"/?after=\(Self.encoded(next))\" rel=\"next\">More services</a></p>\n" }
        main += """
            <noscript><p class="hint">The numbers are those of the moment of loading. \
            <a href="/">Load again</a></p></noscript>

            """
        return page("Services", here: "/", main + below)
    }

    private func card(_ sight: ServiceSight) -> String {
        let (service, key) = (sight.service, sight.service.name)
        return """
            <li class="card"><h2><a href="/services/\(Self.encoded(service.name))">\(escaped(service.name))</a></h2>
            <p>\(escaped(service.addresses.joined(separator: ", "))) · \
            \(escaped(service.ports.isEmpty ? "every port" : service.ports.joined(separator: ", ")))</p>
            <p>\(Self.live("\(key).state", service.state, state: Self.shade(service.state))) · \
            health: \(Self.live("\(key).health", sight.health.state, state: Self.shade(sight.health.state)))</p>
            <p class="numbers">\(Self.live("\(key).requests", "\(sight.counters.requests.packets)")) packets in, \
            \(Self.live("\(key).responses", "\(sight.counters.responses.packets)")) out</p></li>

            """
    }

    // MARK: - One service

    /// The page of one service: how it is, what it counts, and the form that changes it.
    func service(
        _ sight: ServiceSight, _ form: ServiceForm, _ uses: Catalogue, problem: Problem?, trial: [String]?
    ) -> String {
        let service = sight.service
        let reasons = (service.reasons ?? []).map { "<li>\(escaped($0))</li>" }.joined()
        var main = """
            <h1>\(escaped(service.name))</h1>
            <p>\(Self.live("state", service.state, state: Self.shade(service.state))) since version \(service.version)</p>
            \(reasons.isEmpty ? "" : "<p>It is set aside:</p><ul>\(reasons)</ul>")

            """
        let change =
            mayChange
            ? "<section aria-labelledby=\"h-change\"><h2 id=\"h-change\">Change</h2>\n"
                + fields(
                    form, uses, problem: problem, trial: trial, action: "/services/\(Self.encoded(service.name))",
                    button: "Change") + remove(service) + "</section>\n"
            : ""
        // What was just tried stands first.
        let isTried = problem != nil || trial != nil
        if isTried { main += change }
        main += health(sight.health) + counters(sight.counters)
        if !isTried { main += change }
        if !mayChange { main += facts(service) }
        return page((problem == nil ? "" : "Error: ") + service.name, main)
    }

    private func facts(_ service: ServiceView) -> String {
        let facts = [
            ("Addresses", service.addresses), ("Ports", service.ports), ("From", service.from),
            ("Copies to", service.distribute), ("Chain", service.sequence),
        ].filter { !$0.1.isEmpty }
        let list = facts.map { "<dt>\($0.0)</dt><dd>\(escaped($0.1.joined(separator: ", ")))</dd>" }.joined()
        return "<section aria-labelledby=\"h-facts\"><h2 id=\"h-facts\">What it is</h2><dl>\(list)</dl></section>\n"
    }

    private func health(_ health: ServiceHealth) -> String {
        let items = health.applications.enumerated().map { index, application in
            let instances = application.instances.map(\.state).joined(separator: ", ")
            return "<li>\(escaped(application.name))\(application.passive ? " (gets copies)" : ""): "
                + Self.live("a\(index)", application.state, state: Self.shade(application.state))
                + (instances.isEmpty ? "" : " · instances: \(Self.live("i\(index)", instances))") + "</li>"
        }
        return """
            <section aria-labelledby="h-health"><h2 id="h-health">Health: \
            \(Self.live("health", health.state, state: Self.shade(health.state)))</h2>
            <ol>\(items.joined(separator: "\n"))</ol></section>

            """
    }

    private func counters(_ counters: ServiceCounters) -> String {
        func row(_ key: String, _ name: String, _ packets: UInt64, _ octets: UInt64) -> String {
            "<tr><th scope=\"row\">\(escaped(name))</th><td class=\"number\">\(Self.live("\(key).p", "\(packets)"))</td>"
                + "<td class=\"number\">\(Self.live("\(key).o", "\(octets)"))</td></tr>\n"
        }
        var rows = row("requests", "Requests", counters.requests.packets, counters.requests.octets)
        rows += row("responses", "Responses", counters.responses.packets, counters.responses.octets)
        let own = "\(counters.tenant)/\(counters.service)."
        for entry in counters.entries {
            let name = entry.name.hasPrefix(own) ? String(entry.name.dropFirst(own.count)) : entry.name
            rows += row(entry.name, name, entry.packets, entry.octets)
        }
        let drops = counters.drops.map { "<li>\(escaped(Self.sentence($0.sentence, nil)))</li>" }.joined()
        return """
            <section aria-labelledby="h-counters"><h2 id="h-counters">Counters</h2>
            <div class="scroll" tabindex="0" role="region" aria-labelledby="h-counters"><table aria-labelledby="h-counters">
            <thead><tr><th scope="col">Entry</th><th scope="col" class="number">Packets</th>\
            <th scope="col" class="number">Octets</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>
            \(drops.isEmpty ? "" : "<p>Packets from or to its addresses were dropped lately:</p><ul>\(drops)</ul>")
            <noscript><p class="hint">The numbers are those of the moment of loading.</p></noscript></section>

            """
    }

    private func remove(_ service: ServiceView) -> String {
        """
        <details><summary>Remove this service</summary>
        <form method="post" action="/services/\(Self.encoded(service.name))/remove">\(hidden)\(once)
        <input type="hidden" name="version" value="\(service.version)">
        <p>Its packets are no longer forwarded. The history can bring it back.</p>
        <p><button class="danger">Remove \(escaped(service.name))</button></p></form></details>

        """
    }

    // MARK: - The form

    /// The page of a new service.
    func newService(_ form: ServiceForm, _ uses: Catalogue, problem: Problem?, trial: [String]?) -> String {
        page(
            (problem == nil ? "" : "Error: ") + "New service", here: "/new-service",
            "<h1>New service</h1>\n"
                + fields(
                    form, uses, problem: problem, trial: trial, action: "/new-service", button: "Make the service"))
    }

    private func fields(
        _ form: ServiceForm, _ uses: Catalogue, problem: Problem?, trial: [String]?, action: String, button: String
    ) -> String {
        func names(_ isPassive: Bool) -> String {
            uses.applications.filter { $0.passive == isPassive }.map(\.name).joined(separator: " ")
        }
        let must = uses.applications.filter(\.must).map(\.name)
        let own = escaped(uses.addresses.joined(separator: ", "))
        var fields = [
            PageField(
                name: "addresses", label: "Addresses", hint: "Where customers send. Yours are \(own).",
                value: form.addresses, lines: 2, isRequired: true),
            PageField(
                name: "ports", label: "Ports",
                hint:
                    "<code>tcp/80, udp/53, icmp</code>, for example. Empty: every port. <code>tcp/80 -&gt; 8080</code>: "
                    + "the last application listens at 8080.", value: form.ports),
            PageField(
                name: "sequence", label: "Chain",
                hint: "The applications in order. There are: \(Self.code(names(false)))."
                    + (must.isEmpty ? "" : " Every chain has \(Self.code(must.joined(separator: " ")))."),
                value: form.sequence, isRequired: true, attributes: "data-names=\"\(escaped(names(false)))\""),
            PageField(
                name: "distribute", label: "Copies to",
                hint: names(true).isEmpty
                    ? "No application gets copies here."
                    : "Applications that get a copy of each packet. There are: \(Self.code(names(true))).",
                value: form.distribute, attributes: "data-names=\"\(escaped(names(true)))\""),
            PageField(
                name: "from", label: "From",
                hint:
                    "Interfaces (\(Self.code(uses.interfaces.joined(separator: " ")))) and customers that may use it. "
                    + "Empty: every interface with customers.", value: form.from),
        ]
        let isNew = form.version.isEmpty
        if isNew {
            fields.insert(
                PageField(
                    name: "name", label: "Name",
                    hint: "Letters, digits, <code>.</code>, <code>_</code> and <code>-</code>.",
                    value: form.name, isRequired: true, attributes: "maxlength=\"63\""), at: 0)
        }
        let sorted = PageField.sort(problem, fields)
        let tried =
            trial.map { lines in
                "<div class=\"notice\" role=\"status\" id=\"trial\"><p>It can be done. "
                    + (lines.isEmpty ? "Nothing would change.</p>" : "This would change:</p><ul>")
                    + lines.map { "<li>\(escaped($0))</li>" }.joined() + (lines.isEmpty ? "</div>" : "</ul></div>")
            } ?? ""
        return """
            \(sorted.summary)\(tried)
            <form method="post" action="\(action)" class="fields">\(hidden)\(once)
            <input type="hidden" name="version" value="\(escaped(form.version))">
            \(fields.map { $0.html(sorted.of[$0.name] ?? []) }.joined())
            <p class="buttons"><button>\(button)</button> <button class="plain" name="do" value="check">Check only</button></p>
            </form>

            """
    }

    /// Names in a list, each as code.
    static func code(_ names: String) -> String {
        names.split(separator: " ").map { "<code>\(escaped(String($0)))</code>" }.joined(separator: ", ")
    }

    /// A part of a path or of a query.
    static func encoded(_ text: String) -> String {
        text.utf8.map { octet in
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                return String(UnicodeScalar(octet))
            default:
                let digits = String(octet, radix: 16, uppercase: true)
                return "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }.joined()
    }
}
