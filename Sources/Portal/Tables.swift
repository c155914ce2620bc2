import ControlAPI
import Metrics
import WebPages

/// The tables of the page: the numbers of one sample, as `tapline status` and `tapline tables` have them.
struct Tables {
    let sample: Sample
    /// Since the sample before; nil for the first.
    let rates: RateReport?

    /// The most entries that are listed.
    private static let mostEntries = 500

    /// A cell.
    enum Cell {
        /// A text that stays.
        case fixed(String)
        /// A text that changes, by its key within the row.
        case live(String, String)
        /// A number that changes, by its key within the row.
        case number(String, String)
    }

    func add(to fragment: inout Fragment) {
        interfaces(&fragment)
        services(&fragment)
        applications(&fragment)
        nodes(&fragment)
        engines(&fragment)
        drops(&fragment)
        entries(&fragment)
    }

    /// A table with a row for each thing.
    ///
    /// - Parameters:
    ///   - key: The beginning of the keys of live cells; the row's number and the cell's key follow.
    static func table(
        _ title: String, _ key: String, _ headers: [String], _ rows: [[Cell]], _ fragment: inout Fragment,
        empty: String = "none"
    ) {
        fragment.add("<section class=\"table\"><h3 id=\"t-\(key)\">\(escaped(title))</h3>")
        guard !rows.isEmpty else { return fragment.add("<p>\(escaped(empty))</p></section>") }
        fragment.add(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"t-\(key)\">"
                + "<table aria-labelledby=\"t-\(key)\"><thead><tr>"
                + headers.map { "<th scope=\"col\">\(escaped($0))</th>" }.joined() + "</tr></thead><tbody>")
        for (index, row) in rows.enumerated() {
            fragment.add("<tr>")
            for (column, cell) in row.enumerated() {
                switch cell {
                case .fixed(let text) where column == 0:
                    fragment.add("<th scope=\"row\">\(escaped(text))</th>")
                case .fixed(let text): fragment.add("<td>\(escaped(text))</td>")
                case .live(let name, let text):
                    fragment.add("<td>")
                    fragment.add(live: "\(key)\(index).\(name)", text)
                    fragment.add("</td>")
                case .number(let name, let text):
                    fragment.add("<td class=\"number\">")
                    fragment.add(live: "\(key)\(index).\(name)", text)
                    fragment.add("</td>")
                }
            }
            fragment.add("</tr>")
        }
        fragment.add("</tbody></table></div></section>")
    }

    private func rate(_ kind: RateReport.Kind, _ name: String, _ direction: String? = nil) -> RateReport.Row? {
        known[RowName(kind: kind, name: name, direction: direction)]
    }

    private struct RowName: Hashable {
        var kind: RateReport.Kind
        var name: String
        var direction: String?
    }
    private let known: [RowName: RateReport.Row]

    init(sample: Sample, rates: RateReport?) {
        self.sample = sample
        self.rates = rates
        known = Dictionary(
            (rates?.rows ?? []).map { (RowName(kind: $0.kind, name: $0.name, direction: $0.direction), $0) }
        ) { first, _ in first }
    }

    private static func packets(_ row: RateReport.Row?) -> String { Figures.short(row?.packets ?? 0) }
    private static func bits(_ row: RateReport.Row?) -> String { Figures.short(row?.bits ?? 0) }

    private func interfaces(_ fragment: inout Fragment) {
        let rows = sample.status.interfaces.map { interface -> [Cell] in
            let received = rate(.interface, interface.name, "received")
            let sent = rate(.interface, interface.name, "sent")
            return [
                .fixed(interface.name), .fixed(interface.addresses.joined(separator: ", ")),
                .number("rp", "\(interface.receivedPackets)"), .number("rb", "\(interface.receivedBytes)"),
                .number("rr", Self.packets(received)), .number("sp", "\(interface.sentPackets)"),
                .number("sb", "\(interface.sentBytes)"), .number("sr", Self.packets(sent)),
                .number("rd", "\(interface.ringDrops)"),
            ]
        }
        Self.table(
            "Interfaces", "i",
            [
                "Interface", "Addresses", "Received packets", "Received bytes", "Received packets/s", "Sent packets",
                "Sent bytes", "Sent packets/s", "Queue drops",
            ], rows, &fragment)
    }

