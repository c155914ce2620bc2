import Instructions
import WebPages

extension PageView {
    /// What was done, the newest first, with a way back to each version.
    ///
    /// - Parameter next: For the next page; nil: this is the last.
    func history(_ entries: [AuditEntry], next: String?) -> String {
        var main = "<h1>History</h1>\n"
        main += "<p class=\"hint\">Restore brings everything back as it was at that version.</p>\n"
        main += entries.isEmpty ? "<p>Nothing has happened yet.</p>\n" : list(entries)
        if let next { main += "<p><a href=\"/history?after=\(Self.encoded(next))\" rel=\"next\">Earlier</a></p>\n" }
        return page("History", here: "/history", main)
    }

    /// The last changes, below other things.
    func recent(_ entries: [AuditEntry]) -> String {
        guard !entries.isEmpty else { return "" }
        return """
            <section aria-labelledby="h-recent"><h2 id="h-recent">Last changes</h2>
            \(list(entries))<p><a href="/history">All changes</a></p></section>

            """
    }

    /// One change: its lines of the audit, which tell that it was written, and that it came into force or failed.
    private struct Change {
        /// The newest line.
        var last: AuditEntry
        var before: String?
        var after: String?
    }

    /// Puts the lines of each change together, where its newest line stands.
    private static func changes(_ entries: [AuditEntry]) -> [Change] {
        var changes: [Change] = []
        var places: [String: Int] = [:]
        for entry in entries {
            let key = entry.version.map { "\($0) \(entry.subject)" }
            if let place = key.flatMap({ places[$0] }) {
                changes[place].before = changes[place].before ?? entry.before
                changes[place].after = changes[place].after ?? entry.after
                continue
            }
            if let key { places[key] = changes.count }
            changes.append(Change(last: entry, before: entry.before, after: entry.after))
        }
        return changes
    }

    private func list(_ entries: [AuditEntry]) -> String {
        var seen: Set<Int> = []
        let items = Self.changes(entries).map { change in
            let entry = change.last
            let (shade, at) = (Self.shade(entry.outcome), escaped(entry.at))
            var item = "<li class=\"card\"><p><strong>\(escaped(entry.subject))</strong> \(Self.deed(change)) · "
            item += "<span class=\"state\" data-state=\"\(shade)\">\(escaped(entry.outcome))</span></p>\n"
            let version = entry.version.map { " · version \($0)" } ?? ""
            item += "<p class=\"hint\"><time datetime=\"\(at)\">\(at)</time>\(version) · by "
            item += "\(escaped(entry.who)) · \(escaped(entry.origin))</p>\n"
            item += detail(change)
            if mayChange, let number = entry.version, entry.outcome.hasPrefix("in-force"), seen.insert(number).inserted
            {
                item += """
                    <form method="post" action="/restore">\(hidden)\(once)
                    <input type="hidden" name="version" value="\(number)">
                    <button class="plain">Restore version \(number)</button></form>

                    """
            }
            return item + "</li>\n"
        }
        return "<ul class=\"cards history\">\n\(items.joined())</ul>\n"
    }

    /// HTML.
    private static func deed(_ change: Change) -> String {
        let way = change.last.instruction == Route.Name.restoreServices.rawValue ? " (restored)" : ""
        switch (change.before, change.after) {
        case (nil, .some): return "made" + way
        case (.some, .some): return "changed" + way
        case (.some, nil): return "removed" + way
        case (nil, nil): break
        }
        return switch Route.Name(rawValue: change.last.instruction) {
        case .makeToken: "token made"
        case .revokeToken: "token revoked"
        default: escaped(change.last.instruction)
        }
    }

    private func detail(_ change: Change) -> String {
        guard change.before != nil || change.after != nil else { return "" }
        return """
            <details><summary>Before and after</summary>
            <p>Before:</p><pre>\(escaped(change.before ?? "nothing"))</pre>
            <p>After:</p><pre>\(escaped(change.after ?? "nothing"))</pre></details>

            """
    }
}
