import EventLoop
import Glibc
import LinuxNetwork
import Reporting
import Tracing
import Wire

/// The processes of nft in one node: one that owns the marking tables, and the monitor.
final class NodeWatch {
    let place: NodePlace
    var node: String { place.node }
    private var children: [Pidfd] = []
    /// The input of the owner: it ends with it.
    private var input: Int32 = -1
    private var output: Int32 = -1
    private var rest: [UInt8] = []

    /// How long nft may take to begin.
    private static let patience = Duration.seconds(5)
    /// The longest line that is read.
    private static let longestLine = 65_536
    /// The bit of NFNLGRP_NFTRACE in the groups of a netlink socket.
    private static let traceGroup: UInt32 = 1 << 8
    private static let netfilterProtocol = "12"

    /// Begins to mark and to listen, and returns when both are in force.
    ///
    /// - Throws: `ApplianceError` with what nft says if it cannot.
    init(_ place: NodePlace, families: Set<String>, matches: [String]) throws(ApplianceError) {
        self.place = place
        do throws(ApplianceError) {
            try mark(families, matches)
            try listen()
        } catch {
            end()
            throw error
        }
    }

    deinit { end() }

    private func mark(_ families: Set<String>, _ matches: [String]) throws(ApplianceError) {
        guard let (theirInput, ownInput) = Self.pipe(), let (ownOutput, theirOutput) = Self.pipe() else {
            throw ApplianceError.system("cannot make a pipe", errno: errno)
        }
        input = ownInput
        defer {
            close(theirInput)
            close(ownOutput)
        }
        do {
            defer { close(theirOutput) }
            children.append(try place.start("exec nft -i", input: theirInput, output: theirOutput))
        }
        let table = RuleTraces.tablePrefix + String(UInt32.random(in: .min ... .max), radix: 16)
        for family in families.sorted() {
            let command = RuleMark.command(family: family, table: table, matches: matches)
            guard writeAll(input, Array("\(command)\nlist tables\n".utf8)) else {
                throw ApplianceError(.failed, "nft in '\(node)' ended at once")
            }
            try confirm("table \(family) \(table)", ownOutput)
        }
    }

    /// Waits until nft lists the table.
    private func confirm(_ table: String, _ output: Int32) throws(ApplianceError) {
        let deadline = monotonicTime() + Self.patience
        var said: [UInt8] = []
        while monotonicTime() < deadline, pollOne(output, POLLIN, within: deadline - monotonicTime()),
            let more = readOnce(output), !more.isEmpty, said.count < 1 << 20
        {
            said += more
            let lines = String(decoding: said, as: UTF8.self).split(separator: "\n")
            if lines.contains(where: { $0.hasSuffix(table) }) { return }
            if let wrong = lines.first(where: { $0.contains("Error: ") }) {
                throw ApplianceError(
                    .failed, "nft says: \(HarmlessText.reading(Array(wrong.utf8), most: 200))",
                    hint: "tables with an owner need Linux 5.12 and nftables 0.9.9")
            }
        }
        throw ApplianceError(.failed, "nft in '\(node)' does not answer")
    }

    private func listen() throws(ApplianceError) {
        guard let (reading, writing) = Self.pipe() else {
            throw ApplianceError.system("cannot make a pipe", errno: errno)
        }
        output = reading
        _ = fcntl(reading, F_SETFL, O_NONBLOCK)
        let monitor: Pidfd
        do {
            defer { close(writing) }
            monitor = try place.start("exec nft -s -a monitor trace", output: writing)
            children.append(monitor)
        }
        let deadline = monotonicTime() + Self.patience
        while !Self.listens(monitor.pid) {
            guard monotonicTime() < deadline, !monitor.waitForEnd(within: .milliseconds(5)) else {
                throw ApplianceError(.failed, "'nft monitor trace' in '\(node)' does not begin")
            }
        }
    }

    /// True if a process has a netlink socket that gets what packets pass.
    private static func listens(_ pid: Int32) -> Bool {
        let folder = "/proc/\(pid)/fd"
        let sockets = Set(
            namesInFolder(folder).compactMap { name -> Substring? in
                let target = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64) { buffer in
                    let count = buffer.withMemoryRebound(to: CChar.self) {
                        readlink("\(folder)/\(name)", $0.baseAddress!, 64)
                    }
                    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
                }
                return target.hasPrefix("socket:[") ? target.dropFirst(8).dropLast() : nil
            })
        guard let table = readFile("/proc/\(pid)/net/netlink") else { return false }
        return String(decoding: table, as: UTF8.self).split(separator: "\n").contains { line in
            let words = line.split(separator: " ")
            guard words.count == 10, words[1] == netfilterProtocol, sockets.contains(words[9]) else { return false }
            return (UInt32(words[3], radix: 16) ?? 0) & traceGroup != 0
        }
    }

    /// The lines that came, made safe for a terminal.
    func lines() -> [String] {
        var lines: [String] = []
        // What comes faster than this waits in the pipe, and then in nft's socket, which loses the rest.
        for _ in 0..<32 where output >= 0 {
            guard let bytes = readOnce(output) else { break }
            guard !bytes.isEmpty else {
                close(output)
                output = -1
                break
            }
            rest += bytes
        }
        guard let end = rest.lastIndex(of: 10) else {
            if rest.count > Self.longestLine { rest = [] }
            return []
        }
        for line in rest[..<end].split(separator: 10) {
            lines.append(HarmlessText.reading(line, most: Self.longestLine))
        }
        rest.removeFirst(end + 1)
        return lines
    }

    private func end() {
        if input >= 0 { close(input) }
        if output >= 0 { close(output) }
        (input, output) = (-1, -1)
        for child in children { Self.end(child) }
        children = []
    }

    static func end(_ child: Pidfd) {
        try? child.signalGroup(SIGKILL)
        try? child.signal(SIGKILL)
        _ = child.waitForEnd(within: .seconds(2))
        _ = try? child.statusIfEnded()
    }

    /// The reading and the writing end of a pipe, closed in other programs.
    static func pipe() -> (reading: Int32, writing: Int32)? {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}
