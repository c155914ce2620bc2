import Reporting

/// Replaces, drains or undrains packeting engines, or breaks one. Answered when that is done.
package struct EngineRequest: ControlCommand {
    package typealias Answer = Done
    package enum CodingKeys: CodingKey, CaseIterable { case operation, engine }

    package var operation: EngineOperation
    /// The engine's number, from 1; nil: all of them.
    package var engine: Int?

    package init(_ operation: EngineOperation, engine: Int?) {
        self.operation = operation
        self.engine = engine
    }

    package var request: ControlRequest { .engine(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .operation: break
        case .engine: try RequestCheck.check(engine, key, RequestRange.engine)
        }
    }
}

/// An operation on packeting engines.
public enum EngineOperation: String, Codable, Sendable, CaseIterable {
    /// Start the program anew and give it the engine's place, without losing a packet.
    case replace
    /// Have the others read its queues.
    case drain
    /// Have it read its own queues again.
    case undrain
    /// End its process by SIGKILL, as a fault: a spare takes its place.
    case kill
    /// Stop its process by SIGSTOP, as a fault: a spare takes its place.
    case stop
}
