/// The kinds of events in a topology while it is up. The raw value is the name in listings and checks.
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
    /// Engines read an interface that was not there before.
    case interfaceAdded = "interface-added"
    case interfaceRemoved = "interface-removed"
    case applicationDown = "application-down"
    case applicationUp = "application-up"
    /// Its `run` command was started again, in one of its nodes.
    case applicationRestarted = "application-restarted"
    /// The `run` command of a node, or one of its programs, has ended.
    case programEnded = "program-ended"
    /// The kernel has ended processes of a node, because memory ran out.
    case outOfMemory = "out-of-memory"
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
    /// A command or a check has changed what happens to the packets of a link.
    case linkImpaired = "link-impaired"
    /// A node has reported that it is in a group of a service with `members: joined`.
    case groupJoined = "group-joined"
    /// A node has left such a group, or has not reported it any more.
    case groupLeft = "group-left"
    /// The access lists in a node were changed by something there, and were put in force again.
    case accessRestored = "access-restored"
    /// An application did not take its access lists: it goes on with those that it had.
    case accessRefused = "access-refused"
    /// The certificate of the management address expires soon, or has expired.
    case certificateExpires = "certificate-expires"
    /// An application got a service port that it had asked for.
    case mappingGranted = "mapping-granted"
    /// An application asked for a service port, and got none.
    case mappingRefused = "mapping-refused"
    /// A service port that an application had is not its own any more.
    case mappingEnded = "mapping-ended"
    /// A namespace or a device that is somebody else's is gone, or was replaced: its leg or interface carries nothing.
    case attachmentLost = "attachment-lost"
    /// It is there again, and attached.
    case attachmentRestored = "attachment-restored"
    /// It is there again, and cannot be attached.
    case attachmentRefused = "attachment-refused"
    /// Sent to one listener alone: it read too slowly and missed events.
    case eventsLost = "events-lost"
    case scaled

    /// The kinds that a topology sends to all listeners.
    package static let general = allCases.filter { $0 != .eventsLost }
}
