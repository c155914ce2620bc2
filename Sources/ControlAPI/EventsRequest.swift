import Reporting

/// Asks for events.
package struct EventsRequest: ControlCommand {
    package typealias Answer = [ApplianceEvent]
    package enum CodingKeys: CodingKey, CaseIterable { case since, count, follow }

    /// Leaves out events before this time, in microseconds since 1970.
    package var since: Int?
    /// At most so many of the last.
    package var count: Int?
    /// True if future events are asked for too, an answer for each handful; nil: false.
    package var follow: Bool?

    package init(since: Int? = nil, count: Int? = nil, follow: Bool = false) {
        self.since = since
        self.count = count
        self.follow = follow
    }

    package var request: ControlRequest { .events(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .since: try RequestCheck.check(since, key, RequestRange.since, "microseconds since 1970")
        case .count: try RequestCheck.check(count, key, RequestRange.count)
        case .follow: break
        }
    }
}
