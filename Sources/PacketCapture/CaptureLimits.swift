import Reporting
import Wire

/// When a capture is complete by itself.
public struct CaptureLimits: Sendable, Hashable {
    /// The most packets that are written; nil: any number.
    public var packets: UInt64?
    /// Packets from this time on are not written; nil: no end.
    public var end: MonotonicTime?

    /// Memberwise.
    public init(packets: UInt64? = nil, end: MonotonicTime? = nil) {
        self.packets = packets
        self.end = end
    }
}

/// Files of a bounded size that follow one another, of which the last ones are kept.
public struct FileRing: Sendable, Hashable {
    /// The least size of a file: a superframe, and what a section says before its first packet, fit.
    public static let leastSize: UInt64 = 1 << 20
    /// The most files that are kept.
    public static let mostFiles = 9_999

    /// The most octets of a file.
    public let size: UInt64
    /// How many files are kept.
    public let files: Int

    /// - Parameters:
    ///   - size: Octets, at least `leastSize` (checked).
    ///   - files: 2…`mostFiles` (checked).
    public init(size: UInt64, files: Int) {
        precondition(size >= Self.leastSize && (2...Self.mostFiles).contains(files))
        self.size = size
        self.files = files
    }

    /// Reads `SIZE×N`, such as `100M×4`. The size has the unit k, M or G (1024, 1024², 1024³ octets) or none; `x` and `*` stand
    /// for the sign, too.
    ///
    /// - Throws: The sentence that says what is wrong.
    public init(_ text: String) throws(ApplianceError) {
        let parts = text.split(omittingEmptySubsequences: false) { "×xX*".contains($0) }
        guard parts.count == 2, let size = Self.octets(parts[0]), let files = Int(parts[1]), files >= 0 else {
            throw Self.refusal("'\(HarmlessText.reading(text.utf8, most: 100))' is no ring of files")
        }
        guard size >= Self.leastSize else { throw Self.refusal("a file of a ring has at least 1M, not \(parts[0])") }
        guard (2...Self.mostFiles).contains(files) else {
            throw Self.refusal("a ring has 2 to \(Self.mostFiles) files, not \(parts[1])")
        }
        self.init(size: size, files: files)
    }

    private static func refusal(_ sentence: String) -> ApplianceError {
        ApplianceError(.usage, sentence, hint: "write the size of a file and how many are kept: --ring 100M×4")
    }

    private static func octets(_ text: Substring) -> UInt64? {
        let units: [Character: UInt64] = ["k": 1 << 10, "K": 1 << 10, "m": 1 << 20, "M": 1 << 20, "G": 1 << 30]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text : text.dropLast()
        guard digits.allSatisfy({ ("0"..."9").contains($0) }), let number = UInt64(digits) else { return nil }
        let (product, isBeyond) = number.multipliedReportingOverflow(by: unit ?? 1)
        return isBeyond || product > 1 << 60 ? nil : product
    }

    /// The name of a file: `dir/web.pcapng` becomes `dir/web-00001.pcapng`. Numbers grow, so names sort by age.
    ///
    /// - Parameter number: From 1 on.
    public static func path(_ path: String, number: Int) -> String {
        let digits = String(number)
        let suffix = "-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        let name = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        guard let dot = path[name...].lastIndex(of: "."), dot != name else { return path + suffix }
        return path[..<dot] + suffix + path[dot...]
    }
}
