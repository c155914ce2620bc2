extension StatusReport.Interface {
    /// Explains the frames that `ringDrops` counts, for a person.
    public static func ringDropSentence(_ interface: String) -> String {
        "The TAP's ring of interface \(interface) was full: dropped before the engine read them."
    }
}

extension StatusReport.Dropped {
    /// For a person: `web on servers, 198.18.4.2 → 192.0.2.10`.
    public var sentence: String {
        let addresses = [source, destination].compactMap { $0 }
        return "\(node ?? mac) on \(interface)"
            + (addresses.isEmpty ? "" : ", " + addresses.joined(separator: " → "))
    }
}
