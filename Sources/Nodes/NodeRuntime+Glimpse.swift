import EventLoop
import LinuxNetwork

/// The questions of other threads about a node.
extension NodeRuntime {
    /// How the node is now, its application, and how that last ended.
    package func glimpse() -> (state: State, application: Pidfd?, lastEnd: String?) {
        loop.sync { (self.state, self.process, self.lastEnd) }
    }

    /// The node's init, where there is one.
    package var currentInit: Pidfd? { loop.sync { self.initProcess } }
}