    private func services(_ fragment: inout Fragment) {
        let rows = sample.services.map { service -> [Cell] in
            let (request, response) = (
                rate(.service, service.name, "request"), rate(.service, service.name, "response")
            )
            return [
                .fixed(service.name), .number("qp", "\(service.requests.packets)"),
                .number("qb", "\(service.requests.bytes)"), .number("qr", Self.packets(request)),
                .number("qs", Self.bits(request)), .number("ap", "\(service.responses.packets)"),
                .number("ab", "\(service.responses.bytes)"), .number("ar", Self.packets(response)),
                .number("as", Self.bits(response)),
            ]
        }
        Self.table(
            "Services", "s",
            [
                "Service", "Request packets", "Request bytes", "Requests/s", "Request bit/s", "Response packets",
                "Response bytes", "Responses/s", "Response bit/s",
            ], rows, &fragment)
    }

    private func applications(_ fragment: inout Fragment) {
        let rows = sample.status.applications.flatMap { application in
            application.instances.map { instance -> [Cell] in
                [
                    .fixed(instance.name), .fixed(application.name), .live("w", application.state),
                    .live("s", instance.state), .number("h", ApplianceEvent.percent(instance.share)),
                    .live("r", instance.reason),
                ]
            }
        }
        Self.table(
            "Instances", "p", ["Instance", "Application", "Application is", "Instance is", "Share", "Because"], rows,
            &fragment, empty: "no application has health checks or several instances")
    }

    private func nodes(_ fragment: inout Fragment) {
        let uses = Dictionary(sample.nodes.map { ($0.name, $0.use) }) { first, _ in first }
        let rows = sample.status.nodes.map { node -> [Cell] in
            [
                .fixed(node.name), .fixed(node.type ?? node.kind), .live("s", node.state),
                .number("n", "\(node.restarts)"),
                .number("c", "\(Figures.short(rate(.node, node.name)?.processor ?? 0)) %"),
                .number("m", uses[node.name].map { Figures.octets($0.memoryBytes) } ?? "–"),
                .live("e", node.lastEnd ?? "–"),
            ]
        }
        Self.table(
            "Nodes", "n", ["Node", "Type", "State", "Restarts", "Processor", "Memory", "Last end"], rows, &fragment)
    }

    private func engines(_ fragment: inout Fragment) {
        let rows = sample.status.engines.map { engine -> [Cell] in
            let row = rate(.engine, "\(engine.number)")
            return [
                .fixed("\(engine.number)"), .live("p", engine.pid.map { "\($0)" } ?? "–"), .live("s", engine.state),
                .number("n", "\(engine.packets)"), .number("r", Self.packets(row)),
                .number("c", "\(Figures.short(row?.processor ?? 0)) %"), .number("t", "\(engine.starts)"),
                .live("w", engine.writes ?? "–"), .live("e", engine.lastEnd ?? "–"),
            ]
        }
        Self.table(
            "Engines", "g",
            ["Engine", "Process", "State", "Packets", "Packets/s", "Processor", "Starts", "Writes by", "Last end"],
            rows,
            &fragment)
    }

    private func drops(_ fragment: inout Fragment) {
        let rows = sample.status.drops.map { drop -> [Cell] in
            [
                .fixed(drop.reason), .number("f", "\(drop.frames)"),
                .number("r", Figures.short(rate(.drop, drop.reason)?.drops ?? 0)), .fixed(drop.sentence),
            ]
        }
        Self.table("Drops", "d", ["Reason", "Frames", "Frames/s", "What that means"], rows, &fragment)
    }

    private func entries(_ fragment: inout Fragment) {
        let rows = sample.entries.prefix(Self.mostEntries).map { entry -> [Cell] in
            let row = rate(.entry, entry.name)
            return [
                .fixed(entry.name), .fixed(entry.kind), .fixed(entry.service ?? "–"),
                .number("p", "\(entry.traffic.packets)"), .number("b", "\(entry.traffic.bytes)"),
                .number("r", Self.packets(row)), .number("s", Self.bits(row)),
            ]
        }
        Self.table(
            "Entries", "e", ["Entry", "Kind", "Service", "Packets", "Bytes", "Packets/s", "Bit/s"], rows, &fragment)
        if sample.entries.count > Self.mostEntries {
            fragment.add(
                "<p>and \(sample.entries.count - Self.mostEntries) more: tapline tables \(escaped(sample.status.name))</p>"
            )
        }
    }
}
