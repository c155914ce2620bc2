/// What may happen in a topology while it is up; the raw value is what listings and checks call it.
public enum EventKind: String, Codable, Sendable, Hashable, CaseIterable {
    case checkFailed = "check-failed"
    case checkPassed = "check-passed"
    case instanceDown = "instance-down"
    case instanceUp = "instance-up"
    /// It flaps, and is kept out until it has been calm.
    case instanceSuppressed = "instance-suppressed"
    case instanceDraining = "instance-draining"
    case instanceDrained = "instance-drained"
    case instanceUndrained = "instance-undrained"
    case instanceDisabled = "instance-taken-out"
    case instanceEnabled = "instance-put-back"
    case instanceWeightSet = "instance-weighed"
    case instanceAdded = "instance-added"
    case instanceRemoved = "instance-removed"
    case applicationDown = "application-down"
    case applicationUp = "application-up"
    /// Its `run` command was started again, in one of its nodes.
    case applicationRestarted = "application-restarted"
    case flowsMoved = "flows-moved"
    case tablePublished = "table-published"
    case tableRefused = "table-refused"
    case engineStarted = "engine-started"
    case engineStopped = "engine-stopped"
    case engineEnded = "engine-ended"
    case engineReplaced = "engine-replaced"
    case engineDraining = "engine-draining"
    case engineUndrained = "engine-undrained"
    /// io_uring was refused to it or failed: it writes frames one by one.
    case engineWritesPlainly = "engine-writes-plainly"
    /// The queues of one engine are read by others.
    case queuesMoved = "queues-moved"
    case fileApplied = "file-applied"
    /// Told to one listener alone: so many events went by that it did not read in time.
    case eventsLost = "events-lost"
    case scaled

    /// Those that a topology tells everybody.
    package static let general = allCases.filter { $0 != .eventsLost }
}
