import Forwarding
import Plan
import Reporting
import Wire
import Yams

extension FileReader {
    /// The instances of an application, and how they share its work.
    ///
    /// - Parameter template: The common part of all instances.
    func instances(of template: RawNode, _ fields: Fields) -> (nodes: [RawNode], application: RawApplication?) {
        var application = RawApplication(
            name: template.name, template: template,
            instancesOrigin: fields["instances"] == nil ? template.name.origin : fields.origin(of: "instances"))
        application.template.application = template.name.value
        var made: [RawNode] = []
        func add(_ name: Located<String>, _ value: Node? = nil) {
            var node = application.template
            node.name = name
            var instance = RawInstance(name: name.value)
            if let value { override(&node, &instance, value, fields) }
            application.instances.append(instance)
            made.append(node)
        }
        if let node = fields["instances"] {
            read(node, fields, template.name) { name, value in add(name, value) }
            guard !made.isEmpty else { return ([template], nil) }
        } else {
            add(template.name)
        }
        sharing(&application, fields)
        operation(&application, fields)
        checkSharing(application)
        checkAddresses(of: application, made)
        return (made, application)
    }

    /// The names of `instances`, each with its own values.
    private func read(
        _ node: Node, _ fields: Fields, _ application: Located<String>, _ add: (Located<String>, Node?) -> Void
    ) {
        var names: [Located<String>] = []
        func take(_ name: Located<String>, _ value: Node?) {
            checkName(name, "instance", isNode: true)
            guard !names.contains(where: { $0.value == name.value }) else {
                diagnostics.error(
                    name.origin, "\(quoted(name.value)) is in `instances` twice", hint: "rename one of the two")
                return
            }
            names.append(name)
            add(name, value)
        }
        let before = diagnostics.count
        switch node {
        case .mapping:
            for (name, value) in nodes.entries(node, "`instances` of \(fields.subject)").pairs { take(name, value) }
        case .scalar(let scalar) where Int(scalar.string) != nil:
            let count = nodes.integer(node, "the number of instances", in: Grammar.instances)
            for number in 0..<(count?.value ?? 0) {
                take(Located("\(application.value)-\(number + 1)", node.origin), nil)
            }
        default:
            for name in nodes.texts(node, "an instance") { take(name, nil) }
        }
        if names.isEmpty, diagnostics.count == before {
            diagnostics.error(
                fields.origin(of: "instances"), "\(fields.subject) has no instances",
                hint: "write a number, such as `instances: 2`, or their names")
        }
        if names.count > 1, let own = names.first(where: { $0.value == application.value }) {
            diagnostics.error(
                own.origin,
                "an instance of \(fields.subject) has the application's own name, and is not the only one",
                hint: "rename it, so that the application's name means all instances")
        }
        if names.count > Grammar.instances.upperBound {
            diagnostics.error(
                names[Grammar.instances.upperBound].origin,
                "this is instance \(names.count) and an application has room for \(Grammar.instances.upperBound)",
                hint: "divide the work among several applications")
        }
    }

    /// Reads the values of an instance that replace the application's.
    private func override(
        _ node: inout RawNode, _ instance: inout RawInstance, _ value: Node, _ application: Fields
    ) {
        let fields = nodes.fields(value, "instance \(quoted(node.name.value))", Grammar.instance)
        instance.weight = nodes.integer(fields["weight"], "the weight", in: Grammar.weights)
        instance.priority = nodes.integer(fields["priority"], "the priority", in: Grammar.priorities)
        remote(&node, fields, of: application)
        own(&node, fields, ofInstance: true)
        addresses(of: &node, fields)
    }

    private func sharing(_ application: inout RawApplication, _ fields: Fields) {
        application.redundancy = nodes.choice(fields["redundancy"], "`redundancy`")
        application.active = nodes.integer(fields["active"], "`active`", in: Grammar.instances)
        application.hashing = nodes.choice(
            fields["hash"], "`hash`", among: FlowHashing.allCases.map { ($0.word, $0) })
        application.seed = nodes.integer(fields["seed"], "`seed`", in: 0...Int.max)
        application.minimum = nodes.integer(fields["minimum"], "`minimum`", in: Grammar.instances)
        application.whenDown = nodes.choice(fields["when-down"], "`when-down`")
        application.answer = nodes.choice(
            fields["answer"], "`answer`", among: DownAnswer.allCases.map { ($0.word, $0) })
    }

    private func operation(_ application: inout RawApplication, _ fields: Fields) {
        for node in nodes.list(fields["health"]) {
            if let check = health(node, of: fields.subject) { application.health.append(check) }
        }
        application.health += programHealth(fields)
        application.drain = nodes.duration(fields["drain"], "`drain`")?.value
        if let node = fields["damping"] { application.damping = damping(node) }
        if let node = fields["scale"] { application.scale = scale(node) }
    }

    private func damping(_ node: Node) -> RawDamping? {
        if case .scalar = node { return nodes.flag(node, "`damping`").map { $0.value ? .on(DampingPlan()) : .off } }
        let fields = nodes.fields(node, "`damping`", Grammar.damping)
        let usual = DampingPlan()
        let suppress = nodes.integer(fields["suppress"], "`suppress`", in: Grammar.penalties)
        let reuse = nodes.integer(fields["reuse"], "`reuse`", in: Grammar.penalties)
        let halfLife = nodes.duration(fields["half-life"], "`half-life`")
        let plan = DampingPlan(
            suppress: suppress?.value ?? usual.suppress,
            reuse: reuse?.value ?? min(usual.reuse, (suppress?.value ?? usual.suppress) - 1),
            halfLife: halfLife?.value ?? usual.halfLife)
        if plan.reuse >= plan.suppress || plan.reuse < 1 {
            diagnostics.error(
                (reuse ?? suppress)?.origin ?? node.origin,
                "an instance may return below \(plan.reuse), and is kept out above \(plan.suppress): it would never "
                    + "be calm enough",
                hint: "write a `reuse` that is less than `suppress`")
        }
        if let halfLife, halfLife.value == 0 {
            diagnostics.error(
                halfLife.origin, "a half-life of zero forgets every fall at once", hint: "write `damping: false`")
        }
        return .on(plan)
    }

    private func scale(_ node: Node) -> RawScale? {
        let fields = nodes.fields(node, "`scale`", Grammar.scale)
        guard fields.isMapping else { return nil }
        let rate = nodes.integer(fields["rate"], "`rate`", in: Grammar.rates)
        let processor = nodes.percentage(fields["processor"], "`processor`", in: Grammar.percentages)
        let patience = nodes.duration(fields["for"], "`for`")
        if fields["rate"] == nil, fields["processor"] == nil {
            diagnostics.error(
                fields.origin, "`scale` has no load limit", hint: "add `rate: 10000` or `processor: 80%`")
        }
        guard fields["most"] != nil else {
            diagnostics.error(
                fields.origin, "`scale` has no limit of instances", hint: "add `most: 4`")
            return nil
        }
        guard let most = nodes.integer(fields["most"], "`most`", in: Grammar.instances) else { return nil }
        return RawScale(
            origin: fields.origin,
            plan: ScalePlan(
                rate: rate?.value, processor: processor?.value, patience: patience?.value ?? 5_000, most: most.value),
            mostOrigin: most.origin)
    }
}
