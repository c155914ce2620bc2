import Plan
import Reporting
import TopologyFiles

// The legs of a node by their names, and those that a service means if it names none.

/// A node in a service, and the legs by which the service's packets pass it.
struct Stop: Hashable, Sendable {
    /// The node, or the first instance of an application.
    var node: Int
    /// The leg that requests enter by, and answers leave by.
    var enter: Int
    /// The leg that requests leave by, and answers enter by.
    var leave: Int
}

extension NameStage {
    /// The leg that requests enter a node by if the service does not say it; nil: it has to.
    func entryLeg(_ node: Int) -> Int? {
        let legs = named.nodes.legs[node]
        return legs.count < 3 || legs[0].role == "in" ? 0 : nil
    }

    /// The leg that a node passes requests on by if the service does not say it; nil: it has to. Further legs beside
    /// `in` are no way through.
    func exitLeg(_ node: Int) -> Int? {
        let legs = named.nodes.legs[node]
        if legs.last?.role == "out" || legs.count < 2 { return max(0, legs.count - 1) }
        if legs[0].role == "in" { return 0 }
        return legs.count == 2 ? 1 : nil
    }

    /// The leg that a node sends its requests as a customer by if the service does not say it; nil: it has to.
    func openingLeg(_ node: Int) -> Int? {
        let legs = named.nodes.legs[node]
        return legs.last?.role == "out" || legs.count < 3 ? max(0, legs.count - 1) : nil
    }

    /// The leg on the other side of a transparent application; of every other node the leg itself.
    func across(_ node: Int, _ leg: Int) -> Int {
        file.nodes[node].transparent && named.nodes.legs[node].count == 2 ? 1 - leg : leg
    }
}

extension NameStage where Self: Diagnosing {
    /// The leg of a node with a name; reports an unknown one.
    func leg(_ name: Located<String>, of node: Int) -> Int? {
        let legs = named.nodes.legs[node]
        if let found = legs.firstIndex(where: { $0.role == name.value }) { return found }
        if name.value == "in", legs.count == 1, legs[0].role == "port" { return 0 }
        // Another place reports legs whose interface is not known.
        guard !file.nodes[node].legs.contains(where: { $0.name == name.value }) else { return nil }
        let known = file.nodes[node].legs.compactMap(\.name)
        diagnostics.error(
            name.origin, "\(quoted(shownName(node))) has no leg \(quoted(name.value))",
            hint: known.isEmpty
                ? "it has one leg: write its name alone"
                : Spelling.hint(for: name.value, among: known, kind: "legs"))
        return nil
    }

    /// A node of a chain with its legs: those that the service names, else the usual ones. Reports legs that it must
    /// name, and legs that the node does not have.
    ///
    /// - Parameter isEnd: True for the end of a chain, and for a receiver of copies: it has no leg to leave by.
    func stop(_ node: Int, _ raw: RawStop, isEnd: Bool) -> Stop? {
        let legs = named.nodes.legs[node]
        guard !legs.isEmpty else { return nil }
        var enter = entryLeg(node)
        if let name = raw.enter {
            guard let found = leg(name, of: node) else { return nil }
            enter = found
        }
        var leave = exitLeg(node)
        if let name = raw.leave {
            guard let found = leg(name, of: node) else { return nil }
            leave = found
        } else if let enter, raw.enter != nil, legs.count == 2, enter != 0 {
            // A service that enters by the far side runs the other way.
            leave = 0
        }
        if isEnd {
            if let name = raw.leave, file.nodes[node].kind != .router, leave != enter {
                diagnostics.error(
                    name.origin, "the sequence ends at \(quoted(shownName(node))), so its packets leave it by no leg",
                    hint: "remove `out`")
                return nil
            }
            guard let enter else { return missing(node, raw, "enter", "in") }
            if file.nodes[node].kind == .router { return Stop(node: node, enter: enter, leave: leave ?? enter) }
            return Stop(node: node, enter: enter, leave: enter)
        }
        guard let enter else { return missing(node, raw, "enter", "in") }
        guard let leave else { return missing(node, raw, "leave", "out") }
        return Stop(node: node, enter: enter, leave: leave)
    }

    private func missing(_ node: Int, _ raw: RawStop, _ verb: String, _ key: String) -> Stop? {
        let names = file.nodes[node].legs.compactMap(\.name)
        let name = shownName(node)
        let shown = "{ \(name): { in: \(names.first ?? "…"), out: \(names.dropFirst().first ?? "…") } }"
        diagnostics.error(
            raw.origin,
            "\(quoted(name)) has \(names.count) legs (\(names.joined(separator: ", "))), and the service does not say by "
                + "which requests \(verb) it",
            hint: "write \(raw.enter == nil ? shown : "`\(key)`, too: \(shown)")")
        return nil
    }
}
