/// Numbers of rates as people read them.
enum RateNumber {
    /// With a fixed number of decimal places.
    static func fixed(_ value: Double, places: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "-" }
        let scale = (0..<places).reduce(1) { scale, _ in scale * 10 }
        let whole = Int((value * Double(scale)).rounded())
        guard places > 0 else { return "\(whole)" }
        let digits = "\(abs(whole) % scale)"
        let padding = String(repeating: "0", count: places - digits.count)
        return "\(whole < 0 ? "-" : "")\(abs(whole) / scale).\(padding)\(digits)"
    }

    /// Three digits and a prefix of the SI: `0`, `9.5`, `950`, `1.23k`, `45.6M`.
    static func short(_ value: Double) -> String { scaled(value, step: 1000, ["", "k", "M", "G", "T", "P"]) }

    /// Octets with a binary prefix: `512`, `1.50Ki`, `23.4Mi`.
    static func octets(_ value: UInt64) -> String {
        scaled(Double(value), step: 1024, ["", "Ki", "Mi", "Gi", "Ti", "Pi"])
    }

    private static func scaled(_ value: Double, step: Double, _ prefixes: [String]) -> String {
        guard value.isFinite else { return "-" }
        var (value, place) = (value, 0)
        // What would be rounded to 1000 has the next prefix.
        while value >= step - 0.5, place < prefixes.count - 1 { (value, place) = (value / step, place + 1) }
        let isWhole = place == 0 && value == value.rounded()
        let places = isWhole || value >= 99.95 ? 0 : value >= 9.995 || place == 0 ? 1 : 2
        return fixed(value, places: places) + prefixes[place]
    }
}
