extension EventLog {
    /// What a request goes on to be answered with, again and again; nil where one answer is all.
    func stream(_ request: ControlRequest) -> (() -> ControlResponse?)? {
        guard request.command == .events, request.events?.follow == true else { return nil }
        var place = place(since: request.events?.since, count: request.events?.count)
        return { [self] in
            let events = read(&place, most: 64)
            guard !events.isEmpty else { return nil }
            var response = ControlResponse()
            response.events = events
            return response
        }
    }
}
