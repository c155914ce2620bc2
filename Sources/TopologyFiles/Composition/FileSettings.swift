/// Values for the variables of a topology file that the caller gives, in place of the file's own.
public struct FileSettings: Hashable, Sendable, Codable {
    /// The values by the names of their variables.
    public var values: [String: String]

    /// Memberwise.
    public init(_ values: [String: String] = [:]) {
        self.values = values
    }

    /// True if the file's own values stand.
    public var isEmpty: Bool { values.isEmpty }
}
