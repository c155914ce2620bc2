import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Reporting

/// `tapline impair`.
struct Impair: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lose, delay, duplicate, corrupt or slow down the packets of a link, live.",
        discussion: """
            A link is an interface, a node with one device, NODE/INTERFACE, or service/NAME. The options are the keys of `impair` in
            the file. They replace what was in force on the link, in both directions or in one. Without a link, the command lists
            the impaired links and what was done to their packets. 'tapline apply' makes all links as the file says again.

            EXAMPLE
              sudo tapline impair four-interface customers --delay 20ms --jitter 5ms --loss 1%
              sudo tapline impair four-interface alice --direction to-nodes --rate 10mbit --queue 100
              sudo tapline impair four-interface service/shop --loss enter=1%,leave=25%
              sudo tapline impair four-interface customers --trace satellite.txt
              sudo tapline impair four-interface
              sudo tapline impair four-interface customers --clear
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The link: an interface, a node, NODE/INTERFACE or service/NAME. (default: list all)")
    var link: String?

    @Option(help: "Packets in this direction alone: to-nodes or from-nodes. (default: both)")
    var direction: String?

    @Option(help: "How many packets are lost: 1%, or in bursts: enter=1%,leave=25%.")
    var loss: String?

    @Option(help: "How many packets arrive twice: 0.1%.")
    var duplicate: String?

    @Option(help: "How many packets get a flipped bit: 0.01%.")
    var corrupt: String?

    @Option(help: "The bits of frames that pass in a second: 64kbit, 10mbit, 1.5gbit.")
    var rate: String?

    @Option(help: "How many packets may wait for the rate. (default: 1000)")
    var queue: String?

    @Option(help: "How long packets take in one direction: 20ms, 250us, at most 10s.")
    var delay: String?

    @Option(help: "How far the delay of a packet differs, up or down: 5ms.")
    var jitter: String?

    @Option(
        help: "A file with a delay in each line, in place of --delay and --jitter: each packet takes the next one.",
        completion: .file())
    var trace: String?

    @Option(help: "How many packets are not delayed, and so overtake others: 0.5%.")
    var reorder: String?

    @Option(help: "Equal seeds pick the same packets of a sequence. (default: 0)")
    var seed: String?

    @Flag(help: "Nothing happens to the link's packets any more.")
    var clear = false

    @Flag(help: "Print JSON.")
    var json = false

    private var settings: [String: String] {
        let all: [String: String?] = [
            "loss": loss, "duplicate": duplicate, "corrupt": corrupt, "rate": rate, "queue": queue, "delay": delay,
            "jitter": jitter, "trace": trace.map(PlanReader.absolute), "reorder": reorder, "seed": seed,
        ]
        return all.compactMapValues { $0 }
    }

    func validate() throws {
        let words = settings
        if link == nil, !words.isEmpty || clear || direction != nil {
            throw ValidationError("Name the link whose packets are meant: tapline impair \(name) LINK …")
        }
        if clear, !words.isEmpty || direction != nil {
            throw ValidationError("With --clear nothing happens to the packets, so omit the other options.")
        }
        if link != nil, words.isEmpty, !clear {
            throw ValidationError("Say what happens to the packets, such as --delay 20ms, or --clear.")
        }
        if let direction, direction != "to-nodes", direction != "from-nodes" {
            throw ValidationError("A direction is to-nodes or from-nodes.")
        }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            let report = try ApplianceClient(name: name).impair(
                link, direction: direction, settings: settings, clear: clear)
            if json {
                Terminal.json(try prettyJSON(report))
            } else {
                for line in ImpairmentTable(links: report.links).lines { Terminal.out(line) }
            }
        }
    }
}

/// The impaired links of a topology, as a table.
struct ImpairmentTable {
    let links: [StatusReport.Impairment]

    var lines: [String] {
        guard !links.isEmpty else { return ["no link is impaired"] }
        var table = TextTable(
            [
                "LINK", "DIRECTION", "PACKETS", "LOST", "NO ROOM", "TWICE", "FLIPPED", "OVERTOOK", "WAITING",
                "IMPAIRMENT",
            ],
            rightAligned: [2, 3, 4, 5, 6, 7, 8])
        for link in links {
            table.add([
                link.link, link.direction, "\(link.packets)", "\(link.lost)", "\(link.overflowed)",
                "\(link.duplicated)", "\(link.corrupted)", "\(link.reordered)", "\(link.waiting)",
                link.settings + (link.isCommanded ? " (by command)" : ""),
            ])
        }
        return table.lines
    }
}
