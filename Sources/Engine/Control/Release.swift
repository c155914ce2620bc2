/// The release that both programs belong to: a control process and an engine of different releases may not understand
/// each other.
public enum Release {
    /// As `--version` prints it.
    public static let version = "0.1.0"
}
