import Reporting

/// Makes the running topology equal to a file.
package struct ApplyRequest: ControlCommand {
    package typealias Answer = ChangeReport
    package enum CodingKeys: CodingKey, CaseIterable { case file, settings, isTrial, drain }

    /// The file's absolute path; nil: the file of `up`, or of the last `apply`.
    package var file: String?
    /// Values for the file's variables, by their names; nil: those that the running topology has.
    package var settings: [String: String]?
    /// True if the change is only to be reported, not made; nil: false.
    package var isTrial: Bool?
    /// How long removed nodes keep their flows; nil: the usual time.
    package var drain: Milliseconds?

    package init(
        file: String? = nil, settings: [String: String]? = nil, isTrial: Bool = false, drain: Duration? = nil
    ) {
        self.file = file
        self.settings = settings
        self.isTrial = isTrial
        self.drain = drain.map(Milliseconds.init)
    }

    package var request: ControlRequest { .apply(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .file: try RequestCheck.check(file, key)
        case .settings: try RequestCheck.check(settings, key)
        case .isTrial: break
        case .drain: try RequestCheck.check(drain, key, RequestRange.drain)
        }
    }
}

/// Adds an instance to an application.
package struct AddRequest: ControlCommand {
    package typealias Answer = ChangeReport
    package enum CodingKeys: CodingKey, CaseIterable { case application, instance }

    package var application: String
    /// The name of the instance; nil: the application's with the next number.
    package var instance: String?

    package init(application: String, instance: String? = nil) {
        self.application = application
        self.instance = instance
    }

    package var request: ControlRequest { .add(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .application: try RequestCheck.check(application, key)
        case .instance: try RequestCheck.check(instance, key)
        }
    }
}

/// Removes an instance of an application.
package struct RemoveRequest: ControlCommand {
    package typealias Answer = ChangeReport
    package enum CodingKeys: CodingKey, CaseIterable { case instance, drain }

    package var instance: String
    /// How long it keeps its flows; nil: the usual time.
    package var drain: Milliseconds?

    package init(instance: String, drain: Duration? = nil) {
        self.instance = instance
        self.drain = drain.map(Milliseconds.init)
    }

    package var request: ControlRequest { .remove(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .instance: try RequestCheck.check(instance, key)
        case .drain: try RequestCheck.check(drain, key, RequestRange.drain)
        }
    }
}

/// Takes back the change that is being made, of any kind. The answer comes at once.
package struct CancelRequest: ControlCommand {
    package typealias Answer = CancelReport
    package typealias CodingKeys = NoKeys

    package init() {}

    package var request: ControlRequest { .cancel(self) }
}

/// The result of a request to cancel.
package struct CancelReport: Codable, Sendable {
    /// True if there was a change to take back.
    package var isUnderWay: Bool

    package init(isUnderWay: Bool) { self.isUnderWay = isUnderWay }
}

/// Reads the file again and publishes its table, if only the table differs.
package struct ReloadRequest: ControlCommand {
    package typealias Answer = ReloadReport
    package enum CodingKeys: CodingKey, CaseIterable { case file, settings }

    /// As in `ApplyRequest`.
    package var file: String?
    /// As in `ApplyRequest`.
    package var settings: [String: String]?

    package init(file: String? = nil, settings: [String: String]? = nil) {
        self.file = file
        self.settings = settings
    }

    package var request: ControlRequest { .reload(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .file: try RequestCheck.check(file, key)
        case .settings: try RequestCheck.check(settings, key)
        }
    }
}

/// The effect of a reload.
public struct ReloadReport: Codable, Sendable {
    /// The number of entries now.
    public var entries: Int
    /// How many of them were in the table before and kept their counters.
    public var kept: Int

    /// Memberwise.
    public init(entries: Int, kept: Int) {
        self.entries = entries
        self.kept = kept
    }
}
