import TopologyFiles

/// Runs the stages from a topology file to a proved topology: names, addresses, services, entries, findings.
///
/// A stage is an immutable value, made from the stage before it. So no step can run before its input exists. Mistakes
/// of the file go to the `Diagnostics` that are passed in; a stage keeps none of them.
enum TopologyResolver {
    /// Finds every name, chooses addresses, resolves the services and makes the entries; reports mistakes.
    ///
    /// A file with mistakes is resolved as far as possible, so that one pass reports all of them.
    @discardableResult
    static func resolve(
        _ file: TopologyFile, name: String? = nil, keeping kept: KeptParts? = nil, _ diagnostics: Diagnostics
    ) -> ResolvedTopology {
        var file = file
        if let kept { file.giveAddresses(keeping: kept.given, diagnostics) }
        let named = NamedTopology(file, name: name, keeping: kept, diagnostics)
        let addressed = AddressedTopology(named, diagnostics)
        let waiting = DependencyResolver(named: named, diagnostics: diagnostics)
        let dependencies = waiting.dependencies()
        waiting.checkSysctls()
        TenantResolver(named: named, diagnostics: diagnostics).check()
        let served = ServedTopology(addressed, diagnostics)
        let planned = PlannedEntries(served, diagnostics)
        return ResolvedTopology(planned, dependencies: dependencies, diagnostics)
    }

    /// Resolves, routes and proves a file.
    ///
    /// - Throws: `TopologyError` with every mistake of the file. Routes are made if every name is found, and the table
    ///   is proved if every node has its routes.
    static func prove(
        _ file: TopologyFile, name: String?, keeping kept: KeptParts?, _ diagnostics: Diagnostics
    ) throws(TopologyError) -> ProvedTopology {
        let resolved = resolve(file, name: name, keeping: kept, diagnostics)
        try diagnostics.throwIfAny()
        return try ProvedTopology(RoutedTopology(resolved, diagnostics), diagnostics)
    }
}
