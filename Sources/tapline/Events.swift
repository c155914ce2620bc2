import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Glibc
import Reporting
import Topology

/// `tapline events`.
struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what happened: checks, instances, applications, tables, engines, flows that moved.",
        discussion: """
            One line of text for each event on a terminal, and one line of JSON elsewhere. Its keys are stable: time
            (microseconds since 1970), at (the same as text), event, and as they apply application, instance, check,
            engine, generation, share (0 to 1), count, reason. The last 4096 events are kept, as long as the topology
            is up. Who does not read fast enough is told by an event 'events-lost' how many were not shown.

            EXAMPLE
              sudo tapline events failover -f
              sudo tapline events failover --since 1m --json | jq -r .reason
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Flag(name: [.customShort("f"), .long], help: "Go on as more happens, until the topology is gone.")
    var follow = false

    @Option(help: "Only those since then: 30s or 5m ago, or the 'time' or 'at' of an event.")
    var since: String?

    @Option(help: "At most so many of the last.")
    var count: Int?

    @Flag(help: "Print lines of JSON, also on a terminal.")
    var json = false

    @Flag(help: "Print text, wherever it goes.")
    var text = false

    func validate() throws {
        if json, text { throw ValidationError("Give --json or --text.") }
        if let count, !RequestRange.count.contains(count) {
            throw ValidationError("--count is \(RequestRange.count.lowerBound) to \(RequestRange.count.upperBound).")
        }
        if let since, ApplianceEvent.time(since).map(RequestRange.since.contains) != true {
            throw ValidationError("--since: \(DurationText.mend); or give the 'time' or the 'at' of an event.")
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
