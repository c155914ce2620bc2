import ControlAPI
import Metrics
import WebPages

/// The picture of the topology as SVG: what is in it are links, so it works without a script, and by keyboard.
struct Picture {
    let drawing: TopologyDrawing
    let version: Int
    let status: StatusReport
    /// By entry.
    let rates: [String: RateReport.Row]

    private static let colours = 8
    /// The room for a title, which the page has elsewhere.
    private static let title = 40

    /// The path of an arrow's page.
    static func path(arrow index: Int, version: Int) -> String { "/arrow/\(index)?v=\(version)" }
    /// The path of a node's page.
    static func path(box index: Int, version: Int) -> String { "/node/\(index)?v=\(version)" }

    /// The sum of the packets a second of entries.
    func packets(_ entries: [String]) -> Double { entries.reduce(0) { $0 + (rates[$1]?.packets ?? 0) } }

    /// The name of an arrow, for people.
    static func title(_ arrow: TopologyDrawing.Arrow, _ drawing: TopologyDrawing) -> String {
        "\(drawing.services[arrow.service]) \(arrow.isResponse ? "response" : "request"), "
            + "\(drawing.boxes[arrow.from].name) to \(drawing.boxes[arrow.to].name)\(arrow.isCopy ? ", a copy" : "")"
    }

    /// The SVG.
    func add(to fragment: inout Fragment) {
        let height = drawing.height + 12 - Self.title
        fragment.add(
            "<svg viewBox=\"0 \(Self.title) \(drawing.width) \(height)\" width=\"\(drawing.width)\" height=\"\(height)\" role=\"group\" "
                + "aria-label=\"Topology: nodes and arrows\"><defs>")
        for colour in 0..<min(Self.colours, max(1, drawing.services.count)) {
            fragment.add(
                "<marker id=\"tip\(colour)\" class=\"tip s\(colour)\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" "
                    + "markerWidth=\"7\" markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">"
                    + "<path d=\"M0 0.5 L8 4 L0 7.5 z\"/></marker>")
        }
        fragment.add("</defs>")
        for (index, bar) in drawing.bars.enumerated() { add(bar, index, to: &fragment) }
        for box in drawing.boxes {
            for bar in Set(box.bars).sorted() {
                let x = drawing.bars[bar].x
                let edge = x < box.x ? box.x : box.x + box.width
                fragment.add(
                    "<path class=\"cable\" d=\"M\(edge) \(box.y + box.height / 2) H\(x)\" "
                        + "stroke-width=\"\(box.height - 8)\"/>")
            }
        }
        let labels = Dictionary(grouping: drawing.arrows.indices) { Label(drawing.arrows[$0]) }
        for (index, arrow) in drawing.arrows.enumerated() {
            let together = labels[Label(arrow)] ?? []
            add(arrow, index, labelOf: together.first == index ? together : [], to: &fragment)
        }
        for (index, box) in drawing.boxes.enumerated() { add(box, index, to: &fragment) }
        fragment.add("<g id=\"trail\"></g></svg>")
    }

    private struct Label: Hashable {
        var x: Int
        var y: Int

        init(_ arrow: TopologyDrawing.Arrow) { (x, y) = (arrow.labelX, arrow.labelY) }
    }

    private func add(_ bar: TopologyDrawing.Bar, _ index: Int, to fragment: inout Fragment) {
        fragment.add(
            "<rect class=\"bar\" x=\"\(bar.x - 4)\" y=\"\(drawing.top)\" width=\"8\" "
                + "height=\"\(drawing.height - drawing.top)\" rx=\"3\"/>"
                + "<text class=\"name\" x=\"\(bar.x)\" y=\"\(drawing.top - 12 - bar.details.count * 15)\">"
                + "\(escaped(bar.name))</text>")
        for (number, detail) in bar.details.enumerated() {
            let y = drawing.top - 10 - (bar.details.count - 1 - number) * 15
            fragment.add("<text class=\"detail\" x=\"\(bar.x)\" y=\"\(y)\">\(escaped(detail))</text>")
        }
    }

