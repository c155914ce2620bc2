import EventLoop
import LinuxNetwork
import Plan
import Reporting

/// Names of namespaces that are not this topology's to take.
extension StateDirectory {
    /// Those of `names` that another topology has, or is about to give a namespace.
    ///
    /// - Throws: Where a folder has a name that no topology can have.
    package func othersNames(among names: [String]) throws(ApplianceError) -> Set<String> {
        var taken: Set<String> = []
        for name in StateDirectory.allNames() {
            let other = try StateDirectory(name: name)
            if other.folder != folder { taken.formUnion(other.readState()?.namespaces ?? []) }
        }
        for name in Set(namesInFolder("/run/netns")).intersection(names) {
            // A namespace that cannot be examined counts as foreign.
            guard let mark = (try? NetworkNamespace.mark(of: name)) ?? nil, ApplianceState.reading(mark: mark) != nil
            else { continue }
            taken.insert(name)
        }
        return taken.intersection(names)
    }

    /// None of the names may be there already.
    ///
    /// - Throws: Which one is.
    package static func refuseForeignNames(_ wanted: [String]) throws(ApplianceError) {
        let there = Set(namesInFolder("/run/netns"))
        guard let taken = wanted.first(where: there.contains) else { return }
        throw ApplianceError(
            .name, "a network namespace called \(taken) exists, and Tapline did not make it",
            hint: "choose another name with --name, or delete it with 'ip netns delete \(taken)'")
    }
}

extension AppliancePlan {
    /// Gives namespaces other names where these are taken.
    package mutating func avoid(_ taken: Set<String>) {
        for index in nodes.indices where taken.contains(nodes[index].namespace) {
            nodes[index].namespace = DerivedNames.alternate(nodes[index].namespace, topology: name)
        }
        if taken.contains(fabricNamespace) {
            fabricNamespace = DerivedNames.alternate(fabricNamespace, topology: name)
        }
    }
}
