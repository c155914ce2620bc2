/// Diagrams as Mermaid flowcharts (https://mermaid.js.org/syntax/flowchart.html).
extension Diagram {
    var mermaid: String {
        var lines = ["---", "title: \(name)", "---", "flowchart LR"]
        for (index, interface) in interfaces.enumerated() {
            let label = ([interface.name] + interface.addresses).map(Self.mermaidText).joined(separator: "<br>")
            lines.append("    i\(index)([\"\(label)\"])")
        }
        for (index, node) in nodes.enumerated() {
            let label = ([node.name, node.caption] + node.addresses).map(Self.mermaidText).joined(separator: "<br>")
            lines.append("    n\(index)[\"\(label)\"]")
        }
        for (index, service) in services.enumerated() {
            let label = ([service] + serviceAddresses[index]).map(Self.mermaidText).joined(separator: "<br>")
            lines.append("    s\(index)[[\"\(label)\"]]")
        }
        var links = 0
        for (index, node) in nodes.enumerated() {
            for interface in node.interfaces {
                lines.append(node.isCustomer ? "    n\(index) --- i\(interface)" : "    i\(interface) --- n\(index)")
                links += 1
            }
        }
        var styles: [Int: [Int]] = [:]
        for arrow in arrows {
            let line = arrow.isResponse ? "-.->" : arrow.isCopy ? "-->" : "==>"
            let way = arrow.isResponse ? "response" : "request"
            let copy = arrow.isCopy ? ", copy" : ""
            let label = Self.mermaidText("\(services[arrow.service]) \(way)\(copy)")
            lines.append("    n\(arrow.from) \(line)|\"\(label)\"| n\(arrow.to)")
            styles[arrow.service, default: []].append(links)
            links += 1
        }
        for (service, numbers) in styles.sorted(by: { $0.key < $1.key }) {
            let list = numbers.map(String.init).joined(separator: ",")
            lines.append("    linkStyle \(list) stroke:\(colour(service)),color:\(colour(service))")
        }
        for index in services.indices {
            lines.append("    style s\(index) fill:#fff,stroke:\(colour(index)),color:\(colour(index))")
        }
        if !interfaces.isEmpty {
            lines.append("    classDef interface fill:#eef2f6,stroke:#68788a,color:#222")
            lines.append("    class \(interfaces.indices.map { "i\($0)" }.joined(separator: ",")) interface")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A text inside a quoted label, where Mermaid reads `#name;` as a character.
    static func mermaidText(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": escaped += "#quot;"
            case "#": escaped += "#35;"
            case "&": escaped += "#amp;"
            case "<": escaped += "#lt;"
            case ">": escaped += "#gt;"
            case "`": escaped += "#96;"
            case "\\": escaped += "#92;"
            case _ where scalar.value < 0x20: escaped += " "
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
