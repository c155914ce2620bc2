import Reporting

/// Has something done to an instance. Answered when the engines decide by it.
package struct InstanceRequest: ControlCommand {
    package typealias Answer = OperationReport
    package enum CodingKeys: CodingKey, CaseIterable { case instance, operation }

    package var instance: String
    package var operation: InstanceOperation

    package init(_ operation: InstanceOperation, on instance: String) {
        self.operation = operation
        self.instance = instance
    }

    package var request: ControlRequest { .operate(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .instance: try RequestCheck.check(instance, key)
        case .operation:
            switch operation {
            case .drain(let time): try RequestCheck.check(time, key, RequestRange.drain)
            case .setWeight(let weight): try RequestCheck.check(weight, key, RequestRange.weight)
            case .undrain, .disable, .enable: break
            }
        }
    }
}

/// An operator's request for an instance.
public enum InstanceOperation: Codable, Sendable, Hashable {
    /// It gets no new connections if another instance can take them, and after a time nothing.
    ///
    /// - Parameter for: That time; nil: its application's.
    case drain(for: Milliseconds?)
    /// It gets its share again.
    case undrain
    /// It gets nothing, at once.
    case disable
    /// It gets its share again.
    case enable
    /// Its share beside the others' weights, 0…1,000; nil: as the file has it.
    case setWeight(Int?)

    /// The words of the control protocol.
    private enum CodingKeys: String, CodingKey {
        case drain, undrain
        case disable = "takeOut"
        case enable = "putBack"
        case setWeight = "weigh"
    }

    /// See `CodingKeys`.
    private enum DrainCodingKeys: String, CodingKey { case `for` = "milliseconds" }
}

/// The effect of an operator's request.
public struct OperationReport: Codable, Sendable {
    /// The instance.
    public var instance: String
    /// Its application.
    public var application: String
    /// The effect and its consequences: sentences without a full stop.
    public var summary: [String]

    /// The keys of the control protocol.
    private enum CodingKeys: String, CodingKey {
        case instance, application
        case summary = "told"
    }

    /// Memberwise.
    package init(instance: String, application: String, summary: [String]) {
        self.instance = instance
        self.application = application
        self.summary = summary
    }
}
