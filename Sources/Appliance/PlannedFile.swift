import Forwarding
import Plan
import TopologyFiles

/// A topology file as it was read, and its plan.
///
/// The control process keeps both: instances that are added while the topology is up are planned from the file.
public struct PlannedFile: Sendable {
    /// The file.
    public let source: TopologyFile
    /// Its plan.
    public var plan: AppliancePlan
    /// How its table differs from that of the plan in force, if that is known.
    var patch: TablePatch?
    /// Why it takes the place of the plan in force, for events.
    var cause = "the file was applied"
}