    /// - Parameter together: The arrows that end at the same place, if this one has their number; else none.
    private func add(
        _ arrow: TopologyDrawing.Arrow, _ index: Int, labelOf together: [Int], to fragment: inout Fragment
    ) {
        let rate = packets(arrow.entries)
        let colour = arrow.service % Self.colours
        fragment.add(
            "<a class=\"arrow s\(colour)\(arrow.isResponse ? " response" : "")\(arrow.isCopy ? " copy" : "")\" "
                + "id=\"arrow-\(index)\" href=\"\(Self.path(arrow: index, version: version))\"")
        fragment.add(
            label: "a\(index).l", "\(Self.title(arrow, drawing)): \(Figures.short(rate)) packets a second")
        fragment.add(state: "a\(index).s", rate > 0 ? "busy" : "quiet")
        let course = arrow.isResponse ? PictureCourse(arrow.course) : nil
        fragment.add(
            "><path class=\"hit\" d=\"\(arrow.course)\"/>"
                + (course?.curve.map { "<path class=\"line long\" d=\"\($0)\"/>" } ?? "")
                + "<path class=\"line\" d=\"\(course?.rest ?? arrow.course)\" marker-end=\"url(#tip\(colour))\"/>")
        if !together.isEmpty {
            let entries = Set(together.flatMap { drawing.arrows[$0].entries })
            fragment.add("<text class=\"rate\" x=\"\(arrow.labelX)\" y=\"\(arrow.labelY)\">")
            fragment.add(live: "a\(index).r", Figures.short(packets(Array(entries))), in: "tspan")
            fragment.add("</text>")
        }
        fragment.add("</a>")
    }

    private func add(_ box: TopologyDrawing.Box, _ index: Int, to fragment: inout Fragment) {
        let health = Condition(of: box.nodes, status)
        let (middle, top) = (box.x + box.width / 2, box.y + box.height / 2 - 11 - box.addresses.count * 7)
        fragment.add(
            "<a class=\"box\(box.isCustomer ? " customer" : "")\" id=\"node-\(index)\" "
                + "href=\"\(Self.path(box: index, version: version))\"")
        fragment.add(label: "b\(index).l", "\(box.name), \(box.caption): \(health.text)")
        fragment.add(state: "b\(index).s", health.word.rawValue)
        fragment.add(
            "><rect x=\"\(box.x)\" y=\"\(box.y)\" width=\"\(box.width)\" height=\"\(box.height)\" rx=\"6\"/>"
                + "<text class=\"name\" x=\"\(middle)\" y=\"\(top)\">\(escaped(box.name))</text>"
                + "<text class=\"detail\" x=\"\(middle)\" y=\"\(top + 16)\">\(escaped(box.caption))</text>")
        for (number, address) in box.addresses.enumerated() {
            fragment.add(
                "<text class=\"detail\" x=\"\(middle)\" y=\"\(top + 31 + number * 15)\">\(escaped(address))</text>")
        }
        fragment.add(
            "<text class=\"health\" x=\"\(middle)\" y=\"\(top + 33 + box.addresses.count * 15)\">")
        fragment.add(live: "b\(index).h", "● \(health.text)", in: "tspan")
        fragment.add("</text></a>")
    }
}

/// How the nodes of a box are, together.
struct Condition {
    /// What a colour stands for.
    enum Word: String {
        case up, warn, down, idle
    }
    let word: Word
    let text: String

    init(of names: [String], _ status: StatusReport) {
        var words: [Word] = []
        var texts: [String] = []
        for name in names {
            if let instance = status.applications.lazy.flatMap(\.instances).first(where: { $0.name == name }) {
                words.append(Self.word(instance: instance.state))
                texts.append(instance.state)
            } else if let node = status.nodes.first(where: { $0.name == name }) {
                words.append(Self.word(node: node.state))
                texts.append(node.state)
            } else {
                words.append(.down)
                texts.append("unknown")
            }
        }
        if Set(words).count <= 1 {
            word = words.first ?? .idle
        } else {
            word = .warn
        }
        if Set(texts).count <= 1 {
            text = texts.count > 1 ? "all \(texts.count) \(texts[0])" : texts.first ?? "unknown"
        } else {
            let good = zip(words, texts).filter { $0.0 == .up }
            text = "\(good.count) of \(names.count) up"
        }
    }

    static func word(instance state: String) -> Word {
        switch state {
        case "active", "standby": .up
        case "down": .down
        default: .warn
        }
    }

    static func word(node state: String) -> Word {
        switch state {
        case "ready": .up
        case "idle": .idle
        case "failed", "ended": .down
        default: .warn
        }
    }
}
