import ControlAPI
import EngineControl
import Plan
import Reporting

/// What no instruction may do: interrupt something that runs.
extension RecordInstructions {
    /// What may change of a node that runs on (`NodeChange`). What it passes on, and how, is the file's to say.
    private static let harmless = ["its service addresses", "its routes", "its delivered addresses"]

    /// What a change would do to something that runs.
    private struct Harm {
        var sentence: String
        /// The node or the application; nil: it is none.
        var name: String?
    }

    /// An instruction changes the table, and the addresses and routes of nodes that run on. It interrupts no program.
    ///
    /// - Parameter current: The plan that runs.
    func refusal(
        of difference: PlanDifference, _ wanted: RecordChange, _ current: AppliancePlan
    ) -> InstructionRefusal? {
        let harms =
            difference.refusals.map { Harm(sentence: $0.what) } + difference.actions.compactMap { Self.harm(of: $0) }
        guard !harms.isEmpty else { return nil }
        return InstructionRefusal(
            stage: .conflict,
            problems: harms.map { harm in
                let place = Self.place(of: harm.name, in: wanted, current)
                return InstructionProblem(
                    record: place?.record, pointer: place?.pointer, message: harm.sentence,
                    hint: "use applications that a service of the file uses in the same way")
            })
    }

    private static func harm(of action: PlanDifference.Action) -> Harm? {
        switch action {
        case .publish, .access, .tenants, .checks: nil
        case .alter(let node, let what):
            what.allSatisfy(harmless.contains)
                ? nil : Harm(sentence: "node \(quoted(node)) would change: \(what.joined(separator: ", "))", name: node)
        case .bridge, .reshape, .addInterface, .removeInterface: Harm(sentence: "an interface would change")
        case .engines: Harm(sentence: "the engines differ")
        case .add(let node): Harm(sentence: "node \(quoted(node)) would be added", name: node)
        case .rebuild(let node, let because), .restart(let node, let because), .reload(let node, let because):
            Harm(
                sentence: "node \(quoted(node)) would be interrupted: \(because.joined(separator: ", "))", name: node)
        case .remove(let node): Harm(sentence: "node \(quoted(node)) would be removed", name: node)
        case .application(let name, _): Harm(sentence: "the health checks of \(quoted(name)) would change", name: name)
        case .impair(let place, _): Harm(sentence: "link \(quoted(place.text)) would change")
        }
    }

    /// The record of an instruction that something is about, and the place in it: where it names the application.
    ///
    /// - Parameter name: A node or an application.
    /// - Returns: nil: it cannot be said which of several records it is.
    private static func place(
        of name: String?, in wanted: RecordChange, _ plan: AppliancePlan
    ) -> (record: String, pointer: String?)? {
        let application = plan.applications.first { $0.instances.contains { $0.node == name } }?.name ?? name
        for service in wanted.put {
            for (list, names) in [("distribute", service.distribute), ("sequence", service.sequence)] {
                guard let index = names.firstIndex(where: { $0 == application }) else { continue }
                return (service.id, "/\(list)/\(index)")
            }
        }
        return wanted.ids.count == 1 ? (wanted.ids[0], nil) : nil
    }
}
