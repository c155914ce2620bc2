import ControlAPI
import Instructions
import Reporting

/// An access list as a request has it.
struct AccessBody: Codable {
    var rules: [RecordedAccessRule]
    var otherwise: RecordedVerdict
    /// The version that it is of; nil: there is none yet.
    var version: Int?

    private enum CodingKeys: String, CodingKey {
        case rules
        case otherwise = "default"
    }

    /// The list that is there. Where none is, one that lets everything pass.
    static func current(
        _ application: String, _ options: InstructionOptions, _ change: ChangeOptions
    ) throws(ApplianceError) -> AccessBody {
        do throws(ApplianceError) {
            let list = try options.ask(
                for: AccessView.self, .get, ["access", application], query: ["tenant": change.whose.tenant])
            return AccessBody(
                rules: list.rules.map(\.rule),
                otherwise: RecordedVerdict(
                    action: list.otherwise.action, answer: list.otherwise.answer, comment: list.otherwise.comment),
                version: list.version)
        } catch {
            guard error.status == .name else { throw error }
            return AccessBody(rules: [], otherwise: RecordedVerdict(action: "allow"))
        }
    }

    /// Puts it in the place of the one that was read: a change that came between is not lost.
    func put(
        _ application: String, _ options: InstructionOptions, _ change: ChangeOptions
    ) throws(ApplianceError) {
        let condition = version.map { ("If-Match", "\"\($0)\"") } ?? ("If-None-Match", "*")
        try Self.put(
            try JSONLine.encode(self), application, options, change,
            headers: change.ifMatch == nil ? [condition] : change.headers)
    }

    /// Puts a list that is JSON.
    static func put(
        _ json: [UInt8], _ application: String, _ options: InstructionOptions, _ change: ChangeOptions,
        headers: [(String, String)]
    ) throws(ApplianceError) {
        let answer = try options.ask(
            .put, ["access", application], query: change.query, headers: headers, json: json)
        let outcome = try JSONLine.decode(Outcome.self, answer)
        try change.tell(outcome, options)
        guard !options.json else { return }
        for remark in outcome.access.flatMap(\.remarks) { Terminal.out("remark: \(remark.detail)") }
    }
}

extension AccessView.Default {
    /// For a person.
    var words: String { action + (answer.map { " (\($0))" } ?? "") }
}

extension RecordedAccessRule {
    /// What it does, for a person.
    var verdict: String { action + (answer.map { " (\($0))" } ?? "") }

    /// What it matches, as the command line takes it.
    var words: String {
        func ports(_ ports: [String]) -> [String] { ports.isEmpty ? [] : ["port", ports.joined(separator: ",")] }
        var words = [protocolName ?? "any"] + (own.map { [$0] } ?? []) + ports(ownPorts)
        if remote != nil || !remotePorts.isEmpty { words += ["from", remote ?? "any"] + ports(remotePorts) }
        if !icmpTypes.isEmpty { words += ["type", icmpTypes.joined(separator: ",")] }
        return words.joined(separator: " ")
    }

    /// Reads a rule in words.
    ///
    /// - Throws: `ApplianceError` if a word has no meaning in its place.
    init(action: String, words: [String]) throws(ApplianceError) {
        self.init(action: action)
        var rest = words[...]
        func values(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }
        func next(_ what: String, behind word: String) throws(ApplianceError) -> String {
            guard let value = rest.popFirst() else {
                throw ApplianceError(.usage, "\(what) is missing behind '\(word)'", hint: Self.form)
            }
            return value
        }
        protocolName = rest.popFirst()
        var isRemote = false
        while let word = rest.popFirst() {
            switch word {
            case "port":
                let ports = values(try next("a port", behind: word))
                if isRemote { remotePorts += ports } else { ownPorts += ports }
            case "from":
                isRemote = true
                let prefix = try next("a prefix", behind: word)
                remote = prefix == "any" ? nil : prefix
            case "type": icmpTypes += values(try next("a type", behind: word))
            case "answer": answer = try next("an answer", behind: word)
            default:
                guard own == nil, !isRemote else {
                    throw ApplianceError(.usage, "'\(word)' has no meaning here", hint: Self.form)
                }
                own = word == "any" ? nil : word
            }
        }
    }

    private static let form =
        "write PROTOCOL [ADDRESS] [port PORTS] [from PREFIX [port PORTS]] [type TYPES] [answer ANSWER]"
}
