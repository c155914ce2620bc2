import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Plan
import Reporting

/// `tapline apply`.
struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Change a running topology to what a file says now.",
        discussion: """
            Only the difference changes. Nodes that are the same in both files keep their processes, their connections and their
            namespaces. Entries that are the same keep their counters. If a step fails, or you press Ctrl-C, the topology goes
            back to what it was.

            Files that commands read are not compared. If only a ruleset or a configuration file has changed, the node counts as
            unchanged.

            Interfaces, legs of nodes, engines and workers come and go as nodes do. Other engines are started beside those that
            forward, and take their place when all are ready: no packet of what stays is lost. Programs that run on keep the
            variables that they were started with.

            Removed nodes get no new packets. Packets that they still hold, and packets in the chains of removed services, are
            forwarded for one second, or for the time of --drain. Then the nodes are removed. Later packets are counted as
            'removed-node' or 'no-sequencing-entry'.

            EXAMPLE
              sudo tapline apply four-interface --dry-run
              sudo tapline apply four-interface changed.yaml
              sudo tapline apply Topologies/four-interface/topology.yaml
            """.paragraphs)

    @Argument(
        help: "The topology's name, or a file that names the topology.", completion: topologyNames)
    var name: String

    @Argument(
        help: "The file. (default: that of 'up' or 'apply')", completion: .file(extensions: ["yaml", "yml"]))
    var file: String?

    @Flag(help: "Show what would change, and change nothing.")
    var dryRun = false

    @Option(help: "How long removed nodes keep their connections. (default: 1s; 0s: no time)")
    var drain: String?

    @OptionGroup
    var options: FileOptions

    func validate() throws {
        if let drain, DurationText.duration(drain) == nil {
            throw ValidationError("--drain: \(DurationText.hint).")
        }
    }

    func run() throws {
        let display = ProgressDisplay(showsReady: false)
        try reporting { () throws(ApplianceError) in
            defer { display.clear() }
            try Machine.requireRoot()
            let (name, file) = try target()
            let report = try ApplianceClient(name: name).apply(
                file: file.map(PlanReader.absolute), settings: options.given, isTrial: dryRun,
                drain: drain.flatMap { DurationText.duration($0) }
            ) { display.take($0) }
            display.clear()
            report.show(name, isTrial: dryRun)
        }
    }

    /// The topology's name, and the file if one was given.
    private func target() throws(ApplianceError) -> (name: String, file: String?) {
        guard file == nil, name.looksLikeTopologyFile, try !StateDirectory(name: name).exists else {
            return (name, file)
        }
        return (try PlanReader.plan(name, settings: options.settings).name, name)
    }
}

extension ChangeReport {
    /// Prints the changes.
    func show(_ name: String, isTrial: Bool) {
        guard !changes.isEmpty else {
            Terminal.out("\(name): nothing differs")
            for note in notes { Terminal.error("note: \(note)") }
            return
        }
        for change in changes { Terminal.out(change) }
        for note in notes { Terminal.error("note: \(note)") }
        if !isTrial {
            Terminal.out(
                "\(name): changed in \(time); \(Plural.entries(entries)), \(kept) of them as before")
        }
    }
}
