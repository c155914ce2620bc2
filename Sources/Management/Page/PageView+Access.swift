import ControlAPI
import Instructions
import WebPages

/// The texts of the form of a rule.
struct RuleForm {
    var action = "allow"
    var answer = ""
    var protocolName = ""
    var own = ""
    var ownPorts = ""
    var remote = ""
    var remotePorts = ""
    var icmpTypes = ""
    var comment = ""
    /// Its place in the list, from 0; nil: it is a new one.
    var index: Int?
    /// The place that a new one gets, from 1.
    var place = ""

    init() {}

    init(_ rule: RecordedAccessRule, at index: Int) {
        (action, answer, protocolName) = (rule.action, rule.answer ?? "", rule.protocolName ?? "")
        (own, remote, comment) = (rule.own ?? "", rule.remote ?? "", rule.comment ?? "")
        ownPorts = rule.ownPorts.joined(separator: ", ")
        remotePorts = rule.remotePorts.joined(separator: ", ")
        icmpTypes = rule.icmpTypes.joined(separator: ", ")
        self.index = index
    }

    init(_ fields: FormFields) {
        func text(_ name: String) -> String { (fields[name] ?? "").trimmed }
        (action, answer, protocolName) = (text("action"), text("answer"), text("protocol"))
        (own, ownPorts) = (text("own"), text("own-ports"))
        (remote, remotePorts) = (text("remote"), text("remote-ports"))
        (icmpTypes, comment, place) = (text("icmp-types"), text("comment"), text("place"))
        index = fields["index"].flatMap { Int($0) }
    }

    /// The rule as it is sent.
    var rule: RecordedAccessRule {
        func optional(_ text: String) -> String? { text.isEmpty ? nil : text }
        return RecordedAccessRule(
            action: action, answer: action == "deny" ? optional(answer) : nil, protocolName: optional(protocolName),
            own: optional(own), ownPorts: ServiceForm.values(ownPorts), remote: optional(remote),
            remotePorts: ServiceForm.values(remotePorts), icmpTypes: ServiceForm.values(icmpTypes),
            comment: optional(comment))
    }
}

extension String {
    /// Without blanks at its ends.
    fileprivate var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}

extension RecordedAccessRule {
    /// What it says, for a person.
    var sentence: String {
        var words = [action]
        if let answer, action == "deny" { words.append("(\(answer))") }
        words.append(protocolName ?? "any")
        if let own { words.append("to \(own)") }
        if !ownPorts.isEmpty { words.append("port \(ownPorts.joined(separator: ", "))") }
        if !icmpTypes.isEmpty { words.append("type \(icmpTypes.joined(separator: ", "))") }
        if remote != nil || !remotePorts.isEmpty { words.append("from \(remote ?? "anywhere")") }
        if !remotePorts.isEmpty { words.append("port \(remotePorts.joined(separator: ", "))") }
        return words.joined(separator: " ")
    }
}

extension PageView {
    // MARK: - All lists

    /// The applications that lists are kept for, with the tenant's lists.
    func accessLists(_ uses: Catalogue, _ lists: [AccessView]) -> String {
        let known = Dictionary(lists.map { ($0.application, $0) }) { first, _ in first }
        let names =
            uses.applications.filter { !$0.access.isEmpty }.map(\.name)
            + lists.map(\.application).filter { name in !uses.applications.contains { $0.name == name } }
        let items = names.map { name in
            let state = known[name].map {
                "\(Self.live("\(name).state", $0.state, state: Self.shade($0.state))) · \($0.rules.count) rules, "
                    + "otherwise \(escaped($0.otherwise.action))"
            }
            return """
                <li class="card"><h2><a href="/access/\(Self.encoded(name))">\(escaped(name))</a></h2>
                <p>\(state ?? "no list: every packet passes")</p></li>

                """
        }
        return page(
            "Access", here: "/access",
            "<h1>Access</h1>\n<p class=\"hint\">A list says which packets to and from your addresses an application lets "
                + "pass.</p>\n"
                + (items.isEmpty
                    ? "<p>No application keeps access lists.</p>\n"
                    : "<ul class=\"cards\">\n\(items.joined())</ul>\n"))
    }

