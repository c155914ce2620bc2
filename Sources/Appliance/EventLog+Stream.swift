import ControlAPI
import Reporting

extension EventLog {
    /// The source of a request's repeated answers; nil if one answer is all.
    func stream(_ request: ControlRequest) -> ControlStream? {
        guard case .events(let asked) = request, asked.follow == true else { return nil }
        var place = place(since: asked.since, count: asked.count)
        return ControlStream { [self] () -> ControlAnswer<EventsRequest.Answer>? in
            let events = read(&place, most: 64)
            return events.isEmpty ? nil : .answer(events)
        }
    }
}

extension ControlProcess {
    /// The source of a request's repeated answers; nil if one answer is all.
    ///
    /// - Throws: `ApplianceError` if the request is wrong, or cannot be served now.
    func stream(_ request: ControlRequest) throws(ApplianceError) -> ControlStream? {
        if case .capture(let command) = request { return try captures.begin(command) }
        return events.stream(request)
    }
}
