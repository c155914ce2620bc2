import Plan
import Reporting
import Yams

/// The programs of a node beside its `run` command.
extension FileReader {
    /// - Parameter ofInstance: Whether they replace those of an application, whose instances have one set of checks.
    func programs(_ node: inout RawNode, _ fields: Fields, ofInstance: Bool) {
        if let after = fields["after"] {
            node.process.after = nodes.texts(after, "a command of `after`").map { command($0, "a command of `after`") }
        }
        guard let written = fields["programs"] else { return }
        let named = nodes.entries(written, "`programs` of \(fields.subject)").pairs
        checkDistinct(named.map(\.key))
        // An instance's programs are in place of its application's.
        node.unreadReadiness = node.unreadReadiness.filter { $0.key.isEmpty }
        node.process.programs = named.compactMap { name, value in
            program(name, value, of: &node, ofInstance: ofInstance)
        }
        let places = Dictionary(named.map { ($0.key.value, $0.key) }) { first, _ in first }
        checkDependencies(node.process.programs, places)
    }

    private func program(_ name: Located<String>, _ value: Node, of node: inout RawNode, ofInstance: Bool)
        -> ProgramPlan?
    {
        checkName(name, "program", isNode: true)
        let fields = nodes.fields(value, "program \(quoted(name.value))", Grammar.program)
        guard fields.isMapping else { return nil }
        if fields["health"] != nil, node.kind != .application || ofInstance {
            diagnostics.error(
                fields.origin(of: "health"),
                ofInstance
                    ? "the health checks of \(fields.subject) would be those of one instance alone"
                    : "\(fields.subject) is not one of an application's, so nobody acts on its health",
                hint: ofInstance ? "write the program with them at the application" : "remove `health`")
        }
        guard let run = nodes.text(fields["run"], "`run` of \(fields.subject)") else {
            if fields["run"] == nil {
                diagnostics.error(name.origin, "\(fields.subject) has no `run`", hint: "add `run: exec …`")
            }
            return nil
        }
        var program = ProgramPlan(name: name.value, run: command(run, "`run`"))
        if let ready = fields["ready"] {
            node.unreadReadiness[name.value] = UnreadPart(ready)
            if node.unreadReadiness[name.value] == nil { program.ready = readiness(ready, fields.subject) }
        }
        if let timeout = nodes.duration(fields["ready-timeout"], "`ready-timeout`", mayBeZero: false) {
            program.readyTimeout = timeout.value
        }
        if let restart: Located<RestartPolicy> = nodes.choice(fields["restart"], "`restart`") {
            program.restart = restart.value
        }
        program.depends = nodes.texts(fields["depends"], "`depends`").map(\.value)
        environment(fields["environment"], into: &program.environment)
        confinement(&program.confinement, fields)
        return program
    }

    /// Reports programs that wait for none of the node's, and those that wait for each other.
    private func checkDependencies(_ programs: [ProgramPlan], _ places: [String: Located<String>]) {
        for program in programs {
            guard let place = places[program.name] else { continue }
            for name in program.depends where places[name] == nil {
                let known = programs.map(\.name).filter { $0 != program.name }
                diagnostics.error(
                    place.origin,
                    "program \(quoted(program.name)) depends on \(quoted(name)), which is no program of the node",
                    hint: Spelling.nearest(to: name, among: known).map { "did you mean \(quoted($0))?" }
                        ?? (known.isEmpty ? "remove it" : "the others are \(known.joined(separator: ", "))"))
            }
        }
        // What is left when every program has gone that waits for none of the rest waits in a circle, or for one.
        var left = programs
        while true {
            let waiting = Set(left.map(\.name))
            let free = left.filter { program in !program.depends.contains(where: waiting.contains) }
            guard !free.isEmpty else { break }
            left.removeAll { program in free.contains { $0.name == program.name } }
        }
        guard let first = left.first, let place = places[first.name] else { return }
        diagnostics.error(
            place.origin, "the programs wait for each other: \(left.map(\.name).joined(separator: ", "))",
            hint: "remove one of the `depends`")
    }

    /// The health checks that the programs of an application have.
    func programHealth(_ fields: Fields) -> [RawHealthCheck] {
        writtenHealth(fields).flatMap { program, checks in
            nodes.list(checks).compactMap { node in
                guard var check = health(node, of: "program \(quoted(program))") else { return nil }
                check.program = program
                if case .question(.log(let pattern, _)) = check.probe {
                    check.probe = .question(.log(pattern, program: program))
                }
                return check
            }
        }
    }

    /// True if a program of the application has health checks.
    func hasProgramHealth(_ fields: Fields) -> Bool { !writtenHealth(fields).isEmpty }

    /// The programs with health checks, and these as they are written.
    private func writtenHealth(_ fields: Fields) -> [(program: String, checks: Node)] {
        guard let programs = fields["programs"], programs.mapping != nil else { return [] }
        return nodes.entries(programs, "`programs` of \(fields.subject)").pairs.compactMap { name, value in
            guard value.mapping != nil else { return nil }
            return nodes.entries(value, "program \(quoted(name.value))")["health"].map { (name.value, $0) }
        }
    }

    /// Variables for commands.
    func environment(_ node: Node?, into environment: inout [String: String]) {
        for (key, value) in nodes.textMap(node, "`environment`") {
            let octets = Array(key.value.utf8)
            let isLegal =
                octets.first.map { !(0x30...0x39).contains($0) } ?? false
                && octets.allSatisfy {
                    $0 == 0x5F || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0 & 0xDF) && $0 > 0x40
                }
            if !isLegal || key.value.hasPrefix("TAPLINE_") {
                diagnostics.error(
                    key.origin,
                    isLegal
                        ? "\(quoted(key.value)) is one of Tapline's own variables"
                        : "\(quoted(key.value)) cannot be the name of a variable",
                    hint: isLegal ? "choose a name without TAPLINE_" : "use letters, digits and _")
            }
            environment[key.value] = value.value
        }
    }
}
