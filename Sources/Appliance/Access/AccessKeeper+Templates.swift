import Forwarding
import Nodes
import Plan
import Reporting
import TopologyFiles

/// Applications whose programs read the lists from a file of their own.
extension AccessKeeper {
    /// Asks a program whether it would take the lists, where the file says how.
    ///
    /// - Throws: `ApplianceError` with what the command says if it would not.
    func ask(_ template: AccessTemplate, _ node: NodeRuntime, _ lists: [AccessList]) throws(ApplianceError) {
        guard let check = template.check, let text = try? AccessTemplateText(template.template) else { return }
        _ = try node.enter()
        try node.runCheck(check, of: Array(text.filled(lists).utf8), for: template.path, cancellation)
    }

    /// Writes the file of a program, and has the program read it. If the program does not, it gets the former lists again.
    ///
    /// - Throws: `ApplianceError` with what the reload command says.
    func fill(
        _ template: AccessTemplate, _ node: NodeRuntime, _ lists: [AccessList], after former: [AccessList]
    ) throws(ApplianceError) {
        func write(_ lists: [AccessList]) throws(ApplianceError) {
            // It was read with the file.
            guard let text = try? AccessTemplateText(template.template) else { return }
            try node.write(Array(text.filled(lists).utf8), to: template.path)
            try node.runReload(template.reload, cancellation)
        }
        // A node in which nothing runs has no folder before.
        _ = try node.enter()
        do throws(ApplianceError) { try write(lists) } catch {
            // The program goes on with what it had.
            try? write(former)
            throw error
        }
    }

    /// Has programs read their lists again whose files something in their nodes has overwritten.
    ///
    /// - Returns: Those that do not.
    func restoreFiles(_ nodes: [NodeRuntime]) -> [AccessRefusal] {
        nodes.compactMap { node in
            guard let held = heldAccess(of: node), case .template(let template)? = held.byApplication,
                let text = try? AccessTemplateText(template.template),
                node.contents(of: template.path) != Array(text.filled(held.lists).utf8)
            else { return nil }
            do throws(ApplianceError) {
                try load(node)
                tell(node, "something in the node changed the file \(template.path)")
                return nil
            } catch {
                return AccessRefusal(application: held.application, node: node.plan.name, error: error)
            }
        }
    }
}
