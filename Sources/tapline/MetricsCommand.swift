import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Metrics
import Reporting
import Tracing

extension Exposition: ExpressibleByArgument {}

/// `tapline metrics`.
struct MetricsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics",
        abstract: "Print counters and states as metrics for Prometheus.",
        discussion: """
            Without a name, the metrics of all topologies are printed; one that does not answer has tapline_topology_up 0 alone.
            With a name, a topology that does not answer is an error. The format is OpenMetrics 1.0, or Prometheus' text format
            0.0.4 with --format text and with --textfile. The file is replaced as a whole, so node_exporter's textfile collector
            never reads half of one. Counters go on counting if an engine or an application is restarted.

            With --times the topology begins to measure how long packets stay in applications, and goes on until nobody has
            asked for five minutes. The first output has empty histograms or none. Each later one has all counts since the
            beginning. 1/1 measures every flow; on a busy topology, 1/64 costs the engines less.

            EXAMPLE
              sudo tapline metrics four-interface
              sudo tapline metrics four-interface --times 1/64
              sudo tapline metrics --textfile /var/lib/prometheus/node-exporter/tapline.prom
            """.paragraphs)

    @Argument(help: "The topologies' names.", completion: topologyNames)
    var names: [String] = []

    @Option(help: "openmetrics, by default, or text.")
    var format: Exposition?

    @Option(help: "Write to this file instead of standard output, in the format text.", completion: .file())
    var textfile: String?

    @Option(help: "Measure the times in applications, of one flow in N (1/64), and print them as histograms.")
    var times: String?

    func validate() throws {
        if let times, SampleText.flows(times) == nil { throw ValidationError("--times: \(SampleText.hint).") }
        if textfile != nil, format == .openmetrics {
            throw ValidationError("The textfile collector reads the format text alone: leave --format out.")
        }
        if Set(names).count < names.count { throw ValidationError("Name each topology once.") }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            var file: ReportFile?
            if let textfile { file = try ReportFile(path: textfile) }
            let metrics = try self.metrics()
            if let file {
                try file.write(metrics.text(.text))
            } else {
                Terminal.data(metrics.text(format ?? .openmetrics), end: "")
            }
        }
    }

    private var flows: Int? { times.flatMap { SampleText.flows($0) } }

    private func metrics() throws(ApplianceError) -> MetricSet {
        if names.isEmpty {
            let found = try ApplianceClient.samples(timesOneIn: flows)
            return MetricSet(found.samples, silent: found.silent)
        }
        var samples: [Sample] = []
        for name in names { samples.append(try ApplianceClient(name: name).sample(timesOneIn: flows)) }
        return MetricSet(samples)
    }
}
