/// The release of both programs. A control process and an engine of different releases may not understand each other.
public enum Release {
    /// As `--version` prints it.
    public static let version = "0.1.0"
    /// The day of the release, as manual pages show it.
    public static let day = "2026-11-25"
}
