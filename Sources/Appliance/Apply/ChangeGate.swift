import EventLoop
import Reporting
import Synchronization

/// Lets one change of a topology happen at a time, and none while the topology is being taken away.
///
/// Long operations on the nodes, such as the file's checks, also enter the gate, so nothing changes under them.
final class ChangeGate: Sendable {
    private struct State {
        /// The change under way: its words for messages, and its cancellation.
        var current: (what: String, cancellation: Cancellation, left: RaisedFlag)?
        var isClosed = false
    }
    private let state = Mutex(State())

    /// The hint for callers that come while a change is under way.
    static let hint = "try again when that has ended"

    /// Enters.
    ///
    /// - Parameter what: The beginning of the sentence that refuses other changes meanwhile: "its checks are being
    ///   proved".
    /// - Returns: The cancellation to raise if the operation must end early.
    /// - Throws: `ApplianceError` if another operation goes on.
    func enter(_ what: String) throws(ApplianceError) -> Cancellation {
        let cancellation = try Cancellation()
        let refusal = state.withLock { state -> ApplianceError? in
            if state.isClosed { return ApplianceError(.failed, "it is being taken away") }
            if let current = state.current {
                return ApplianceError(.failed, "\(current.what) just now", hint: Self.hint)
            }
            state.current = (what, cancellation, RaisedFlag())
            return nil
        }
        if let refusal { throw refusal }
        return cancellation
    }

    /// For restoring the state before the change. The returned interruption is only raised if the topology is taken
    /// away.
    func rollBack() throws(ApplianceError) -> Cancellation {
        let cancellation = try Cancellation()
        let isClosed = state.withLock { state in
            state.current?.cancellation = cancellation
            return state.isClosed
        }
        if isClosed { cancellation.raise() }
        return cancellation
    }

    /// Leaves: another may enter.
    func leave() {
        let left = state.withLock { state in
            defer { state.current = nil }
            return state.current?.left
        }
        left?.raise()
    }

    /// Cancels the operation in the gate for a person; false if there is none.
    func cancel() -> Bool {
        let cancellation = state.withLock { $0.current?.cancellation }
        cancellation?.raise(ApplianceError(.failed, "cancelled"))
        return cancellation != nil
    }

    /// Stops the change under way, waits until it has left, and admits no other.
    func close() {
        let current = state.withLock { state in
            state.isClosed = true
            return state.current
        }
        current?.cancellation.raise()
        current?.left.wait()
    }
}
