import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Glibc
import Metrics
import Reporting
import Tracing

extension RateOrder: ExpressibleByArgument {}

/// `tapline top`.
struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch live rates: packets, bits, drops, processor time and memory.",
        discussion: """
            On a terminal, the table is drawn again at each interval. Keys: p, b, d, c, m, t and n sort by packets, bits, drops,
            processor time, memory, time in an application and name; r reverses; Tab shows one kind of rows (interfaces,
            services, entries, engines, nodes, drops, the control process, times) or all; / filters by a text; the arrows and the page keys scroll; q quits.
            Elsewhere, each row is one line at each interval, with the time before it. With --json, each interval is one line of
            JSON. Its keys are stable: version, name, time (microseconds since 1970), seconds, state, tableVersion, rows; of each
            row kind, name, direction, packets, bits, drops (a second), processor (percent of one processor), memory (octets),
            coalesced (0 to 1), p50 and p99 (nanoseconds).

            With --times the topology measures how long packets stay in each application, as with 'tapline metrics', and goes
            on until nobody has asked for five minutes. Each instance has a row of the kind time: its measured packets, and
            the time that half of them, and 99 of 100, stayed in it at most. These rows also appear if another command has it
            measured. 1/1 measures every flow; on a busy topology, 1/64 costs the engines less.

            EXAMPLE
              sudo tapline top four-interface
              sudo tapline top four-interface --times 1/64
              sudo tapline top four-interface --json --interval 10s --count 6
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @OptionGroup var watching: WatchOptions

    @Flag(help: "Print lines of JSON, even on a terminal.")
    var json = false

    func run() throws { try watching.watch(name, json: json) }
}

/// What `top` and `status --watch` have in common.
struct WatchOptions: ParsableArguments {
    @Option(help: "The time between two samples, such as 500ms or 10s: 100ms at least.")
    var interval = "1s"

    @Option(help: "End after COUNT intervals.")
    var count: Int?

    @Option(help: "Sort by packets, bits, drops, processor, memory, time or name.")
    var sort = RateOrder.bits

    @Option(help: "Only rows whose kind, name or direction contains this text.")
    var filter = ""

    @Option(help: "Measure the times in applications, of one flow in N (1/64), and show them.")
    var times: String?

    /// True if none of them was given.
    var isDefault: Bool { interval == "1s" && count == nil && sort == .bits && filter.isEmpty && times == nil }

    private var milliseconds: Int? { DurationText.milliseconds(interval).flatMap { $0 >= 100 ? $0 : nil } }

    func validate() throws {
        guard milliseconds != nil else {
            throw ValidationError("--interval: \(DurationText.hint), and at least 100ms.")
        }
        if let times, SampleText.flows(times) == nil { throw ValidationError("--times: \(SampleText.hint).") }
        if let count, count < 1 { throw ValidationError("--count is 1 or more.") }
    }

    /// Watches a topology until the count is reached, or the user or the topology ends it.
    func watch(_ name: String, json: Bool) throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let watch = RateWatch(
                client: try ApplianceClient(name: name), name: name,
                timesOneIn: times.flatMap { SampleText.flows($0) })
            let milliseconds = milliseconds ?? 1000
            guard !json, RawTerminal.isUsable else {
                return try lines(watch, milliseconds, json: json)
            }
            let view = TopView(name: name, order: sort, filter: filter)
            try TopSession(watch: watch, view: view, interval: .milliseconds(milliseconds), count: count).run()
        }
    }

    /// Prints plain lines.
    private func lines(_ watch: RateWatch, _ milliseconds: Int, json: Bool) throws(ApplianceError) {
        var printed = 0
        _ = try watch.next()
        while printed < count ?? .max {
            usleep(UInt32(milliseconds) * 1000)
            guard let report = try watch.next() else { continue }
            if json {
                var chosen = report
                chosen.rows = report.rows(filter: filter, by: sort)
                Terminal.json(String(decoding: try JSONLine.encode(chosen).dropLast(), as: UTF8.self))
            } else {
                for row in report.rows(filter: filter, by: sort) { Terminal.out(row.line(at: report.time)) }
            }
            printed += 1
        }
    }
}

/// The rates of a topology from sample to sample. Used by one thread at a time.
final class RateWatch: @unchecked Sendable {
    private let client: ApplianceClient
    private let name: String
    /// Have the times in applications measured, of one flow in this many; nil: do not.
    private let timesOneIn: Int?
    private(set) var last: Sample?

    /// How long a topology may take to start or to go before that is an error, in milliseconds.
    private static let patience = 30_000

    init(client: ApplianceClient, name: String, timesOneIn: Int?) {
        self.client = client
        self.name = name
        self.timesOneIn = timesOneIn
    }

    /// The rates since the call before; nil after the first call, and after the first of another run.
    ///
    /// - Throws: `ApplianceError` if there is no such topology, if it has gone, or if its control process does not answer.
    func next() throws(ApplianceError) -> RateReport? {
        let sample = try self.sample()
        defer { last = sample }
        return last.flatMap { RateReport(from: $0, to: sample) }
    }

    private func sample() throws(ApplianceError) -> Sample {
        var left = Self.patience
        while true {
            do throws(ApplianceError) { return try client.sample(timesOneIn: timesOneIn) } catch {
                guard last != nil else { throw error }
                if error.status == .name || !client.directory.exists {
                    throw ApplianceError(
                        .name, "the topology '\(name)' was taken away", hint: "'tapline status' lists all topologies")
                }
                // It goes just now.
                guard error.hint == "try again", left > 0 else { throw error }
                left -= 100
                usleep(100_000)
            }
        }
    }
}

extension RateReport.Row {
    /// One line for other programs: the time, then words and numbers.
    ///
    /// - Parameter time: In microseconds since 1970.
    func line(at time: Int) -> String {
        var words = [ApplianceEvent.timeText(time), kind.rawValue, ShellWord.quoted(name)]
        if let direction { words.append(direction) }
        func number(_ value: Double, _ unit: String) { words.append("\(RateNumber.fixed(value, places: 1)) \(unit)") }
        if let packets { number(packets, "packets/s") }
        if let bits { number(bits, "bits/s") }
        if let drops { number(drops, "drops/s") }
        if let processor { number(processor, "% cpu") }
        if let memory { words.append("\(memory) octets") }
        if let coalesced { number(coalesced * 100, "% coalesced") }
        if let p50, let p99 { words += ["\(p50) ns p50", "\(p99) ns p99"] }
        return words.joined(separator: " ")
    }
}
