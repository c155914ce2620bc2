import Appliance
import ArgumentParser
import ControlAPI
import Fabric
import Plan
import Reporting

/// `tapline up`.
struct Up: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring a topology up, and keep it up.",
        discussion: """
            In the foreground, Ctrl-C takes it away, and a service manager that names NOTIFY_SOCKET is told when all is up. With -d it stays up in the background until 'tapline down'. For a folder, its
            topology.yaml is brought up, or that of its only subfolder with one.

            EXAMPLE
              sudo tapline up Topologies/four-interface/topology.yaml -d
              sudo tapline exec four-interface alice curl http://203.0.113.80/
              sudo tapline down four-interface
            """.paragraphs)

    @Argument(help: "The topology file, or its folder.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    @Flag(name: [.customShort("d"), .long], help: "Stay up in the background.")
    var detach = false

    @Option(help: "The topology's name. (default: the file's)")
    var name: String?

    @Flag(help: "Bind a `device` to its interface even if it carries the machine's default route.")
    var evenTheDefaultRoute = false

    @OptionGroup
    var options: FileOptions

    @Flag(help: .hidden)
    var tellProgress = false

    func run() throws {
        let display = ProgressDisplay(showsReady: true, showsPlaces: true)
        if tellProgress { return try detached() }
        // Before this process may enter another namespace.
        let notice = ServiceNotice()
        try reporting { () throws(ApplianceError) in
            defer { display.clear() }
            let file = try TestFiles.one(self.file)
            try Machine.requireRoot(.making)
            if detach {
                let arguments =
                    ["up", "--tell-progress"] + (evenTheDefaultRoute ? ["--even-the-default-route"] : [])
                    + (name.map { ["--name", $0] } ?? []) + options.settings.words + [
                        "--", file,
                    ]
                try DetachedStart.follow(arguments) { display.take($0) }
                return
            }
            let planned = try PlanReader.planned(file, name: name, settings: options.settings)
            for remark in planned.plan.remarks { display.take(.note(remark.note)) }
            let control = try ControlProcess(planned, file: PlanReader.absolute(file)) { report in
                Self.tell(notice, report)
                display.take(report)
            }
            control.allowsDefaultRoute = evenTheDefaultRoute
            control.atEnd = { moment in
                if moment == .ending { notice.stopping("taking '\(planned.plan.name)' away") }
            }
            do throws(ApplianceError) { _ = try control.perform(.stay) } catch {
                notice.status("\(error)")
                throw error
            }
        }
    }

    /// What a service manager shows of a topology.
    private static func tell(_ notice: ServiceNotice, _ report: Progress) {
        switch report {
        case .ready(let report): notice.ready("up: \(report.summary)")
        case .step(let text): notice.status(text)
        case .note, .check, .kept, .failed: break
        }
    }

    /// Starts the control process in the background, and shows its progress.
    private func detached() throws {
        let tell = DetachedStart.teller()
        do throws(ApplianceError) {
            try Machine.requireRoot(.making)
            let planned = try PlanReader.planned(file, name: name, settings: options.settings)
            for remark in planned.plan.remarks { tell(.note(remark.note)) }
            let control = try ControlProcess(planned, file: PlanReader.absolute(file), progress: tell)
            control.allowsDefaultRoute = evenTheDefaultRoute
            control.handOver(DetachedStart.progressDescriptor)
            _ = try control.perform(.stay)
        } catch {
            tell(.failed(error))
            throw ArgumentParser.ExitCode(error.status.rawValue)
        }
    }
}