    // MARK: - One list

    /// The list for one application, and the form of a rule.
    func access(
        _ application: String, _ list: AccessView?, _ form: RuleForm, _ uses: Catalogue, problem: Problem?
    ) -> String {
        let version = list.map { "\($0.version)" } ?? ""
        var main = "<h1>Access: \(escaped(application))</h1>\n"
        if let list {
            main +=
                "<p>\(Self.live("state", list.state, state: Self.shade(list.state))) since version \(list.version)</p>\n"
            main += texts(
                list.state == "in-part" ? "What the file no longer allows is not in force:" : "It is set aside:",
                list.reasons ?? [])
            main += texts("Remarks:", list.remarks.map { "\($0.pointer): \($0.detail)" })
        } else {
            main += "<p>There is no list: every packet passes. The first rule makes one.</p>\n"
        }
        let rules = section("rules", "Rules", rules(list, application, version))
        let change =
            mayChange
            ? section(
                "rule", form.index.map { "Change rule \($0 + 1)" } ?? "Add a rule",
                fields(form, application, version, list, problem))
            : ""
        main += problem == nil ? rules + change : change + rules
        if let list, mayChange { main += otherwise(list, application, version) }
        return page((problem == nil ? "" : "Error: ") + "Access: \(application)", here: "/access", main)
    }

    private func section(_ name: String, _ title: String, _ html: String) -> String {
        "<section aria-labelledby=\"h-\(name)\"><h2 id=\"h-\(name)\">\(escaped(title))</h2>\n\(html)</section>\n"
    }

    private func texts(_ title: String, _ texts: [String]) -> String {
        guard !texts.isEmpty else { return "" }
        return "<p>\(title)</p><ul>\(texts.map { "<li>\(escaped($0))</li>" }.joined())</ul>\n"
    }

    private func hits(_ key: String, _ hits: RuleHits?) -> String {
        let counts = [("engine", hits?.engine), ("application", hits?.application)].compactMap { who, count in
            count.map { "\(Self.live("\(key).\(who)", "\($0.packets)")) packets (\(who))" }
        }
        return counts.isEmpty ? "" : "<p class=\"hint\">\(counts.joined(separator: " · "))</p>\n"
    }

    private func rules(_ list: AccessView?, _ application: String, _ version: String) -> String {
        guard let list, !list.rules.isEmpty else { return "<p>There are none.</p>\n" }
        let path = "/access/\(Self.encoded(application))"
        let items = list.rules.enumerated().map { index, rule in
            var item = "<li class=\"card\"><p>\(escaped(rule.rule.sentence))</p>\n"
            if let comment = rule.rule.comment { item += "<p class=\"hint\"><bdi>\(escaped(comment))</bdi></p>\n" }
            item += hits("r\(index)", rule.hits)
            if mayChange {
                func button(_ word: String, _ label: String) -> String {
                    "<button class=\"plain\" name=\"do\" value=\"\(word)\" aria-label=\"\(label) rule \(index + 1)\">\(label)</button>"
                }
                item += """
                    <form method="post" action="\(path)" class="buttons">\(hidden)\(once)
                    <input type="hidden" name="version" value="\(version)"><input type="hidden" name="index" value="\(index)">
                    \(index > 0 ? button("up", "Up") : "") \(index + 1 < list.rules.count ? button("down", "Down") : "")
                    <a href="\(path)?rule=\(index + 1)" aria-label="Change rule \(index + 1)">Change</a>
                    \(button("delete", "Delete"))</form>

                    """
            }
            return item + "</li>\n"
        }
        return
            "<ol class=\"cards rules\">\n\(items.joined())</ol>\n<p>Otherwise: \(escaped(list.otherwise.action))</p>\n"
            + hits("otherwise", list.otherwise.hits)
    }

