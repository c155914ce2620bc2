import Glibc

/// The keys of TLS sessions that a program appends to the file that SSLKEYLOGFILE names.
///
/// The program may be hostile, so nothing but whole lines of the format is taken, no link is followed, and what is read is
/// bounded.
public struct KeyLogFile: Sendable {
    /// The path.
    public let path: String
    private var offset: UInt64 = 0
    private var unfinished: [UInt8] = []

    /// The most octets that are read of one file.
    static let mostOctets: UInt64 = 8 << 20
    /// The longest line of the format, in octets: a label and two secrets.
    static let longestLine = 1024

    /// A file that may not be there yet.
    public init(_ path: String) { self.path = path }

    /// The lines that were appended since the last call, each with its end; empty where there are none.
    ///
    /// Call it before the packets of the same moment are written: readers need keys first.
    public mutating func newLines() -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return [] }
        if UInt64(info.st_size) < offset {
            // Written anew from its beginning.
            offset = 0
            unfinished = []
        }
        var taken: [UInt8] = []
        let end = min(UInt64(info.st_size), Self.mostOctets)
        while offset < end {
            let most = Int(min(end - offset, 64 << 10))
            let place = off_t(offset)
            let octets = [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
                count = max(0, pread(descriptor, buffer.baseAddress, most, place))
            }
            guard !octets.isEmpty else { break }
            offset += UInt64(octets.count)
            take(octets, into: &taken)
        }
        return taken
    }

    private mutating func take(_ octets: [UInt8], into taken: inout [UInt8]) {
        for octet in octets {
            guard octet == UInt8(ascii: "\n") else {
                // Of a line that is too long, no more than what shows it.
                if unfinished.count <= Self.longestLine { unfinished.append(octet) }
                continue
            }
            if unfinished.last == UInt8(ascii: "\r") { unfinished.removeLast() }
            if Self.isKey(unfinished) {
                taken += unfinished
                taken.append(octet)
            }
            unfinished.removeAll(keepingCapacity: true)
        }
    }

    /// `LABEL`, the client's random octets, and a secret, the last two in hexadecimal digits (NSS key log format).
    static func isKey(_ line: [UInt8]) -> Bool {
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard line.count <= longestLine, words.count == 3, !words[0].isEmpty else { return false }
        let isLabel = words[0].allSatisfy {
            (65...90).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "_")
        }
        return isLabel
            && words[1...].allSatisfy { word in
                !word.isEmpty && word.count % 2 == 0
                    && word.allSatisfy { (48...57).contains($0) || (97...102).contains($0) || (65...70).contains($0) }
            }
    }
}
