/// A number and the word for what is counted: `1 node`, `2 nodes`, `1 entry`.
public enum Plural {
    /// The number and the word in the form that goes with it.
    ///
    /// - Parameter many: The word for more than one, or none; nil: the word with an s.
    public static func counted(_ count: some BinaryInteger, _ one: String, _ many: String? = nil) -> String {
        "\(count) \(count == 1 ? one : many ?? one + "s")"
    }

    /// `1 node`.
    public static func nodes(_ count: Int) -> String { counted(count, "node") }

    /// `1 interface`.
    public static func interfaces(_ count: Int) -> String { counted(count, "interface") }

    /// `1 entry`.
    public static func entries(_ count: some BinaryInteger) -> String { counted(count, "entry", "entries") }
}
