import TopologyFiles

/// Diagrams in the language of Graphviz (https://graphviz.org/doc/info/lang.html).
extension Diagram {
    var dot: String {
        var lines = [
            "digraph \(Self.dotText(name)) {", "    label=\(Self.dotText(name)); labelloc=t; fontname=\"Helvetica\";",
            "    rankdir=LR; nodesep=0.4; ranksep=0.9; bgcolor=white;",
            "    node [fontname=\"Helvetica\", fontsize=11]; edge [fontname=\"Helvetica\", fontsize=9];",
        ]
        for (index, interface) in interfaces.enumerated() {
            let label = ([interface.name] + interface.addresses + ["MTU \(interface.mtu)"]).joined(separator: "\n")
            lines.append(
                "    i\(index) [label=\(Self.dotText(label)), shape=box, style=\"filled,rounded\", "
                    + "fillcolor=\"#eef2f6\", color=\"#68788a\"];")
        }
        for (index, node) in nodes.enumerated() {
            let label = ([node.name, node.caption] + node.addresses).joined(separator: "\n")
            lines.append("    n\(index) [label=\(Self.dotText(label)), shape=box];")
        }
        for (index, service) in services.enumerated() {
            let label = ([service] + serviceAddresses[index]).joined(separator: "\n")
            let colour = colour(index)
            lines.append(
                "    s\(index) [label=\(Self.dotText(label)), shape=note, color=\"\(colour)\", fontcolor=\"\(colour)\"];"
            )
        }
        let drawn = strokes
        for (index, node) in nodes.enumerated() {
            for interface in node.interfaces.uniqued()
            where !drawn.contains(where: { $0.connects("n\(index)", "i\(interface)") }) {
                lines.append("    i\(interface) -> n\(index) [dir=none, color=\"#68788a\"];")
            }
        }
        for stroke in drawn {
            let colour = colour(stroke.service)
            let label = stroke.label.map { "label=\(Self.dotText($0)), fontcolor=\"\(colour)\", " } ?? ""
            // A response is drawn the other way round, so that it does not turn the ranks about.
            let ends = stroke.isResponse ? "\(stroke.to) -> \(stroke.from)" : "\(stroke.from) -> \(stroke.to)"
            let head = stroke.isCopy ? "empty" : "normal"
            let arrow = stroke.isResponse ? "dir=back, arrowtail=\(head)" : "arrowhead=\(head)"
            lines.append(
                "    \(ends) [\(label)style=\(stroke.isResponse ? "dashed" : "solid"), color=\"\(colour)\", \(arrow)];")
        }
        return (lines + ["}"]).joined(separator: "\n") + "\n"
    }

    /// One piece of an arrow: to an interface, between two, or from one.
    private struct Stroke: Hashable {
        var from: String
        var to: String
        var service: Int
        var isResponse: Bool
        var isCopy: Bool
        var label: String?

        func connects(_ left: String, _ right: String) -> Bool {
            (from, to) == (left, right) || (from, to) == (right, left)
        }
    }

    /// The arrows by way of their interfaces; common parts of several arrows are drawn once.
    private var strokes: [Stroke] {
        arrows.flatMap { arrow -> [Stroke] in
            let way = arrow.isResponse ? "response" : "request"
            func stroke(_ from: String, _ to: String, isLast: Bool = false, label: String? = nil) -> Stroke {
                Stroke(
                    from: from, to: to, service: arrow.service, isResponse: arrow.isResponse,
                    isCopy: isLast && arrow.isCopy, label: label)
            }
            let (received, send) = ("i\(arrow.receivedInterface)", "i\(arrow.sendInterface)")
            let first = stroke("n\(arrow.from)", received, label: "\(services[arrow.service]) \(way)")
            let last = stroke(send, "n\(arrow.to)", isLast: true)
            return received == send ? [first, last] : [first, stroke(received, send), last]
        }.uniqued()
    }

    /// A text as a quoted identifier.
    static func dotText(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": escaped += "\\\""
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case _ where scalar.value < 0x20: escaped += " "
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return "\"\(escaped)\""
    }
}
