import Plan
import Reporting
import Wire

extension TopologyFile {
    /// The name of the next instance of an application: its own, and the lowest number that no node has with it.
    ///
    /// - Parameter names: Names that are taken, beside the file's names.
    public func nextInstance(of application: String, besides names: some Sequence<String>) -> String {
        let taken = Set(nodes.map(\.name.value)).union(names)
        var number = 1
        while taken.contains("\(application)-\(number)") { number += 1 }
        return "\(application)-\(number)"
    }

    /// The file with instances added and removed. Names that stand for nothing are noted.
    package func changed(by changes: InstanceChanges, _ diagnostics: Diagnostics) -> TopologyFile {
        var file = self
        func note(_ message: String, _ hint: String) { diagnostics.error(name.origin, message, hint: hint) }
        for name in changes.removed.sorted() {
            guard let node = file.nodes.firstIndex(where: { $0.name.value == name }),
                let owner = file.nodes[node].application,
                let application = file.applications.firstIndex(where: { $0.name.value == owner })
            else {
                note(
                    "there is no instance \(quoted(name))",
                    Spelling.hint(
                        for: name, among: nodes.filter { $0.application != nil }.map(\.name.value), kind: "instances"))
                continue
            }
            file.nodes.remove(at: node)
            file.applications[application].instances.removeAll { $0.name == name }
        }
        for (owner, names) in changes.added.sorted(by: { $0.key < $1.key }) {
            guard let application = file.applications.firstIndex(where: { $0.name.value == owner }) else {
                note(
                    "there is no application \(quoted(owner)) with instances",
                    Spelling.hint(
                        for: owner, among: applications.map(\.name.value), kind: "applications with instances"))
                continue
            }
            for name in names {
                if let (fault, hint) = NameForm.fault(of: name, isNode: true) {
                    note("\(quoted(name, seen: true)) cannot be the name of an instance: \(fault)", hint)
                    continue
                }
                guard !file.nodes.contains(where: { $0.name.value == name }) else {
                    note("there is a node \(quoted(name)) already", "choose another name")
                    continue
                }
                var node = file.applications[application].template
                node.name = Located(name, node.name.origin)
                for leg in node.legs.indices { node.legs[leg].addresses = nil }
                file.nodes.append(node)
                file.applications[application].instances.append(RawInstance(name: name))
            }
        }
        for application in file.applications where application.instances.isEmpty {
            diagnostics.error(
                application.name.origin, "no instance of \(quoted(application.name.value)) would be left",
                hint: "add one before the last one is removed")
        }
        return file
    }
}
