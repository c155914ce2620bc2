import ControlAPI

extension EventLog {
    /// The source of a request's repeated answers; nil if one answer is all.
    func stream(_ request: ControlRequest) -> ControlServer.Stream? {
        guard case .events(let asked) = request, asked.follow == true else { return nil }
        var place = place(since: asked.since, count: asked.count)
        return { [self] in
            let events = read(&place, most: 64)
            return events.isEmpty ? nil : .answer(events)
        }
    }
}
