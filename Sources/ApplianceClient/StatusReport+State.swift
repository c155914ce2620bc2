import ControlAPI
import Fabric

extension StatusReport {
    /// What can be told of a topology whose control process is gone.
    public init(dead state: ApplianceState) {
        self.init(
            name: state.name, state: .dead, run: state.run, file: state.file, pid: nil, since: state.created,
            engine: nil, interfaces: [], nodes: [], drops: [])
    }
}
