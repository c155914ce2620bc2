import Forwarding
import Plan
import Reporting
import Yams

/// A link that a step of a check names.
package struct RawImpairedPlace: Sendable {
    package var interface: Located<String>?
    package var node: Located<String>?
    package var service: Located<String>?
    package var origin: SourceOrigin
}

/// What happens to the packets of links.
extension FileReader {
    /// The impairment of a link in both directions; nil if there is none, or a mistake was reported.
    func impairment(_ node: Node?, _ what: String) -> ImpairmentPair? {
        guard let node else { return nil }
        return pair(nodes.fields(node, what, Grammar.impairment))
    }

    /// A step of a check.
    func impairmentStep(_ node: Node?) -> RawStep.Action? {
        guard let node else { return nil }
        let fields = nodes.fields(node, "`impair`", Grammar.impairmentStep)
        guard fields.isMapping else { return nil }
        let place = RawImpairedPlace(
            interface: nodes.text(fields["interface"], "`interface`"), node: nodes.text(fields["node"], "`node`"),
            service: nodes.text(fields["service"], "`service`"), origin: fields.origin)
        let isService = fields["service"] != nil
        guard fields["interface"] != nil || fields["node"] != nil || isService else {
            diagnostics.error(
                fields.origin, "`impair` names no link",
                hint: "add `interface: …`, `node: …` (with `interface` if it has several devices) or `service: …`")
            return nil
        }
        for key in ["interface", "node"] where isService && fields[key] != nil {
            diagnostics.error(
                fields.origin(of: key), "`\(key)` has no meaning beside `service`",
                hint: "a service is impaired between its customers and the engine; remove one of the two")
        }
        return pair(fields).map { .impair(place, $0) }
    }

    /// Reports more impaired links than an engine has room for.
    func checkLinks(of file: TopologyFile) {
        let interfaces = file.interfaces.filter { $0.impairment != nil }.map(\.name)
        let legs = file.nodes.flatMap { node in
            node.legs.filter { $0.impairment != nil }.map { _ in node.name }
        }
        let names = interfaces + legs + file.services.filter { $0.impairment != nil }.map(\.name)
        guard names.count > ImpairmentPlan.most else { return }
        diagnostics.error(
            names[ImpairmentPlan.most].origin,
            "this is impaired link \(names.count), and an engine has room for \(ImpairmentPlan.most)",
            hint: "impair interfaces in place of their nodes")
    }

    private func pair(_ fields: Fields) -> ImpairmentPair? {
        guard fields.isMapping else { return nil }
        let before = diagnostics.count
        let both = settings(fields, over: Impairment())
        var pair = ImpairmentPair()
        for direction in ImpairedPlace.Direction.allCases {
            var impairment = both
            var own: Fields?
            if let node = fields[direction.text] {
                let inner = nodes.fields(node, "`\(direction.text)`", Grammar.directedImpairment)
                guard inner.isMapping else { return nil }
                impairment = settings(inner, over: both)
                own = inner
            }
            let hasQueue = fields["queue"] != nil || own?["queue"] != nil
            if diagnostics.count == before, let wrong = impairment.contradiction(hasQueue: hasQueue) {
                let place = own?[wrong.key] != nil ? own : fields
                diagnostics.error(
                    (place ?? fields).origin(of: wrong.key), "\(fields.subject): \(wrong.what)", hint: wrong.hint)
                return nil
            }
            pair[direction] = impairment.isNothing ? nil : impairment
        }
        return diagnostics.count == before ? pair : nil
    }

    /// The settings of a mapping, each in place of that of `base`.
    private func settings(_ fields: Fields, over base: Impairment) -> Impairment {
        var impairment = base
        if let node = fields["trace"] {
            impairment.trace = trace(node)
            // It takes the place of those that stand beside both directions.
            if fields["delay"] == nil { impairment.delay = .zero }
            if fields["jitter"] == nil { impairment.jitter = .zero }
        }
        for key in ImpairmentText.keys {
            guard let node = fields[key] else { continue }
            if key == "loss", node.mapping != nil {
                bursts(node).map { impairment.loss = .bursts($0) }
                continue
            }
            guard let text = nodes.text(node, "`\(key)`") else { continue }
            do throws(ImpairmentText.Fault) {
                try ImpairmentText.set(key, text.value, in: &impairment)
            } catch {
                diagnostics.error(text.origin, "`\(key)` \(error.what)", hint: error.hint)
            }
        }
        return impairment
    }

    private func trace(_ node: Node) -> [Duration] {
        guard let name = nodes.text(node, "`trace`") else { return [] }
        do throws(ImpairmentText.Fault) {
            return try DelayFile.delays(at: FileComposer.path(name.value, of: node.includedFile ?? diagnostics.path))
        } catch {
            diagnostics.error(name.origin, "the trace \(quoted(name.value)): \(error.what)", hint: error.hint)
            return []
        }
    }

    private func bursts(_ node: Node) -> Impairment.LossBursts? {
        let fields = nodes.fields(node, "`loss`", Grammar.lossBursts)
        var values: [String: String] = [:]
        for key in ImpairmentText.burstKeys {
            guard let text = nodes.text(fields[key], "`\(key)`") else { continue }
            values[key] = text.value
            var probe = Impairment()
            do throws(ImpairmentText.Fault) {
                try ImpairmentText.set("corrupt", text.value, in: &probe)
            } catch {
                diagnostics.error(text.origin, "`\(key)` \(error.what)", hint: error.hint)
                return nil
            }
        }
        do throws(ImpairmentText.Fault) {
            return try ImpairmentText.bursts(values)
        } catch {
            diagnostics.error(fields.origin, "`loss` \(error.what)", hint: error.hint)
            return nil
        }
    }
}