    private func fields(
        _ form: RuleForm, _ application: String, _ version: String, _ list: AccessView?, _ problem: Problem?
    ) -> String {
        let ports = "<code>443</code>, <code>8000-8080</code>; empty: every one."
        var fields = [
            PageField(
                name: "action", label: "What happens", hint: "", value: form.action,
                choices: [("allow", "allow"), ("deny", "deny")]),
            PageField(
                name: "answer", label: "How a denied sender is told", hint: "", value: form.answer,
                choices: [("", "not at all"), ("icmp", "by an ICMP error"), ("reset", "by a TCP reset")]),
            PageField(
                name: "protocol", label: "Protocol",
                hint: "<code>tcp</code>, <code>udp</code>, <code>icmp</code>, a number; empty: every one.",
                value: form.protocolName),
            PageField(
                name: "own", label: "Your address", hint: "An address or prefix of yours; empty: all of them.",
                value: form.own),
            PageField(name: "own-ports", label: "Your ports", hint: ports, value: form.ownPorts),
            PageField(
                name: "remote", label: "The other side", hint: "An address or prefix; empty: everybody.",
                value: form.remote),
            PageField(name: "remote-ports", label: "Ports of the other side", hint: ports, value: form.remotePorts),
            PageField(name: "icmp-types", label: "Types of ICMP", hint: "Empty: every one.", value: form.icmpTypes),
            PageField(
                name: "comment", label: "Comment", hint: "For people.", value: form.comment,
                attributes: "maxlength=\"256\""),
        ]
        let rules = list?.rules.count ?? 0
        if form.index == nil, rules > 0 {
            fields.append(
                PageField(
                    name: "place", label: "Place",
                    hint: "The first rule that matches decides. 1 to \(rules + 1); empty: the last.", value: form.place,
                    attributes: "inputmode=\"numeric\""))
        }
        let sorted = PageField.sort(problem, fields)
        let word = form.index == nil ? "add" : "replace"
        return """
            \(sorted.summary)
            <form method="post" action="/access/\(Self.encoded(application))" class="fields">\(hidden)\(once)
            <input type="hidden" name="version" value="\(version)">
            \(form.index.map { "<input type=\"hidden\" name=\"index\" value=\"\($0)\">" } ?? "")
            \(fields.map { $0.html(sorted.of[$0.name] ?? []) }.joined())
            <p class="buttons"><button name="do" value="\(word)">\(form.index == nil ? "Add the rule" : "Change the rule")</button>
            \(form.index == nil ? "" : "<a href=\"/access/\(Self.encoded(application))\">Leave it as it is</a>")</p></form>

            """
    }

    private func otherwise(_ list: AccessView, _ application: String, _ version: String) -> String {
        let choices = [
            ("allow", "allow"), ("deny", "deny, and say nothing"), ("deny icmp", "deny, with an ICMP error"),
            ("deny reset", "deny, with a TCP reset"),
        ]
        let now = [list.otherwise.action, list.otherwise.answer == "drop" ? nil : list.otherwise.answer]
            .compactMap { $0 }.joined(separator: " ")
        let field = PageField(
            name: "default", label: "Packets that match no rule", hint: "", value: now, choices: choices)
        let form = """
            <form method="post" action="/access/\(Self.encoded(application))" class="fields">\(hidden)\(once)
            <input type="hidden" name="version" value="\(version)">
            """
        return section(
            "default", "Otherwise",
            form + field.html([])
                + "<p class=\"buttons\"><button name=\"do\" value=\"default\">Set what happens otherwise</button></p></form>\n"
        )
            + """
            <details><summary>Remove the whole list</summary>
            \(form)<p>Every packet passes then. The history can bring it back.</p>
            <p><button class="danger" name="do" value="remove">Remove the list</button></p></form></details>

            """
    }
}
