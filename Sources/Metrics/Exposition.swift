/// The text formats of metrics.
public enum Exposition: String, Sendable, CaseIterable {
    /// OpenMetrics 1.0 (draft-ietf-opsawg-openmetrics, `application/openmetrics-text; version=1.0.0`).
    case openmetrics
    /// Prometheus' text format 0.0.4 (`text/plain; version=0.0.4`), which `promtool check metrics` and node_exporter's
    /// textfile collector read.
    case text

    /// Families as text. A family without a value is left out.
    package func text(of families: [MetricFamily]) -> String {
        var text = ""
        for family in families where !family.points.isEmpty { write(family, to: &text) }
        if self == .openmetrics { text += "# EOF\n" }
        return text
    }

    private func write(_ family: MetricFamily, to text: inout String) {
        let ending = ending(of: family.kind)
        // OpenMetrics names the family, the older format its samples.
        let named = family.name + (self == .text ? ending : "")
        text += "# HELP \(named) \(Self.escaped(family.help, quotes: self == .openmetrics))\n"
        text += "# TYPE \(named) \(type(of: family.kind))\n"
        if self == .openmetrics, let unit = family.unit { text += "# UNIT \(family.name) \(unit)\n" }
        for point in family.points where self == .openmetrics || point.suffix != MetricFamily.created {
            text += family.name + ending + point.suffix
            if !point.labels.isEmpty {
                text += "{"
                for (index, label) in point.labels.enumerated() {
                    text += "\(index == 0 ? "" : ",")\(label.name)=\"\(Self.escaped(label.value, quotes: true))\""
                }
                text += "}"
            }
            text += " \(point.value)\n"
        }
    }

    private func ending(of kind: MetricFamily.Kind) -> String {
        switch kind {
        case .counter: "_total"
        case .info: "_info"
        case .gauge, .stateset, .histogram: ""
        }
    }

    private func type(of kind: MetricFamily.Kind) -> String {
        guard self == .text, kind == .info || kind == .stateset else { return kind.rawValue }
        return MetricFamily.Kind.gauge.rawValue
    }

    /// The text with a backslash before what would end it.
    static func escaped(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == 0x5C || $0 == 0x0A || $0 == 0x22 }) else { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
