import Forwarding
import Reporting

/// Publishes one table after another, never two at once. A change in a quiet moment goes out at once. Changes that come
/// while a table is on its way go out together, next.
///
/// On the loop's thread.
package final class TablePublisher {
    /// Hands a table to the engines; `done` when all decide by it.
    ///
    /// - Parameter extent: What of it differs from the one before.
    package typealias Send = (
        _ table: ForwardingTable, _ extent: Extent, _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) -> Void

    /// What of a table differs from the one before.
    package enum Extent {
        /// Nothing but availabilities and weights in its groups.
        case groups
        /// A few entries, and what nodes have of services.
        case entries(TablePatch, before: ForwardingTable)
        /// Anything.
        case everything
        /// Its interfaces: other engines, with other queues, take the place of those that run.
        case engines(EngineSet)
    }

    private struct Change {
        /// Whether it changes the groups' members alone: several of these go out together.
        var groupsOnly: Bool
        /// Why, for a person.
        var cause: String
        /// The engines that decide by it; nil: those that run.
        var engines: EngineSet?
        var apply: (inout ForwardingTable) -> TablePatch?
        var done: (Result<Void, ApplianceError>) -> Void
    }

    /// The table that the engines decide by; before there are any, the one that they will start with.
    package private(set) var table: ForwardingTable
    /// True while a table is on its way.
    private(set) var isPublishing = false
    /// Why the table is published that is on its way, for a person; nil if none is.
    package private(set) var reason: String?
    /// Called when a table has been published, with the table before, the table now, and the cause.
    package var published: ((_ before: ForwardingTable, _ now: ForwardingTable, _ reason: String) -> Void)?
    private var waiting: [Change] = []
    private var quiet: [() -> Void] = []
    private var send: Send?

    /// - Parameter table: The table that the engines start with.
    package init(_ table: ForwardingTable) {
        self.table = table
    }

    /// From here on tables go to engines that have started with `table`.
    package func begin(_ send: @escaping Send) {
        self.send = send
    }

    /// Nothing is published any more.
    package func end() {
        send = nil
        let left = waiting
        waiting = []
        for change in left { change.done(.failure(.cancelled)) }
    }

    /// Changes the table as soon as that can be.
    ///
    /// - Parameters:
    ///   - groupsOnly: True if `apply` changes the groups' members alone.
    ///   - cause: Why, for a person.
    ///   - apply: Changes the table; called once, when its turn has come.
    ///   - done: Called when the engines decide by it, or when it could not be published.
    package func change(
        groupsOnly: Bool, cause: String, _ apply: @escaping (inout ForwardingTable) -> Void,
        done: @escaping (Result<Void, ApplianceError>) -> Void = { _ in }
    ) {
        let change = { (table: inout ForwardingTable) -> TablePatch? in
            apply(&table)
            return nil
        }
        waiting.append(Change(groupsOnly: groupsOnly, cause: cause, apply: change, done: done))
        publishNext()
    }

    /// Changes the table as soon as that can be, as above. `apply` returns how the entries differ, if it knows that.
    package func change(
        cause: String, patching apply: @escaping (inout ForwardingTable) -> TablePatch?,
        done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        waiting.append(Change(groupsOnly: false, cause: cause, apply: apply, done: done))
        publishNext()
    }

    /// Changes the table as soon as that can be, as above, together with the engines.
    package func change(
        cause: String, engines: EngineSet, _ apply: @escaping (inout ForwardingTable) -> Void,
        done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        let change = { (table: inout ForwardingTable) -> TablePatch? in
            apply(&table)
            return nil
        }
        waiting.append(Change(groupsOnly: false, cause: cause, engines: engines, apply: change, done: done))
        publishNext()
    }

    /// Calls `body` once nothing is on its way and nothing waits.
    package func whenQuiet(_ body: @escaping () -> Void) {
        if isPublishing || !waiting.isEmpty { quiet.append(body) } else { body() }
    }

    private static func summary(_ causes: [String]) -> String {
        let shown = causes.prefix(4).joined(separator: "; ")
        return causes.count > 4 ? "\(shown); and \(causes.count - 4) more" : shown
    }

    private func publishNext() {
        // A caller that hears of a finished change may ask for another.
        while !isPublishing, let first = waiting.first {
            // A table of its own is judged alone. If it is wrong, no other request fails.
            let count = first.groupsOnly ? waiting.prefix { $0.groupsOnly }.count : 1
            let batch = Array(waiting.prefix(count))
            waiting.removeFirst(count)
            let before = table
            var fresh = table
            var patch: TablePatch?
            for change in batch { patch = change.apply(&fresh) }
            // A table of its own is published even if it is the same, because a caller has asked for it.
            guard let send, !first.groupsOnly || fresh.groups != before.groups else {
                table = fresh
                for change in batch { change.done(.success(())) }
                continue
            }
            isPublishing = true
            let reason = Self.summary(batch.map(\.cause))
            self.reason = reason
            let extent =
                first.engines.map { Extent.engines($0) } ?? patch.map { Extent.entries($0, before: before) }
                ?? (first.groupsOnly ? .groups : .everything)
            send(fresh, extent) { [self] result in
                isPublishing = false
                self.reason = nil
                if case .success = result {
                    table = fresh
                    published?(before, fresh, reason)
                }
                for change in batch { change.done(result) }
                publishNext()
            }
        }
        guard !isPublishing, waiting.isEmpty else { return }
        let callers = quiet
        quiet = []
        for body in callers { body() }
    }
}
