import Reporting

/// What is done to a node, as the steps of checks do it.
public enum NodeOperation: String, Codable, Sendable, Hashable, CaseIterable {
    /// All that runs in it is killed, and its application started again.
    case restart
    /// All that runs in it is killed; its `restart` decides what follows.
    case kill
    /// All that runs in it stands still.
    case stop
    /// What stands still in it goes on.
    case `continue`
    /// Its device on an interface goes down.
    case linkDown = "link-down"
    /// That device comes up again, with the routes and addresses that it had.
    case linkUp = "link-up"

    /// True if it is done to one of the node's devices.
    public var needsInterface: Bool { self == .linkDown || self == .linkUp }
}

/// Has something done to a node. Answered when it is done.
package struct NodeOperationRequest: ControlCommand {
    package typealias Answer = Done
    package enum CodingKeys: CodingKey, CaseIterable { case node, operation, interface }

    package var node: String
    package var operation: NodeOperation
    /// The interface that the device is on; nil: the node has one device.
    package var interface: String?

    package init(_ operation: NodeOperation, on node: String, interface: String? = nil) {
        (self.node, self.operation, self.interface) = (node, operation, interface)
    }

    package var request: ControlRequest { .operateNode(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .node: try RequestCheck.check(node, key)
        case .operation: break
        case .interface: try RequestCheck.check(interface, key)
        }
    }
}
