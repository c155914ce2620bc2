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
            case .drain(let time): try RequestCheck.check(time, key, RequestRange.drain, "milliseconds")
            case .weigh(let weight): try RequestCheck.check(weight, key, RequestRange.weight)
            case .undrain, .takeOut, .putBack: break
            }
        }
    }
}

/// What an operator may ask for an instance.
public enum InstanceOperation: Codable, Sendable, Hashable {
    /// It gets no new connections where another instance can take them, and after a time nothing.
    ///
    /// - Parameter milliseconds: That time; nil: its application's.
    case drain(milliseconds: Int?)
    /// It gets its share again.
    case undrain
    /// It gets nothing, at once.
    case takeOut
    /// It gets its share again.
    case putBack
    /// Its share beside the others' weights, 0…1,000; nil: as the file has it.
    case weigh(Int?)
}

/// What an operator's word has led to.
public struct OperationReport: Codable, Sendable {
    /// The instance.
    public var instance: String
    /// Its application.
    public var application: String
    /// What was done and what follows: sentences without a full stop.
    public var told: [String]

    /// Memberwise.
    package init(instance: String, application: String, told: [String]) {
        self.instance = instance
        self.application = application
        self.told = told
    }
}
