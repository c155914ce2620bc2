import EventLoop
import Reporting
import Synchronization

/// The parts that one run of a topology is about to make, kept in memory and in its state file. Any thread may use it.
///
/// The file is written before anything else happens, so that `down` finds all parts, however this process ends.
package final class RunRecord: Sendable {
    private let directory: StateDirectory
    private let state: Mutex<ApplianceState>

    /// - Parameter state: The state that is known now. It is written with the first change.
    package init(_ state: ApplianceState, in directory: StateDirectory) {
        self.directory = directory
        self.state = Mutex(state)
    }

    /// The state as it is now.
    package var current: ApplianceState { state.withLock { $0 } }
    /// The ownership mark of what this run makes.
    package var mark: String { current.mark }
    /// How far it has come.
    package var phase: ApplianceState.Phase { state.withLock { $0.phase } }

    /// Changes the state, and writes it.
    ///
    /// - Throws: Where the file cannot be written. The state in memory has changed then.
    package func change(_ change: (inout ApplianceState) -> Void) throws(ApplianceError) {
        let written = state.withLock { state -> Result<Void, ApplianceError> in
            change(&state)
            do throws(ApplianceError) { return .success(try directory.write(state)) } catch { return .failure(error) }
        }
        try written.get()
    }

    /// Notes a process that was started. It takes the place of an earlier one for the same job.
    ///
    /// - Throws: As `change`.
    package func note(_ process: RecordedProcess) throws(ApplianceError) {
        try change { state in
            state.processes.removeAll { $0.what == process.what }
            state.processes.append(process)
        }
    }
}
