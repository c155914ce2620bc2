import ControlAPI
import WebPages

/// What a click on a part of the picture shows, as HTML.
struct Details {
    let drawing: TopologyDrawing
    let version: Int
    let sample: Sample
    let secret: String

    /// How long a capture may take, in seconds; how many packets and octets it may have.
    static let mostSeconds = 120
    static let mostPackets = 100_000
    static let mostOctets = 64 << 20

    /// The rows of entries that are shown.
    private static let mostRows = 200

    // MARK: - Arrows

    /// An arrow: its entries with their counters, ten minutes, and a form for a capture.
    func arrow(_ index: Int, _ listing: TableListing, _ series: [Float]) -> String {
        let arrow = drawing.arrows[index]
        let names = Set(arrow.entries)
        let rows = (listing.distribution.map { ("distribution", $0) } + listing.sequencing.map { ("sequencing", $0) })
            .filter { names.contains($0.1.name) }
        var fragment = Fragment()
        fragment.add("<h2>\(escaped(Picture.title(arrow, drawing)))</h2>\(Sparkline.svg(series))")
        Tables.table(
            "Entries", "arrow",
            ["Entry", "Kind", "Comes in by", "From", "To", "Port", "Goes to", "Packets", "Bytes"],
            rows.prefix(Self.mostRows).map { kind, row in
                [
                    .fixed(row.name), .fixed(kind), .fixed(row.receivedInterface),
                    .fixed(row.sourceNode ?? row.source ?? "any"), .fixed(row.destination ?? "any"),
                    .fixed(row.servicePort), .fixed(Self.copies(row)), .number("p", "\(row.packets ?? 0)"),
                    .number("b", "\(row.bytes ?? 0)"),
                ]
            }, &fragment, empty: "the table has none of them now")
        fragment.add(captureForm(of: arrow, index))
        return fragment.html
    }

    private static func copies(_ row: TableListing.Row) -> String {
        let texts = row.copies.map { copy -> String in
            let node = copy.node ?? copy.oneOf ?? copy.sendAddress
            return "\(node) by \(copy.sendInterface)" + (copy.rewritePort.map { " as \($0)" } ?? "")
                + (copy.when.map { " (\($0))" } ?? "")
        }
        return texts.count > 8
            ? texts.prefix(8).joined(separator: "; ") + "; \(texts.count - 8) more" : texts.joined(separator: "; ")
    }

    private func captureForm(of arrow: TopologyDrawing.Arrow, _ index: Int) -> String {
        """
        <form class="capture" method="post" action="/capture"><h3>Capture</h3>
        <input type="hidden" name="secret" value="\(secret)"><input type="hidden" name="arrow" value="\(index)">
        <input type="hidden" name="v" value="\(version)">
        <p class="hint">Frames of this service at \(escaped(drawing.boxes[arrow.to].name)) on interface \
        \(escaped(drawing.bars[arrow.sendBar].name)), as pcapng for Wireshark; at most \(Self.mostOctets >> 20) MiB.
        The TLS keys of the nodes are not in it, because everybody who sees this page may download it: \
        <code>tapline capture</code> has them.</p>
        <label>Filter <input name="filter" maxlength="1000" placeholder="tcp port 80" autocomplete="off"></label>
        <label>Packets <input name="packets" type="number" min="1" max="\(Self.mostPackets)" value="1000"></label>
        <label>Seconds <input name="seconds" type="number" min="1" max="\(Self.mostSeconds)" value="10"></label>
        <button>Download a capture</button></form>
        """
    }

    // MARK: - Nodes

    /// A box: its health, instances, restarts, and the end of their logs.
    func box(_ index: Int, logs: [(node: String, lines: [String])]) -> String {
        let box = drawing.boxes[index]
        var fragment = Fragment()
        fragment.add("<h2>\(escaped(box.name))</h2><p>\(escaped(box.caption)): ")
        fragment.add(live: "about.h", Condition(of: box.nodes, sample.status).text)
        fragment.add("</p>")
        let nodes = sample.status.nodes.filter { box.nodes.contains($0.name) }
        Tables.table(
            "Nodes", "about-n",
            ["Node", "State", "Process", "Restarts", "Last end", "Namespace", "Addresses"],
            nodes.map { node in
                [
                    .fixed(node.name), .live("s", node.state), .live("p", node.pid.map { "\($0)" } ?? "–"),
                    .number("n", "\(node.restarts)"), .live("e", node.lastEnd ?? "–"), .fixed(node.namespace),
                    .fixed(
                        node.legs.map { "\($0.interface): \($0.addresses.joined(separator: ", "))" }.joined(
                            separator: "; ")),
                ]
            }, &fragment)
        let instances = sample.status.applications.flatMap { application in
            application.instances.filter { box.nodes.contains($0.name) }
        }
        if !instances.isEmpty { add(instances, &fragment) }
        for log in logs {
            fragment.add(
                "<section><h3>Log of \(escaped(log.node))</h3><pre class=\"log\" tabindex=\"0\" role=\"region\" "
                    + "aria-label=\"Log of \(escaped(log.node))\">"
                    + (log.lines.isEmpty ? "(nothing)" : escaped(log.lines.joined(separator: "\n")))
                    + "</pre></section>")
        }
        return fragment.html
    }

    private func add(_ instances: [StatusReport.Instance], _ fragment: inout Fragment) {
        Tables.table(
            "Instances", "about-i", ["Instance", "State", "Since", "Share", "Weight", "Priority", "Because"],
            instances.map { instance in
                [
                    .fixed(instance.name), .live("s", instance.state),
                    .live("t", String(ApplianceEvent.timeText(instance.since).prefix(19)) + "Z"),
                    .number("h", ApplianceEvent.percent(instance.share)), .number("w", "\(instance.weight)"),
                    .number("p", "\(instance.priority)"), .live("r", instance.reason),
                ]
            }, &fragment)
        let checks = instances.flatMap { instance in instance.checks.map { (instance.name, $0) } }
        guard !checks.isEmpty else { return }
        Tables.table(
            "Health checks", "about-c", ["Check", "Instance", "Result", "Last"],
            checks.map { instance, check in
                [
                    .fixed(check.name), .fixed(instance), .live("s", check.isPassed ? "passed" : "failed"),
                    .live("r", check.last ?? "–"),
                ]
            }, &fragment)
    }
}
