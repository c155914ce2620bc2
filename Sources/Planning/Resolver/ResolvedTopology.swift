import Forwarding
import Plan
import TopologyFiles

/// The fifth stage: all content of a file, with every name found.
///
/// If no mistake was reported on the way, it guarantees that no two entries collide and that every check can be run. It
/// has no routes and no proof: the next stages make them, and only of a file without mistakes so far.
struct ResolvedTopology: Sendable {
    let planned: PlannedEntries
    /// For each node: the nodes that it waits for.
    let dependencies: [[Int]]
    /// For each node that entries by hand name: the packets that they make it send.
    let handTraffic: [Int: HandTraffic]
    /// The copies of packets as they arrive.
    let mirrors: [Mirror]
    /// For each application: its health checks.
    let healthChecks: [[HealthCheckPlan]]
    let checks: [CheckPlan]
    /// For each node: its process, with values in the places of expressions.
    let processes: [ProcessPlan]
    /// For each node: its files.
    let files: [[FilePlan]]

    init(_ planned: PlannedEntries, dependencies: [[Int]], _ diagnostics: Diagnostics) {
        self.planned = planned
        self.dependencies = dependencies
        handTraffic = HandTrafficReader(planned: planned, diagnostics: diagnostics).read()
        mirrors = MirrorFinder(planned: planned, diagnostics: diagnostics).find()
        let judge = EntryJudge(planned: planned, diagnostics: diagnostics)
        judge.findPortCollisions()
        judge.findTies()
        judge.findShadows()
        let expressions = ExpressionResolver(addressed: planned.served.addressed, diagnostics: diagnostics)
        processes = expressions.processes()
        files = expressions.files()
        healthChecks = HealthResolver(served: planned.served, diagnostics: diagnostics).checks()
        checks = CheckResolver(planned: planned, healthChecks: healthChecks, diagnostics: diagnostics).checks()
    }
}

extension ResolvedTopology: EntryStage {}

/// The sixth stage: every node with its devices, addresses, routes and process.
///
/// It guarantees that each node can send the packets that the entries ask of it: no service address lies on both of its
/// sides.
struct RoutedTopology: Sendable {
    let resolved: ResolvedTopology
    let nodes: [NodePlan]

    /// - Throws: `TopologyError` with every mistake up to here, and the lines that collide.
    init(_ resolved: ResolvedTopology, _ diagnostics: Diagnostics) throws(TopologyError) {
        self.resolved = resolved
        nodes = NodePlanner(resolved: resolved, diagnostics: diagnostics).nodePlans()
        try diagnostics.throwIfAny()
    }
}

/// The last stage: the table, proved.
///
/// It guarantees the results of a proof: no loop, no entry that can never match, a way back for every request.
struct ProvedTopology: Sendable {
    let routed: RoutedTopology
    let table: ForwardingTable
    /// The paths that were proved, in the order of the entries.
    let paths: [ProvedPath]

    /// - Throws: `TopologyError` with the findings of the proof, with an example packet each.
    init(_ routed: RoutedTopology, _ diagnostics: Diagnostics) throws(TopologyError) {
        self.routed = routed
        table = routed.resolved.table()
        paths = ProofTeller(
            planned: routed.resolved.planned, nodes: routed.nodes, diagnostics: diagnostics
        ).prove(table)
        try diagnostics.throwIfAny()
    }

    /// Remarks on parts of the file that work but are hardly intended.
    func remark(_ diagnostics: Diagnostics) {
        let resolved = routed.resolved
        Remarker(planned: resolved.planned, dependencies: resolved.dependencies, diagnostics: diagnostics).remark()
    }
}
