import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import EventLoop
import Fabric
import Glibc
import Observation
import Plan
import Reporting
import Tracing
import Wire

/// `tapline trace`.
struct Trace: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Follow real packets, hop by hop: where they went, and how long each application held them.",
        discussion: """
            FILTER is an expression of pcap-filter(7). It picks packets by the frame that the engine reads first of them. A
            picked packet is followed to its end, whatever addresses and ports it has later, and so are the answers to it. If
            engines read more than 20000 frames a second, FILTER is tried at every hop instead, and a note says so. Each packet
            is shown when its way has ended: its entries, its copies, the time in each application, and its end. Interrupt the
            command to see the summary: each distinct path with the times in it. What can only be guessed is marked as a guess.
            With --json each packet is one line, and the summary the last.

            --from and --via take a node, or an application with instances: any of them. --from also finds packets with a false
            source address: the node's MAC address tells them, or its interface if no other node is there.

            With --explain, 'nft monitor trace' runs in each node that has rules of nftables, and the rule that dropped a packet
            is named. The node's own rules stay as they are.

            EXAMPLE
              sudo tapline trace four-interface --from alice --first 10
              sudo tapline trace four-interface 'tcp port 80' --sample 1/64 --for 10s --quiet
              sudo tapline trace four-interface --dropped --explain
              sudo tapline trace four-interface --send alice 203.0.113.80 tcp/80
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "Only packets whose first frame matches this expression.")
    var filter: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: "Send a packet and follow it: NODE ADDRESS PORT, for example alice 203.0.113.80 tcp/80.")
    var send: [String] = []

    @Option(help: "Only packets that this node or application sent, and their answers.")
    var from: String?

    @Option(help: "Only packets of this service.")
    var service: String?

    @Option(help: "Only packets that this application got.")
    var via: String?

    @Option(help: "End after COUNT packets and their answers.")
    var first: Int?

    @Option(help: "Follow one flow in N: 1/64.")
    var sample: String?

    @Flag(help: "Only packets that the engine dropped, or that did not come out of an application.")
    var dropped = false

    @Flag(help: "Name the rule of nftables that dropped a packet in a node.")
    var explain = false

    @Option(name: .customLong("for"), help: "End after this time: 10s.")
    var time: String?

    @Flag(help: "Print lines of JSON.")
    var json = false

    @Flag(help: "Show the summary alone.")
    var quiet = false

    @Option(help: "Also write the summary to this file as a picture (SVG).", completion: .file(extensions: ["svg"]))
    var svg: String?

    /// How long a packet may stay in an application, and how long an answer is waited for after the last packet.
    private static let patience = Duration.milliseconds(1_100)

    private var oneIn: Int? { sample.map { SampleText.flows($0) } ?? 1 }

    func validate() throws {
        if oneIn == nil { throw ValidationError("--sample: \(SampleText.hint).") }
        if !send.isEmpty {
            guard send.count == 3 else {
                throw ValidationError("--send takes NODE ADDRESS PORT: --send alice 203.0.113.80 tcp/80.")
            }
            guard IPAddress(send[1]) != nil else {
                throw ValidationError("--send: '\(send[1])' is no IPv4 or IPv6 address.")
            }
            guard filter.isEmpty, from == nil, service == nil, via == nil, first == nil, sample == nil, !dropped else {
                throw ValidationError(
                    "--send follows the packet that it sends: leave the filter and the selection out.")
            }
        }
        if let first, first < 1 { throw ValidationError("--first is 1 or more.") }
        if let time, DurationText.milliseconds(time) == nil { throw ValidationError("--for: \(DurationText.hint).") }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            // What is wrong with the file is told before anything is followed.
            var picture: ReportFile?
            if let svg { picture = try ReportFile(path: svg) }
            let client = try ApplianceClient(name: name)
            let sourcePort = Int.random(in: 20_000...32_000)
            let traces = try LiveTraces(client, options(sourcePort))
            tell(traces)
            Ending.note()
            let end = time.flatMap(DurationText.milliseconds).map { monotonicTime() + .milliseconds($0) }
            let output = PatientOutput { Ending.isAskedFor || end.map { monotonicTime() >= $0 } ?? false }
            if !send.isEmpty {
                try begin(client, traces, sourcePort)
            } else if !json, isatty(2) == 1 {
                Terminal.error("following packets of '\(name)'; Ctrl-C ends it")
            }
            try follow(traces, until: end, output)
            show(traces.finish(), output)
            try picture?.write(SummarySVG.document(traces.report, title: "Paths of packets through \(name)"))
            try show(traces.report, output)
            if let failure = output.failure { throw failure }
            if traces.isOver { throw client.parting("'tapline status' lists all topologies") }
        }
    }

    private func tell(_ traces: LiveTraces) {
        for remark in traces.takeRemarks() { Terminal.error("note: \(remark)") }
    }

    /// Shows packets as they end, until all that was asked for were shown, or something ends it.
    private func follow(
        _ traces: LiveTraces, until end: MonotonicTime?, _ output: PatientOutput
    ) throws(ApplianceError) {
        var answersUntil: MonotonicTime?
        let sentUntil = send.isEmpty || end != nil ? nil : monotonicTime() + Self.unseen
        var seen = 0
        while !Ending.isAskedFor, !traces.isOver, output.isWanted {
            let now = monotonicTime()
            if let end, now >= end { break }
            if traces.isFull {
                let until = answersUntil ?? now + Self.patience
                answersUntil = until
                if now >= until { break }
            }
            let ended = try traces.next(within: .milliseconds(20))
            tell(traces)
            seen += ended.count
            show(ended, output)
            if let sentUntil, seen == 0, now >= sentUntil { throw unseen(traces) }
        }
    }

    /// The time within which a packet that was sent has come to an engine, and its trace has ended.
    private static let unseen = Duration.seconds(4)

    /// How long nft may take to tell of a packet that its node did not send.
    private static let ruling = Duration.seconds(1)

    /// Sends the packet. If the node drops it itself, the rule is named.
    private func begin(
        _ client: ApplianceClient, _ traces: LiveTraces, _ sourcePort: Int
    ) throws(ApplianceError) {
        do throws(ApplianceError) {
            _ = try client.send(from: send[0], to: send[1], port: send[2], sourcePort: sourcePort)
        } catch {
            let until = monotonicTime() + Self.ruling
            while explain, monotonicTime() < until, !traces.isOver {
                _ = try traces.next(within: .milliseconds(20))
                if let rule = ownDrop(traces) { throw rule }
            }
            guard !explain, error.status == .failed else { throw error }
            throw ApplianceError(
                .failed, error.message, hint: error.hint ?? "if a rule of nftables drops it there, --explain names it")
        }
    }

    /// The rule by which the sender dropped the packet itself; nil if nft told of none.
    private func ownDrop(_ traces: LiveTraces) -> ApplianceError? {
        guard let drop = traces.report.ownDrops.first(where: { $0.rule.node == send[0] }) else { return nil }
        return ApplianceError(
            .failed, "no engine has read the packet, because \(drop.rule.sentence)",
            hint: "'tapline exec \(name) \(send[0]) nft -a list ruleset' shows all its rules")
    }

    private func unseen(_ traces: LiveTraces) -> ApplianceError {
        ownDrop(traces)
            ?? ApplianceError(
                .failed, "no engine has read the packet that \(send[0]) sent",
                hint:
                    "nobody answered \(send[0]) for its next hop, the destination is on \(send[0])'s own link, or a rule "
                    + "in \(send[0]) dropped it: 'tapline exec \(name) \(send[0]) ip neighbour' shows the first, and "
                    + "--explain names the last")
    }

    /// What to follow.
    ///
    /// - Parameter sourcePort: That of the packet to send.
    private func options(_ sourcePort: Int) -> LiveTraces.Options {
        guard send.isEmpty else {
            // Other packets of the node go on meanwhile.
            let hasPorts = send[2].contains("/") && !send[2].hasPrefix("protocol")
            let filter = "host \(send[1])" + (hasPorts ? " and port \(sourcePort)" : "")
            return LiveTraces.Options(
                selection: TraceSelection(first: 1, from: send[0]), filter: filter, explains: explain,
                senderOption: "--send")
        }
        return LiveTraces.Options(
            selection: TraceSelection(
                first: first, onlyLost: dropped, from: from, service: service, via: via,
                takesHousekeeping: !filter.isEmpty),
            filter: filter.isEmpty ? nil : filter.joined(separator: " "), oneIn: oneIn ?? 1, explains: explain)
    }

    private func show(_ traces: [PacketTrace], _ output: PatientOutput) {
        guard !quiet else { return }
        for trace in traces {
            if json {
                guard let line = try? JSONLine.encode(trace) else { continue }
                output.json(String(decoding: line.dropLast(), as: UTF8.self))
            } else {
                let lines = TraceText.lines(trace, width: Terminal.width) { TextColumn.width($0) }
                output.out(lines.joined(separator: "\n") + "\n")
            }
        }
    }

    private func show(_ report: TraceSummaryReport, _ output: PatientOutput) throws(ApplianceError) {
        if json {
            output.json(String(decoding: try JSONLine.encode(report).dropLast(), as: UTF8.self))
        } else {
            let lines = TraceText.lines(report, width: Terminal.width) { TextColumn.width($0) }
            output.out(lines.joined(separator: "\n"))
        }
    }
}
