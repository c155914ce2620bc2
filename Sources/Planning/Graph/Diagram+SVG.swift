import TopologyFiles

/// Diagrams as SVG (https://www.w3.org/TR/SVG11/), drawn without any other program.
extension Diagram {
    var svg: String {
        let lanes = max(1, services.count * 2)
        let layout = DiagramLayout(self, lanes: min(lanes, 24))
        let legend = legendLines
        let legendTop = layout.bottom + 24
        let widest = legend.map { DiagramLayout.textWidth($0.text, size: 12) + 100 }.max() ?? 0
        let width = max(layout.width, widest + 56, DiagramLayout.textWidth(name, size: 20) + 56)
        let height = legendTop + legend.count * 20 + 20
        var lines = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
                + "viewBox=\"0 0 \(width) \(height)\" role=\"img\" font-family=\"DejaVu Sans Mono, Menlo, Consolas, "
                + "monospace\">",
            "<title>\(Self.xmlText(name))</title>",
            "<desc>The nodes, interfaces and services of \(Self.xmlText(name)); requests are solid, responses dashed."
                + "</desc>",
            "<defs>",
        ]
        for service in Set(services.indices.map { colour($0) }).sorted() {
            lines.append(
                "<marker id=\"a\(service.dropFirst())\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
                    + "markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 0.5 L8 4 L0 7.5 z\" "
                    + "fill=\"\(service)\"/></marker>")
        }
        lines += [
            "</defs>", "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#ffffff\"/>",
            text(28, 38, name, size: 20, weight: "bold", anchor: "start"),
        ]
        lines += interfaces.indices.flatMap { barLines($0, layout) }
        for (index, node) in nodes.enumerated() { lines += attachments(node, layout.boxes[index], layout) }
        lines += arrows.map { path($0, layout, lanes: min(lanes, 24)) }
        for (index, node) in nodes.enumerated() { lines += boxLines(node, layout.boxes[index]) }
        for (number, entry) in legend.enumerated() {
            let y = legendTop + number * 20
            if let service = entry.service {
                let dash = entry.isResponse ? " stroke-dasharray=\"7 4\"" : ""
                lines.append(
                    "<path d=\"M28 \(y) H78\" fill=\"none\" stroke=\"\(colour(service))\" stroke-width=\"2\"\(dash) "
                        + "marker-end=\"url(#a\(colour(service).dropFirst()))\"/>")
            } else {
                lines.append("<rect x=\"50\" y=\"\(y - 9)\" width=\"6\" height=\"18\" fill=\"#68788a\"/>")
            }
            lines.append(text(92, y + 4, entry.text, size: 12, anchor: "start"))
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private var legendLines: [(text: String, service: Int?, isResponse: Bool)] {
        var lines: [(text: String, service: Int?, isResponse: Bool)] = []
        if !interfaces.isEmpty {
            let engine = "an interface of the packeting engine"
            lines.append((interfaces.count == 1 ? engine : "\(engine), which connects them all", nil, false))
        }
        for (index, service) in services.enumerated() {
            let requests = arrows.filter { $0.service == index && !$0.isResponse }
            if !requests.isEmpty {
                let copies = requests.contains(where: \.isCopy) ? " (copies thin)" : ""
                let places = serviceAddresses[index].joined(separator: " ")
                lines.append(("\(service): request to \(places)\(copies)", index, false))
            }
            if arrows.contains(where: { $0.service == index && $0.isResponse }) {
                lines.append(("\(service): response", index, true))
            }
        }
        return lines
    }

    private func barLines(_ index: Int, _ layout: DiagramLayout) -> [String] {
        let x = layout.bars[index]
        let details = DiagramLayout.details(interfaces[index])
        var lines = [
            "<rect x=\"\(x - 4)\" y=\"\(layout.top)\" width=\"8\" height=\"\(layout.bottom - layout.top)\" rx=\"3\" "
                + "fill=\"#c4ced8\" stroke=\"#68788a\"/>",
            text(x, layout.top - 12 - details.count * 15, interfaces[index].name, size: 14, weight: "bold"),
        ]
        for (number, detail) in details.enumerated() {
            lines.append(
                text(x, layout.top - 10 - (details.count - 1 - number) * 15, detail, size: 11, fill: "#4a5866"))
        }
        return lines
    }

    /// The cables between a node and its interfaces.
    private func attachments(_ node: Node, _ box: DiagramLayout.Box, _ layout: DiagramLayout) -> [String] {
        node.interfaces.uniqued().map { interface in
            let bar = layout.bars[interface]
            let edge = bar < box.x ? box.x : box.right
            return "<path d=\"M\(edge) \(box.middle) H\(bar)\" stroke=\"#c4ced8\" stroke-width=\"\(box.height - 8)\" "
                + "stroke-opacity=\"0.35\" fill=\"none\"/>"
        }
    }

    private func boxLines(_ node: Node, _ box: DiagramLayout.Box) -> [String] {
        let middle = box.x + box.width / 2
        let top = box.middle - 3 - node.addresses.count * 7
        return [
            "<rect x=\"\(box.x)\" y=\"\(box.y)\" width=\"\(box.width)\" height=\"\(box.height)\" rx=\"6\" "
                + "fill=\"\(node.isCustomer ? "#fff8e6" : "#f4f8fc")\" stroke=\"#445566\" stroke-width=\"1.2\"/>",
            text(middle, top, node.name, size: 14, weight: "bold"),
            text(middle, top + 17, node.caption, size: 11, fill: "#4a5866"),
        ]
            + node.addresses.enumerated().map { number, address in
                text(middle, top + 32 + number * 15, address, size: 11, fill: "#4a5866")
            }
    }

    /// An arrow from a node to its bar, through the engine to the next bar, and to the node there.
    private func path(_ arrow: Arrow, _ layout: DiagramLayout, lanes: Int) -> String {
        let shape = course(arrow, layout, lanes: lanes).path
        let dash = arrow.isResponse ? " stroke-dasharray=\"7 4\"" : ""
        let label =
            "\(services[arrow.service]) \(arrow.isResponse ? "response" : "request"): \(nodes[arrow.from].name) to "
            + "\(nodes[arrow.to].name)\(arrow.isCopy ? ", a copy" : "")"
        return "<path d=\"\(shape)\" fill=\"none\" stroke=\"\(colour(arrow.service))\" "
            + "stroke-width=\"\(arrow.isCopy ? "1" : "2")\"\(dash) "
            + "marker-end=\"url(#a\(colour(arrow.service).dropFirst()))\"><title>\(Self.xmlText(label))</title></path>"
    }

    /// The way of an arrow as the data of a path, and where the path ends.
    func course(_ arrow: Arrow, _ layout: DiagramLayout, lanes: Int) -> (path: String, bar: Int, end: Int, y: Int) {
        let (from, to) = (layout.boxes[arrow.from], layout.boxes[arrow.to])
        let lane = (arrow.service * 2 + (arrow.isResponse ? 1 : 0)) % lanes
        let offset = lane * layout.laneHeight - (lanes - 1) * layout.laneHeight / 2
        let (y1, y2) = (from.middle + offset, to.middle + offset)
        let (bar1, bar2) = (layout.bars[arrow.receivedInterface], layout.bars[arrow.sendInterface])
        let start = bar1 < from.x ? from.x : from.right
        let end = bar2 < to.x ? to.x : to.right
        // Inside the engine an arrow bends; on one bar it turns round beside it, away from the nodes.
        let reach = max(30, abs(bar2 - bar1) / 2)
        let side1 = bar1 < from.x ? -1 : 1
        let side2 = bar2 < to.x ? -1 : 1
        let path =
            "M\(start) \(y1) H\(bar1) C\(bar1 + side1 * reach) \(y1) \(bar2 + side2 * reach) \(y2) \(bar2) \(y2) H\(end)"
        return (path, bar2, end, y2)
    }

    private func text(
        _ x: Int, _ y: Int, _ text: String, size: Int, weight: String = "normal", anchor: String = "middle",
        fill: String = "#1c2733"
    ) -> String {
        "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(size)\" font-weight=\"\(weight)\" text-anchor=\"\(anchor)\" "
            + "fill=\"\(fill)\">\(Self.xmlText(text))</text>"
    }

    /// A text between tags; what XML cannot hold becomes a replacement character.
    static func xmlText(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case _ where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: escaped += "\u{FFFD}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
