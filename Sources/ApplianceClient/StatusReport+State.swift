import ControlAPI
import Fabric

extension StatusReport {
    /// The report of a topology whose control process is gone.
    public init(dead state: ApplianceState) {
        self.init(
            name: state.name, state: .dead, run: state.run, file: state.file, pid: nil, since: state.created,
            engine: nil, interfaces: [], nodes: [], drops: [])
    }
}
