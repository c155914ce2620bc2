/// Numbers for people.
package enum Figures {
    /// A rate in a few characters: 0, 7.5, 120, 1.2k, 34M.
    package static func short(_ value: Double) -> String {
        guard value.isFinite, value > 0 else { return "0" }
        if value < 0.05 { return "<0.1" }
        var (value, unit) = (value, 0)
        while value >= 999.5, unit < 4 { (value, unit) = (value / 1000, unit + 1) }
        let sign = ["", "k", "M", "G", "T"][unit]
        if value < 9.95 {
            let tenths = Int((value * 10).rounded())
            return tenths % 10 == 0 ? "\(tenths / 10)\(sign)" : "\(tenths / 10).\(tenths % 10)\(sign)"
        }
        return "\(Int(value.rounded()))\(sign)"
    }

    /// Octets with a binary unit.
    package static func octets(_ count: UInt64) -> String {
        var (value, unit) = (Double(count), 0)
        while value >= 1023.5, unit < 4 { (value, unit) = (value / 1024, unit + 1) }
        return "\(short(value)) \(["B", "KiB", "MiB", "GiB", "TiB"][unit])"
    }
}
