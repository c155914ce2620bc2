import Metrics
import WebPages

/// The packets a second of entries in the last ten minutes, one number for each second.
///
/// It is bounded: so many seconds of so many entries. Entries beyond have no history.
struct RateHistory {
    /// How many seconds are kept.
    static let seconds = 600
    /// How many entries have a history.
    static let mostEntries = 2_000

    private var rings: [String: [Float]] = [:]
    /// The number of the next second.
    private var next = 0

    /// Takes the rates of one second.
    mutating func take(_ report: RateReport) {
        let place = next % Self.seconds
        var seen: Set<String> = []
        for row in report.rows where row.kind == .entry {
            guard rings[row.name] != nil || rings.count < Self.mostEntries else { continue }
            seen.insert(row.name)
            rings[row.name, default: Array(repeating: 0, count: Self.seconds)][place] = Float(row.packets ?? 0)
        }
        for name in rings.keys where !seen.contains(name) { rings[name]?[place] = 0 }
        next += 1
        // Entries that are gone for so long have nothing to show.
        if place == 0 { rings = rings.filter { name, ring in seen.contains(name) || ring.contains { $0 > 0 } } }
    }

    /// Another run of the topology begins.
    mutating func clear() { (rings, next) = ([:], 0) }

    /// The sum of entries, oldest second first.
    func series(_ names: [String]) -> [Float] {
        let count = min(next, Self.seconds)
        let rings: [[Float]] = names.compactMap { self.rings[$0] }
        return (0..<count).map { index in
            let place = (next - count + index) % Self.seconds
            return rings.reduce(Float(0)) { $0 + $1[place] }
        }
    }
}

/// Series of numbers as small pictures.
enum Sparkline {
    private static let width = 600
    private static let height = 80

    /// The picture of the last ten minutes; the right edge is now.
    static func svg(_ series: [Float]) -> String {
        let most = max(series.max() ?? 0, 1)
        var points: [String] = []
        for (index, value) in series.enumerated() {
            let x = Self.width - series.count + index
            let y = Float(Self.height - 4) * (1 - value / most) + 2
            points.append("\(x),\((y * 10).rounded() / 10)")
        }
        let peak = Figures.short(Double(series.max() ?? 0))
        let now = Figures.short(Double(series.last ?? 0))
        let label = "Packets a second in the last ten minutes: \(now) now, \(peak) at most"
        let line = points.isEmpty ? "" : "<polyline points=\"\(points.joined(separator: " "))\"/>"
        return "<figure><svg class=\"spark\" viewBox=\"0 0 \(width) \(height)\" role=\"img\" aria-label=\"\(label)\" "
            + "preserveAspectRatio=\"none\"><path d=\"M0 \(height - 2) H\(width)\"/>\(line)</svg>"
            + "<figcaption>\(label)</figcaption></figure>"
    }
}
