import Forwarding
import Plan
import Reporting
import TopologyFiles

extension CheckResolver {
    /// The name of the first packeting engine in faults; a further one has its number behind it.
    private static let engineName = "engine"

    // MARK: - Instances

    /// The name of an instance of an application whose health Tapline looks after.
    func instance(_ name: Located<String>) -> String? {
        guard let node = single(name) else { return nil }
        guard application(of: node) == nil else { return file.nodes[node].name.value }
        let names = applications.flatMap(\.members).prefix(6).map { quoted(file.nodes[$0].name.value) }
        diagnostics.error(
            name.origin, "\(quoted(name.value)) is not an instance whose health is watched",
            hint: names.isEmpty
                ? "give an application `instances` or `health`" : "name one of them: \(names.joined(separator: ", "))")
        return nil
    }

    func event(_ raw: RawEvent) -> EventExpectation? {
        var instance: String?
        if let name = raw.instance {
            instance = self.instance(name)
            guard instance != nil else { return nil }
        }
        // An application that ends is started again, with or without health checks.
        let isRestart = raw.kind == .applicationRestarted
        let known =
            isRestart ? file.nodes.indices.map { shownName($0) }.uniqued() : applications.map(\.raw.name.value)
        if let name = raw.application, !known.contains(name.value) {
            diagnostics.error(
                name.origin,
                "there is no application \(quoted(name.value))" + (isRestart ? "" : " whose health is watched"),
                hint: Spelling.hint(for: name.value, among: known, kind: "such applications"))
            return nil
        }
        if let name = raw.check {
            let names = Array(Set(healthChecks.joined().map(\.name))).sorted()
            guard names.contains(name.value) else {
                diagnostics.error(
                    name.origin, "there is no health check \(quoted(name.value))",
                    hint: Spelling.hint(for: name.value, among: names, kind: "health checks"))
                return nil
            }
        }
        return EventExpectation(
            raw.kind, application: raw.application?.value, instance: instance, check: raw.check?.value,
            engine: raw.engine, reason: raw.reason, times: raw.times)
    }

    // MARK: - Faults

    func fault(_ kind: FaultPlan.Kind, _ place: RawPlace, _ duration: Int?) -> FaultPlan? {
        let name = place.node
        if nodeIndex[name.value] == nil, let number = engineNumber(name.value) {
            return engineFault(kind, name, number, duration)
        }
        switch kind {
        case .linkDown, .linkUp:
            return self.place(place).map { FaultPlan(kind: kind, target: .node($0.node), interface: $0.interface) }
        case .drain, .undrain, .disable, .enable:
            return instance(name).map { FaultPlan(kind: kind, target: .node($0), duration: duration) }
        case .replace:
            diagnostics.error(
                name.origin, "only engines are replaced, and \(quoted(name.value)) is none",
                hint: "write { restart: \(name.value) }, or { replace: engine }")
            return nil
        case .kill, .stop, .continue, .restart:
            guard let index = single(name) else { return nil }
            guard file.nodes[index].process.hasPrograms else {
                let interfaces = legs[index].map { file.interfaces[$0.interface].name.value }
                diagnostics.error(
                    name.origin, "no program runs in \(quoted(name.value)): the kernel does its job",
                    hint: "take its device down: { link-down: \(name.value), interface: \(interfaces.first ?? "…") }")
                return nil
            }
            return FaultPlan(kind: kind, target: .node(file.nodes[index].name.value))
        }
    }

    private func engineFault(
        _ kind: FaultPlan.Kind, _ name: Located<String>, _ number: Int, _ duration: Int?
    ) -> FaultPlan? {
        func refuse(_ message: String, _ hint: String) -> FaultPlan? {
            diagnostics.error(name.origin, message, hint: hint)
            return nil
        }
        guard (1...file.engines.count).contains(number) else {
            return refuse(
                "there is no engine \(number)",
                file.engines.count == 1
                    ? "there is only one: write `engine`" : "there are \(file.engines.count), numbered from 1")
        }
        switch kind {
        case .linkDown, .linkUp:
            return refuse("the engine has no own device", "name the node of the device")
        case .disable, .enable:
            return refuse("an engine is drained, not disabled", "write `drain` and `undrain`")
        case .drain where file.engines.count == 1:
            return refuse("the only engine cannot be drained", "write `engines: 2` at the top of the file")
        case .drain where duration != nil:
            return refuse("an engine drains at once", "omit `for`")
        default: return FaultPlan(kind: kind, target: .engine(number))
        }
    }

    /// The number that `engine` and `engine 2` stand for; nil if the text is neither.
    private func engineNumber(_ text: String) -> Int? {
        guard text.hasPrefix(Self.engineName) else { return nil }
        let rest = text.dropFirst(Self.engineName.count)
        if rest.isEmpty { return 1 }
        guard rest.first == " " else { return nil }
        return Int(rest.dropFirst())
    }
}
