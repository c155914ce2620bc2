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
        /// The instruction of a tenant under way, which is short.
        var instruction: (cancellation: Cancellation, left: RaisedFlag)?
        /// True if the operation in the gate lets instructions in beside it, as checks do.
        var admitsInstructions = false
        var isClosed = false
    }
    private let state = Mutex(State())

    /// The hint for callers that come while a change is under way.
    static let hint = "try again when that has ended"

    /// The words of operations that build and take away devices and nodes.
    static let change = "another change is under way"

    /// True while devices and nodes come and go: nothing is amiss with those that are not there.
    var isChanging: Bool { state.withLock { $0.current?.what == Self.change } }

    /// Enters.
    ///
    /// - Parameter what: The beginning of the sentence that refuses other changes meanwhile: "its checks are being
    ///   proved".
    /// - Returns: The cancellation to raise if the operation must end early.
    /// - Throws: `ApplianceError` if another operation goes on.
    func enter(_ what: String) throws(ApplianceError) -> Cancellation {
        let cancellation = try Cancellation()
        while true {
            var instruction: RaisedFlag?
            let refusal = state.withLock { state -> ApplianceError? in
                if state.isClosed { return ApplianceError(.failed, "it is being taken away") }
                if let current = state.current {
                    return ApplianceError(.failed, "\(current.what) just now", hint: Self.hint)
                }
                instruction = state.instruction?.left
                if instruction == nil { state.current = (what, cancellation, RaisedFlag()) }
                return nil
            }
            if let refusal { throw refusal }
            guard let instruction else { return cancellation }
            instruction.wait()
        }
    }

    /// Enters for the instruction of a tenant. It waits for the change under way, and one instruction for another.
    ///
    /// - Returns: The cancellation to raise if the instruction must end early.
    /// - Throws: `ApplianceError` if the topology is being taken away.
    func enterForInstruction() throws(ApplianceError) -> Cancellation {
        let cancellation = try Cancellation()
        while true {
            var before: RaisedFlag?
            let isClosed = state.withLock { state -> Bool in
                if let instruction = state.instruction {
                    before = instruction.left
                } else if let current = state.current, !state.admitsInstructions {
                    before = current.left
                } else if !state.isClosed {
                    state.instruction = (cancellation, RaisedFlag())
                }
                return state.isClosed
            }
            if isClosed { throw ApplianceError(.failed, "it is being taken away") }
            guard let before else { return cancellation }
            // An operation may let instructions in while it goes on.
            _ = before.wait(atMost: .milliseconds(20))
        }
    }

    /// Leaves after an instruction.
    func leaveInstruction() {
        let left = state.withLock { state in
            defer { state.instruction = nil }
            return state.instruction?.left
        }
        left?.raise()
    }

    /// From now until it leaves, the operation in the gate lets instructions in beside it.
    func admitInstructions() { state.withLock { $0.admitsInstructions = true } }

    /// For restoring the state before the change. The returned interruption is only raised if the topology is taken
    /// away.
    func rollBack() throws(ApplianceError) -> Cancellation {
        let cancellation = try Cancellation()
        let isClosed = state.withLock { state in
            if state.instruction != nil, state.current == nil || state.admitsInstructions {
                state.instruction?.cancellation = cancellation
            } else {
                state.current?.cancellation = cancellation
            }
            return state.isClosed
        }
        if isClosed { cancellation.raise() }
        return cancellation
    }

    /// Leaves: another may enter.
    func leave() {
        let left = state.withLock { state in
            defer { (state.current, state.admitsInstructions) = (nil, false) }
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
        let (current, instruction) = state.withLock { state in
            state.isClosed = true
            return (state.current, state.instruction)
        }
        current?.cancellation.raise()
        instruction?.cancellation.raise()
        current?.left.wait()
        instruction?.left.wait()
    }
}
