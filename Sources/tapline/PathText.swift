import Planning

/// The proved paths of a service as lines for people.
struct PathText {
    private(set) var lines: [String]

    init(_ service: ProvedService) {
        lines = []
        for path in service.paths {
            let title = service.isByHand ? "entry \(service.name)" : service.name
            lines.append(
                Terminal.coloured(title, 1) + ": \(Self.list(path.destinations)) (\(Self.list(path.servicePorts)))")
            var table = TextTable([], rightAligned: [])
            for (title, hops) in [("request", path.request), ("response", path.response)] {
                for (number, hop) in hops.enumerated() { table.add(Self.row(hop, number == 0 ? title : "")) }
            }
            lines += table.lines.filter { !$0.isEmpty }.map { "  " + $0 }
            if let silence = path.silence { lines.append("  \(silence)") }
        }
    }

    /// The sender, the received interface, and where the copies go.
    private static func row(_ hop: PathHop, _ title: String) -> [String] {
        let onward = hop.copies.filter { !$0.isPassive }.map { copy in
            let rewritten = copy.rewriteDestination.map { " as \($0)" } ?? ""
            return "\(place(copy))\(rewritten)\(ports(copy, hop))\(condition(copy))"
        }
        let copies = hop.copies.filter(\.isPassive).map { "a copy to \(place($0))\(ports($0, hop))\(condition($0))" }
        let source = hop.rewriteSource.map { ", from \($0)" } ?? ""
        return [title, list(hop.from), hop.receivedInterface, "→", (onward + copies).joined(separator: "; ") + source]
    }

    /// Where a copy goes. If it goes to one of several instances, all of them are named.
    private static func place(_ copy: PathCopy) -> String {
        let instances = copy.oneOf.isEmpty ? "" : " (one of \(copy.oneOf.count))"
        return "\(list(copy.to))\(instances) on \(copy.sendInterface)"
    }

    /// The service port before and behind its translation.
    private static func ports(_ copy: PathCopy, _ hop: PathHop) -> String {
        copy.rewritePort.map { ", \(hop.servicePort ?? "its port") as \($0)" } ?? ""
    }

    private static func condition(_ copy: PathCopy) -> String { copy.condition.map { " while \($0)" } ?? "" }

    /// The first few of a list, and the number of the others.
    private static func list(_ words: [String]) -> String {
        guard words.count > 6 else { return words.isEmpty ? "anyone" : words.joined(separator: ", ") }
        return words.prefix(5).joined(separator: ", ") + " and \(words.count - 5) more"
    }
}
