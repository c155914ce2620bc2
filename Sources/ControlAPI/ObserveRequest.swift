import Reporting

/// Gives up every right but that to read, on this connection and for good. Whoever gets the connection afterwards can look at the
/// topology, and change nothing.
package struct ObserveRequest: ControlCommand {
    package typealias Answer = Done
    package typealias CodingKeys = NoKeys

    package init() {}

    package var request: ControlRequest { .observe(self) }
}

extension ControlRequest.Name {
    /// True if a connection with read rights alone may ask for it: it changes nothing, and no packet is sent for it.
    package var isReading: Bool {
        switch self {
        case .status, .tables, .sample, .events, .capture, .describe, .observe, .drawing, .log, .mappings: true
        case .stop, .node, .reload, .apply, .add, .remove, .cancel, .operate, .engine, .send, .operateNode, .impair:
            false
        }
    }
}

/// Asks for the end of what a node's commands have written.
package struct LogRequest: ControlCommand {
    package typealias Answer = NodeLog
    package enum CodingKeys: CodingKey, CaseIterable { case node }

    /// The node.
    package var node: String

    package init(node: String) { self.node = node }

    package var request: ControlRequest { .log(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .node: try RequestCheck.check(node, key)
        }
    }
}

/// The end of what a node's commands have written.
package struct NodeLog: Codable, Sendable {
    /// The most lines.
    package static let mostLines = 200

    /// The last lines, oldest first.
    package var lines: [String]

    package init(lines: [String]) { self.lines = lines }
}
