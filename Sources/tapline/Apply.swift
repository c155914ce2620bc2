import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Reporting
import Topology

/// `tapline apply`.
struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Change a running topology to what a file says now.",
        discussion: """
            Only the difference is touched: nodes that are the same in both keep their processes, their connections
            and their namespaces, entries that are the same keep their counters. Where something fails, all is put
            back as it was; Ctrl-C puts it back, too.

            What commands read from files beside the topology file is not looked at: a node whose ruleset or
            configuration alone has changed is the same.

            To what is removed nothing new is sent. What it still holds, and what is in the chains of a removed
            service, is forwarded for one second, or the time of --drain; then it is gone. What comes later is counted
            as 'removed-node' or 'no-sequencing-entry'.

            EXAMPLE
              sudo tapline apply four-interface --dry-run
              sudo tapline apply four-interface changed.yaml
              sudo tapline apply Topologies/four-interface/topology.yaml
            """.paragraphs)

    @Argument(
        help: "The topology's name, or a file alone: then the file names the topology.", completion: topologyNames)
    var name: String

    @Argument(
        help: "Another file than that of 'up' or of the last 'apply'.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String?

    @Flag(help: "Show what would be changed, and change nothing.")
    var dryRun = false

    @Option(help: "How long what is removed keeps what it has. (1s where it is not given; 0s: no time)")
    var drain: String?

    func validate() throws {
        if let drain, DurationText.milliseconds(drain) == nil {
            throw ValidationError("--drain: \(DurationText.mend).")
        }
    }

    func run() throws {
        let display = ProgressDisplay(showsReady: false)
        try reporting { () throws(ApplianceError) in
            defer { display.clear() }
            try Machine.requireRoot()
            let (name, file) = try target()
            let report = try ApplianceClient(name: name).apply(
                file: file.map(PlanReader.absolute), isTrial: dryRun,
                drain: drain.flatMap { DurationText.milliseconds($0) }
            ) { display.take($0) }
            display.clear()
            report.show(name, isTrial: dryRun)
        }
    }

    /// Which topology is meant, and which file where one was given.
    private func target() throws(ApplianceError) -> (name: String, file: String?) {
        guard file == nil, name.looksLikeTopologyFile, try !StateDirectory(name: name).exists else {
            return (name, file)
        }
        return (try PlanReader.plan(name).name, name)
    }
}

extension ChangeReport {
    /// Prints it.
    func show(_ name: String, isTrial: Bool) {
        guard !changes.isEmpty else {
            Terminal.out("\(name): nothing differs")
            return
        }
        for change in changes { Terminal.out(change) }
        for note in notes { Terminal.error("note: \(note)") }
        if !isTrial {
            Terminal.out(
                "\(name): changed in \(milliseconds) ms; \(Plural.entries(entries)), \(kept) of them as before")
        }
    }
}
