import LinuxNetwork

/// Names of namespaces that are not this topology's to take.
extension ControlProcess {
    /// Those of `names` that another topology has, or is about to give a namespace.
    func othersNames(among names: [String]) throws(ApplianceError) -> Set<String> {
        var taken: Set<String> = []
        for name in StateDirectory.allNames() {
            let other = try StateDirectory(name: name)
            if other.folder != directory.folder { taken.formUnion(other.readState()?.namespaces ?? []) }
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
    func refuseForeignNames(_ wanted: [String]) throws(ApplianceError) {
        let there = Set(namesInFolder("/run/netns"))
        guard let taken = wanted.first(where: there.contains) else { return }
        throw ApplianceError(
            .name, "a network namespace called \(taken) exists, and Tapline did not make it",
            mend: "choose another name with --name, or delete it with 'ip netns delete \(taken)'")
    }
}
