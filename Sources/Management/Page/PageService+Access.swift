import ControlAPI
import Instructions
import WebPages

/// The page's part about access lists. Each form is one instruction with the whole list, on the condition that nobody has changed
/// the list since the page was loaded.
extension PageService {
    private func path(_ application: String) -> String { "/v1/access/\(PageView.encoded(application))" }

    /// The body of the instruction.
    private struct Body: Encodable, Sendable {
        var rules: [RecordedAccessRule]
        var otherwise: RecordedVerdict

        enum CodingKeys: String, CodingKey {
            case rules
            case otherwise = "default"
        }
    }

    private func list(_ application: String, _ visit: Visit) throws(Problem) -> AccessView? {
        do throws(Problem) { return try read(AccessView.self, path(application), visit) } catch {
            guard error.status == 404 else { throw error }
            return nil
        }
    }

    func accessLists(_ visit: Visit) throws(Problem) -> APIAnswer {
        let uses = try read(Catalogue.self, "/v1/catalogue", visit)
        let lists = try read(AccessListing.self, "/v1/access?limit=\(Paging.most)", visit)
        return Self.html(200, view(visit).accessLists(uses, lists.access))
    }

    func access(
        _ application: String, _ visit: Visit, _ form: RuleForm? = nil, problem: Problem? = nil
    ) throws(Problem) -> String {
        let uses = try read(Catalogue.self, "/v1/catalogue", visit)
        let list = try list(application, visit)
        guard list != nil || uses.applications.contains(where: { $0.name == application && !$0.access.isEmpty }) else {
            throw Problem(.notFound, "no application of that name keeps access lists")
        }
        var shown = form ?? RuleForm()
        if form == nil, let number = visit.query["rule"].flatMap({ Int($0) }), let list,
            list.rules.indices.contains(number - 1)
        {
            shown = RuleForm(list.rules[number - 1].rule, at: number - 1)
        }
        return view(visit).access(application, list, shown, uses, problem: problem)
    }

    /// Does what a button of the page says.
    func changeAccess(
        _ application: String, _ visit: Visit, _ done: @escaping @Sendable (APIAnswer) -> Void
    ) throws(Problem) {
        let now = try list(application, visit)
        let form = RuleForm(visit.form)
        let version = visit.form["version"]
        let condition = version.map { ("if-match", "\"\($0)\"") } ?? ("if-none-match", "*")
        if visit.form["do"] == "remove" {
            try instruct(.delete, path(application), visit, condition: condition, body: Body?.none) { outcome in
                done(self.answer(outcome, "The list is removed", application, visit, nil))
            }
            return
        }
        var body = Body(
            rules: now?.rules.map(\.rule) ?? [],
            otherwise: now.map {
                RecordedVerdict(
                    action: $0.otherwise.action, answer: $0.otherwise.answer, comment: $0.otherwise.comment)
            } ?? RecordedVerdict(action: "allow"))
        let place = try change(&body, form, visit)
        try instruct(.put, path(application), visit, condition: condition, body: body) { outcome in
            done(self.answer(outcome, "The list is in force", application, visit, place.map { (form, $0) }))
        }
    }

    /// Changes a list as a button says.
    ///
    /// - Returns: The place of the rule that the form is about; nil: it is about none.
    private func change(_ body: inout Body, _ form: RuleForm, _ visit: Visit) throws(Problem) -> Int? {
        func known() throws(Problem) -> Int {
            guard let index = form.index, body.rules.indices.contains(index) else {
                throw Problem(.changed, "there is no such rule any more", hint: "load the page again")
            }
            return index
        }
        switch visit.form["do"] {
        case "replace":
            let index = try known()
            body.rules[index] = form.rule
            return index
        case "delete": body.rules.remove(at: try known())
        case "up":
            let index = try known()
            if index > 0 { body.rules.swapAt(index, index - 1) }
        case "down":
            let index = try known()
            if index + 1 < body.rules.count { body.rules.swapAt(index, index + 1) }
        case "default":
            let words = (visit.form["default"] ?? "allow").split(separator: " ").map(String.init)
            body.otherwise = RecordedVerdict(
                action: words[0], answer: words.count > 1 ? words[1] : nil, comment: body.otherwise.comment)
        default:
            let place = Int(form.place).map { min(max($0 - 1, 0), body.rules.count) } ?? body.rules.count
            body.rules.insert(form.rule, at: place)
            return place
        }
        return nil
    }

    private func answer(
        _ outcome: Result<Outcome, Problem>, _ words: String, _ application: String, _ visit: Visit,
        _ rule: (form: RuleForm, place: Int)?
    ) -> APIAnswer {
        switch outcome {
        case .success(let outcome):
            let version = outcome.version.map { ": version \($0)" } ?? ""
            return self.done("\(words)\(version).", "/access/\(PageView.encoded(application))", visit)
        case .failure(var problem):
            guard let rule else { return Self.problem(problem) }
            // The mistakes of the rule in the form stand beside its fields.
            problem.errors = problem.errors?.map { mistake in
                var mistake = mistake
                let own = "/rules/\(rule.place)"
                if let pointer = mistake.pointer, pointer == own || pointer.hasPrefix("\(own)/") {
                    mistake.pointer = String(pointer.dropFirst(own.count))
                }
                return mistake
            }
            do throws(Problem) {
                return Self.html(problem.status, try access(application, visit, rule.form, problem: problem))
            } catch { return Self.problem(error) }
        }
    }
}
