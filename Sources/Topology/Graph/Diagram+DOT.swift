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
            lines.append("    n\(index) [label=\(Self.dotText("\(node.name)\n\(node.caption)")), shape=box];")
        }
        for (index, node) in nodes.enumerated() {
            for (place, interface) in node.interfaces.enumerated() {
                let isLeft = node.isCustomer || (place == 0 && node.interfaces.count == 2) == false && place == 1
                let ends = isLeft ? "n\(index) -> i\(interface)" : "i\(interface) -> n\(index)"
                lines.append("    \(ends) [dir=none, color=\"#68788a\", weight=4];")
            }
        }
        for arrow in arrows {
            let style = arrow.isResponse ? "dashed" : "solid"
            let label =
                "\(services[arrow.service]) \(arrow.isResponse ? "response" : "request")\(arrow.isCopy ? ", copy" : "")"
            lines.append(
                "    n\(arrow.from) -> n\(arrow.to) [label=\(Self.dotText(label)), style=\(style), "
                    + "color=\"\(colour(arrow.service))\", fontcolor=\"\(colour(arrow.service))\", "
                    + "arrowhead=\(arrow.isCopy ? "empty" : "normal"), constraint=false];")
        }
        return (lines + ["}"]).joined(separator: "\n") + "\n"
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
