import Appliance
import ArgumentParser
import ControlAPI
import Fabric
import Plan
import Reporting

/// `tapline run`.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring a topology up, run its checks, and take it away.",
        discussion: """
            The exit status is 0 if all checks held, and 1 if one did not. The last line is a summary. For a folder, its
            topology.yaml runs, or that of its only subfolder with one.

            EXAMPLE
              sudo tapline run Topologies/four-interface/topology.yaml
            """.paragraphs)

    @Argument(help: "The topology file, or its folder.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    @Option(help: "The topology's name. (default: the file's)")
    var name: String?

    @Flag(help: "Bind a `device` to its interface even if it carries the machine's default route.")
    var evenTheDefaultRoute = false

    @OptionGroup
    var options: FileOptions

    @Flag(help: .hidden)
    var tellProgress = false

    @Flag(help: .hidden)
    var keep = false

    @Option(help: .hidden)
    var filter: String?

    @Option(help: .hidden)
    var evidence: String?

    func run() throws {
        if tellProgress { return try runReporting() }
        var held = true
        let display = ProgressDisplay(showsReady: true)
        try reporting { () throws(ApplianceError) in
            defer { display.clear() }
            let file = try TestFiles.one(self.file)
            try Machine.requireRoot(.making)
            let planned = try PlanReader.planned(file, name: name, settings: options.settings)
            for remark in planned.plan.remarks { display.take(.note(remark.note)) }
            let control = try ControlProcess(planned, file: PlanReader.absolute(file)) { display.take($0) }
            control.allowsDefaultRoute = evenTheDefaultRoute
            held = try control.perform(.prove)
            display.summarize(planned.plan)
        }
        if !held { throw ArgumentParser.ExitCode(1) }
    }

    /// Runs the file as `tapline test` does, which shows the progress.
    private func runReporting() throws {
        let tell = DetachedStart.teller(proving: true)
        var held = false
        do throws(ApplianceError) {
            var planned = try PlanReader.planned(file, name: name, settings: options.settings)
            if let filter { planned.plan.checks.removeAll { !$0.name.contains(filter) } }
            let evidence: Evidence? =
                if let folder = self.evidence { try Evidence(folder, of: planned.plan.name) } else { nil }
            let control = try ControlProcess(planned, file: PlanReader.absolute(file)) { report in
                switch report {
                // In the thread that runs the checks: none begins before everything is observed.
                case .ready: evidence?.begin()
                case .kept:
                    evidence?.end()
                    evidence?.takeLogs()
                case .step, .note, .check, .failed: break
                }
                tell(report)
            }
            control.allowsDefaultRoute = evenTheDefaultRoute
            if !keep {
                control.atEnd = { moment in
                    switch moment {
                    case .ending: evidence?.end()
                    case .ended: evidence?.takeLogs()
                    }
                }
            }
            control.endWithReader(of: DetachedStart.progressDescriptor)
            held = try control.perform(keep ? .proveAndStay : .prove)
        } catch {
            tell(.failed(error))
            throw ArgumentParser.ExitCode(error.status.rawValue)
        }
        if !held { throw ArgumentParser.ExitCode(1) }
    }
}
