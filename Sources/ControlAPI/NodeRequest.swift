import Reporting

/// Asks for the way into a node.
package struct NodeRequest: ControlCommand {
    package typealias Answer = NodeEntrance
    package enum CodingKeys: CodingKey, CaseIterable { case node }

    package var node: String

    package init(node: String) { self.node = node }

    package var request: ControlRequest { .node(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .node: try RequestCheck.check(node, key)
        }
    }
}

/// All that a command needs to enter a node.
package struct NodeEntrance: Codable, Sendable {
    /// The node's init process, in the host's numbers.
    package var pid: Int32
    /// The start time of that process.
    package var started: UInt64
    /// The variables its commands get.
    package var environment: [String: String]
    /// The folder in which its commands start.
    package var directory: String
    /// The capabilities that its commands can have, as bits; nil: all that the caller has.
    package var capabilities: UInt64?

    package init(
        pid: Int32, started: UInt64, environment: [String: String], directory: String, capabilities: UInt64? = nil
    ) {
        self.pid = pid
        self.started = started
        self.environment = environment
        self.directory = directory
        self.capabilities = capabilities
    }
}
