import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Glibc
import Reporting

/// `tapline events`.
struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show events: checks, instances, applications, tables, engines, flows that moved.",
        discussion: """
            On a terminal, each event is one line of text; elsewhere it is one line of JSON. Its keys are stable: time
            (microseconds since 1970), at (the same as text), event, and as they apply application, instance, check, engine,
            generation, share (0 to 1), count, reason. The last 4096 events are kept while the topology is up. A listener that
            reads too slowly gets the event 'events-lost', with the number of events that it missed.

            EXAMPLE
              sudo tapline events failover -f
              sudo tapline events failover --since 1m --json | jq -r .reason
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Flag(name: [.customShort("f"), .long], help: "Follow new events until the topology is gone.")
    var follow = false

    @Option(help: "Only events since then: 30s or 5m ago, or the 'time' or 'at' of an event.")
    var since: String?

    @Option(help: "Only the last COUNT events.")
    var count: Int?

    @Flag(help: "Print lines of JSON, even on a terminal.")
    var json = false

    @Flag(help: "Print text, even into a file or a pipe.")
    var text = false

    func validate() throws {
        if json, text { throw ValidationError("Give --json or --text.") }
        if let count, !RequestRange.count.contains(count) {
            throw ValidationError("--count is \(RequestRange.count.lowerBound) to \(RequestRange.count.upperBound).")
        }
        if let since, ApplianceEvent.time(since).map(RequestRange.since.contains) != true {
            throw ValidationError("--since: \(DurationText.hint); or give the 'time' or the 'at' of an event.")
        }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let client = try ApplianceClient(name: name)
            let from = since.flatMap(ApplianceEvent.time)
            guard follow else {
                show(try client.events(since: from, count: count))
                return
            }
            try client.followEvents(since: from, count: count) { events in
                show(events)
                return true
            }
        }
    }

    private func show(_ events: [ApplianceEvent]) {
        let asText = text || !json && isatty(1) == 1
        for event in events {
            if asText {
                Terminal.out(event.text)
            } else if let line = try? event.jsonLine() {
                Terminal.json(line)
            }
        }
    }
}
