import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import EventLoop
import Fabric
import Glibc
import Observation
import PacketCapture
import Reporting
import TopologyFiles
import Wire

/// `tapline capture`.
struct Capture: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Capture frames of a running topology as pcapng, with an interface for each node.",
        discussion: """
            The file has one interface for each node on each of its interfaces, nanosecond times of one clock, and for each
            packet a number that is the same at every hop: frame.packet_id == 7 in Wireshark shows its whole way. Comments
            tell the service, the entry, the reason of a drop, and the time in the application before. Frames of a tunnel are
            there twice: on its own interface, and inside packets of the underlay. FILTER is an expression
            of pcap-filter(7), tried at every hop. Without -w the capture goes to NAME.pcapng; '-w -' writes to standard
            output. TLS keys that a node writes to $TAPLINE_DIR/SSLKEYLOGFILE are in the file, too.

            EXAMPLE
              sudo tapline capture four-interface -w chain.pcapng
              sudo tapline capture four-interface firewall 'tcp port 80' --count 100
              sudo tapline capture four-interface -w - | wireshark -k -i -
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "Only frames of this node, if the topology has one of that name; then an expression to match.")
    var nodeAndFilter: [String] = []

    @Option(help: "Only frames on this interface; if it carries circuits, as on the wire.")
    var interface: String?

    @Option(help: "Only frames of this service.")
    var service: String?

    @Flag(help: "All nodes and interfaces, which is what happens without NODE, --interface and --service.")
    var all = false

    @Flag(help: "Only frames that the engine drops.")
    var dropped = false

    @Option(name: [.customShort("w"), .customLong("write")], help: "The file, or - for standard output.")
    var output: String?

    @Option(help: "At most so many octets of each frame.")
    var snaplen: Int?

    @Option(help: "End after COUNT packets: 0 or more.")
    var count: UInt64?

    @Option(name: .customLong("for"), help: "End after this time: 10s.")
    var time: String?

    @Option(help: "Files of a size that follow one another, of which the last are kept: 100M×4.")
    var ring: String?

    @Flag(help: "Cut superframes into the frames that a wire would carry.")
    var segments = false

    func validate() throws {
        if let snaplen, !(14...262_144).contains(snaplen) { throw ValidationError("--snaplen is 14 to 262144.") }
        if let count, count < 1 { throw ValidationError("--count is 1 or more.") }
        if let time, DurationText.milliseconds(time) == nil { throw ValidationError("--for: \(DurationText.hint).") }
        if ring != nil, output == "-" { throw ValidationError("--ring needs a file, not standard output.") }
        if all, interface != nil || service != nil {
            throw ValidationError("--all goes with neither --interface nor --service.")
        }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            if output == "-", isatty(1) == 1 {
                throw ApplianceError(
                    .usage, "a terminal cannot show a capture",
                    hint: "pipe it: sudo tapline capture \(name) -w - | wireshark -k -i -")
            }
            let client = try ApplianceClient(name: name)
            Ending.note()
            let end = time.flatMap(DurationText.milliseconds).map { monotonicTime() + .milliseconds($0) }
            let nodes = try client.description(entries: false).nodes.map(\.name)
            let words = try CaptureWords(nodeAndFilter, nodes: nodes)
            let capture = try LiveCapture(
                client,
                LiveCapture.Options(
                    node: words.node, interface: interface, service: service, onlyDropped: dropped,
                    filter: words.filter, snapLength: snaplen, cutsSegments: segments,
                    limits: CaptureLimits(packets: count, end: end)), to: try target(),
                isCancelled: { Ending.isAskedFor })
            tell()
            do throws(ApplianceError) {
                while !Ending.isAskedFor, !isReaderGone, try capture.turn(within: .milliseconds(20)) {}
                try capture.close()
            } catch {
                // A reader that has seen enough is no failure.
                guard capture.isReaderGone || isReaderGone || Ending.isAskedFor && output == "-" else { throw error }
            }
            capture.countLost()
            var summary = "captured \(Plural.counted(capture.packets, "packet"))"
            if let output, output != "-" { summary += " into \(output)" }
            if output == nil { summary += " into \(name).pcapng" }
            if capture.lost > 0 {
                summary +=
                    "; \(Plural.counted(capture.lost, "frame was", "frames were")) lost: narrow the filter, or use --snaplen"
            }
            Terminal.error(summary)
            if capture.isOver { throw client.parting("the frames before are in the file") }
        }
    }

    private func target() throws(ApplianceError) -> CaptureTarget {
        if output == "-" { return .descriptor(1, name: "standard output") }
        var path = CapturePath(output ?? "\(name).pcapng")
        // Captures may hold secrets, so nobody but their owner reads them: with sudo that is who called it.
        func number(_ variable: String) -> UInt32? { getenv(variable).flatMap { UInt32(String(cString: $0)) } }
        if let user = number("SUDO_UID"), let group = number("SUDO_GID") { path.owner = (user, group) }
        guard let ring else { return .file(path) }
        return .ring(path, try FileRing(ring))
    }

    /// True if the reader of standard output has closed the pipe. Without frames no write would tell.
    private var isReaderGone: Bool {
        guard output == "-" else { return false }
        var waiting = pollfd(fd: 1, events: 0, revents: 0)
        return poll(&waiting, 1, 0) > 0 && waiting.revents & Int16(POLLERR) != 0
    }

    /// Tells how to see the capture live.
    private func tell() {
        guard output != "-", isatty(2) == 1 else { return }
        var words = ["sudo tapline capture", ShellWord.quoted(name)]
        words += nodeAndFilter.map { ShellWord.quoted($0) }
        Terminal.error("capturing; Ctrl-C ends it. Live: \(words.joined(separator: " ")) -w - | wireshark -k -i -")
    }
}
