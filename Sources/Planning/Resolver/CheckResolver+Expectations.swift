import Plan
import Reporting
import TopologyFiles

extension CheckResolver {
    /// The action of a step, with values in the places of the expressions in what it expects. They are about the node that
    /// the step looks at.
    ///
    /// - Parameter started: The nodes of the commands that earlier steps have started, by the names of these.
    func expecting(_ step: RawStep, _ started: [String: Int]) -> RawStep.Action {
        guard !step.expressionPlaces.isEmpty else { return step.action }
        let expressions = ExpressionResolver(addressed: addressed, diagnostics: diagnostics)
        func resolved(_ expectation: TextExpectation, _ node: Int?) -> TextExpectation {
            // A node that is not found is reported elsewhere.
            guard let node else { return expectation }
            return expectation.mapping(
                texts: { text in
                    step.expressionPlaces[text].map { expressions.text(text, of: node, at: $0) } ?? text
                },
                patterns: { text in
                    step.expressionPlaces[text].map { expressions.pattern(text, of: node, at: $0) } ?? text
                })
        }
        switch step.action {
        case .command(let command, var expectation):
            expectation.output = resolved(expectation.output, nodeIndex[command.node.value])
            return .command(command, expectation)
        case .finish(let name, var expectation):
            expectation.output = resolved(expectation.output, started[name.value])
            return .finish(name: name, expectation)
        case .log(let node, let file, let output, let since):
            return .log(node: node, file: file, resolved(output, nodeIndex[node.value]), since)
        default: return step.action
        }
    }
}
