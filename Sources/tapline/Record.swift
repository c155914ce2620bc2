import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import EventLoop
import Fabric
import Observation
import Reporting
import Tracing
import Wire

/// `tapline record`.
struct Record: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the paths that packets take now as checks for a topology file.",
        discussion: """
            Follows packets as 'tapline trace' does. Each sender, destination and port gets one 'packet' check with the nodes that
            it reached, and with the way of the answer. Interrupt the command to write them. Put the file into 'include' of the
            topology file, and 'tapline test' proves that packets go on taking these paths.

            An address that Tapline gave is written as an expression, such as {{ services.shop.address }}: an address that
            stands in the file is given to nobody.

            A check sends the first packet of a flow. So connections that began before are not recorded. For UDP the answer is
            not recorded: it depends on what the packet carries. Packets whose paths differ, as those beside a rate limit, get
            no check; a note names them.

            EXAMPLE
              sudo tapline record four-interface -o recorded.yaml
              sudo tapline record four-interface tcp --from alice --for 10s
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "Only packets that match this expression of pcap-filter(7).")
    var filter: [String] = []

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("Write to a file; - for standard output.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var output = "-"

    @Option(help: "Only packets that this node sent.")
    var from: String?

    @Option(help: "Only packets of this service.")
    var service: String?

    @Option(name: .customLong("for"), help: "End after this time: 10s.")
    var time: String?

    func validate() throws {
        if let time, DurationText.milliseconds(time) == nil { throw ValidationError("--for: \(DurationText.hint).") }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let file: ReportFile? = output == "-" ? nil : try ReportFile(path: output)
            let client = try ApplianceClient(name: name)
            let traces = try LiveTraces(
                client,
                LiveTraces.Options(
                    selection: TraceSelection(from: from, service: service),
                    filter: filter.isEmpty ? nil : filter.joined(separator: " ")))
            var recording = PathRecording(traces.network, standIns: try standIns(client))
            Ending.note()
            Terminal.error("recording the paths of '\(name)'\(time == nil ? "; Ctrl-C ends it" : "")")
            let end = time.flatMap(DurationText.milliseconds).map { monotonicTime() + .milliseconds($0) }
            while !Ending.isAskedFor, !traces.isOver {
                if let end, monotonicTime() >= end { break }
                for trace in try traces.next(within: .milliseconds(20)) { recording.add(trace) }
            }
            for trace in traces.finish() { recording.add(trace) }
            tell(recording.omissions, recording.ambiguous)
            let parting = traces.isOver ? client.parting("the paths until then are recorded") : nil
            guard recording.count > 0 else {
                if let parting { throw parting }
                throw ApplianceError(
                    .failed, "no packet came whose path a check can prove",
                    hint:
                        "send some from a customer while it runs, for example: tapline exec \(name) NODE ping -c 1 ADDRESS"
                )
            }
            let text =
                "# Paths of '\(name)' as 'tapline record' saw them. Write this file's name into 'include' to test them.\n"
            if let file { try file.write(text + recording.text) } else { Terminal.data(text + recording.text, end: "") }
            Terminal.error(
                "recorded \(Plural.counted(recording.count, "path"))" + (output == "-" ? "" : " into \(output)"))
            if let parting { throw parting }
        }
    }

    /// The names by which checks call instances that share the work of an application.
    private func standIns(_ client: ApplianceClient) throws(ApplianceError) -> [String: String] {
        var names: [String: String] = [:]
        for application in try client.status().applications
        where application.instances.count > 1 && application.redundancy != "copies" {
            for instance in application.instances { names[instance.name] = application.name }
        }
        return names
    }

    private func tell(_ omissions: PathRecording.Omissions, _ ambiguous: [String]) {
        for name in ambiguous { Terminal.error("note: no check for \(name): its packets took several paths") }
        for (count, sentence) in [
            (omissions.midway, "in the middle of a connection: begin the connections anew while recording"),
            (omissions.unclear, "of which a part of the path is not known, or which were lost by chance"),
            (omissions.unsendable, "that no check can send: fragments, groups, or other protocols"),
            (
                omissions.nameless,
                "from or to addresses in networks that Tapline gives: write the `address` of the interface in the file"
            ),
            (omissions.more, "of new flows after \(PathRecording.most) paths: name some with --from or a filter"),
        ] where count > 0 {
            Terminal.error("note: not recorded: \(Plural.counted(count, "packet")) \(sentence)")
        }
    }
}
