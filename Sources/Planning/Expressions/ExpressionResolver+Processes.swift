import Plan
import Reporting
import TopologyFiles
import Wire

extension ExpressionResolver {
    /// For each node: its process, with values in the places of expressions.
    func processes() -> [ProcessPlan] {
        file.nodes.indices.map { node in
            let raw = file.nodes[node]
            // Only texts with expressions have places.
            guard !raw.expressionPlaces.isEmpty else { return raw.process }
            var process = raw.process.mappingTexts { text in
                raw.expressionPlaces[text].map { self.text(text, of: node, at: $0) } ?? text
            }
            for (program, part) in raw.unreadReadiness.sorted(by: { $0.key < $1.key }) {
                if program.isEmpty {
                    process.ready =
                        part.readiness(of: quoted(raw.name.value), diagnostics) { text($0, of: node) } ?? .started
                } else if let index = process.programs.firstIndex(where: { $0.name == program }) {
                    process.programs[index].ready =
                        part.readiness(of: "program \(quoted(program))", diagnostics) { text($0, of: node) } ?? .started
                }
            }
            return process
        }
    }

    /// A variable of the node's commands, by the next name.
    func variable(_ names: inout ExpressionPath, _ node: Int, _ way: [String]) throws(ExpressionFault) -> String {
        let written = file.nodes[node].process.environment
        let own = variables(of: node)
        let known = Array(Set(written.keys).union(own.keys)).sorted()
        let name = try names.name("variable", among: known)
        guard !way.contains(name) else {
            var fault = ExpressionFault(
                "the variable \(name) stands for itself: \((way + [name]).joined(separator: ", "))",
                "write the value in one of them")
            fault.isCycle = true
            throw fault
        }
        if let text = written[name] {
            var fault: ExpressionFault?
            let value = resolved(text, node, way + [name]) { fault = fault ?? $1 }
            // Any other fault of the variable's own text is reported there.
            if let fault { throw fault.isCycle ? fault : .consequence }
            return value
        }
        if let value = own[name] { return value }
        throw ExpressionFault(
            "\(quoted(file.nodes[node].name.value)) has no variable \(quoted(name))",
            Spelling.nearest(to: name, among: known).map { "did you mean \(quoted($0))?" }
                ?? "add `environment: { \(name): … }`")
    }

    /// Tapline's own variables of a node.
    private func variables(of node: Int) -> [String: String] {
        legVariables(of: node).merging([
            "TAPLINE_TOPOLOGY": name, "TAPLINE_NODE": file.nodes[node].name.value, "TAPLINE_DIR": folder(of: node),
            "TAPLINE_SHARE": DerivedNames.share(topology: name),
        ]) { $1 }
    }
}

extension AddressStage {
    /// The variables that tell a node's commands of its legs.
    func legVariables(of node: Int) -> [String: String] {
        var variables: [String: String] = [:]
        let (entry, exit) = (entryLeg(node), exitLeg(node))
        for (place, leg) in legs[node].enumerated() {
            if place == entry { describe(leg, "IN", &variables) }
            if place == exit, exit != entry { describe(leg, "OUT", &variables) }
            for address in leg.addresses.map(\.address).reversed() where place == 0 {
                variables["TAPLINE_ADDRESS\(address.family == .ipv4 ? "" : "6")"] = address.description
            }
            guard !["in", "out", "port"].contains(leg.role) else { continue }
            describe(leg, LegPlan.variable(ofLeg: leg.role), &variables)
        }
        return variables
    }

    /// The variables of a leg: its device, MTU, addresses and gateways.
    private func describe(_ leg: ResolvedLeg, _ side: String, _ variables: inout [String: String]) {
        variables["TAPLINE_\(side)"] = leg.device
        variables["TAPLINE_\(side)_MTU"] = String(file.interfaces[leg.interface].mtu.value)
        for family in AddressFamily.allCases {
            let suffix = family == .ipv4 ? "" : "6"
            if let address = leg.address(family) {
                variables["TAPLINE_\(side)_ADDRESS\(suffix)"] = address.description
            }
            if !leg.addresses.isEmpty, let gateway = gateway(family, on: leg.interface) {
                variables["TAPLINE_\(side)_GATEWAY\(suffix)"] = gateway.description
            }
        }
    }
}
