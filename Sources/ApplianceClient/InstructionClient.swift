import EventLoop
import Fabric
import Glibc
import Reporting

/// The caller's end of the process that keeps tenants' records: one request of HTTP, one answer.
package struct InstructionClient {
    /// The way to the process.
    package enum Way {
        /// The operator's socket of a topology.
        case socket(StateDirectory)
        /// The management address of a topology.
        case address(ManagementConnection)
    }

    /// The way to the process.
    package let way: Way
    /// The token of a tenant, in whose name the requests are; nil: the operator's own.
    package var token: String?

    /// The longest answer, in octets.
    private static let longest = 64 << 20
    /// How long an answer may take: an instruction waits for the change under way.
    package var patience = Duration.seconds(300)

    /// Memberwise.
    package init(_ way: Way, token: String?) {
        self.way = way
        self.token = token
    }

    /// The answer to one request.
    ///
    /// - Parameters:
    ///   - target: The path and the query.
    ///   - body: JSON; nil: none.
    /// - Throws: `ApplianceError` if nobody listens, or the answer is none of HTTP.
    package func ask(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) throws(ApplianceError) -> (status: Int, body: [UInt8]) {
        let (channel, host, end) = try open()
        defer { withExtendedLifetime(end) {} }
        var lines = ["\(method) \(target) HTTP/1.1", "Host: \(host)", "Connection: close"]
        if let token { lines.append("Authorization: Bearer \(token)") }
        if let body { lines += ["Content-Type: application/json", "Content-Length: \(body.count)"] }
        lines += headers.map { "\($0.0): \($0.1)" }
        _ = channel.write(Array((lines + ["", ""]).joined(separator: "\r\n").utf8) + (body ?? []))
        guard let first = channel.read(within: patience) else { throw end?.failure ?? silence }
        let words = String(decoding: first, as: UTF8.self).split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw ApplianceError(.failed, "the process of records answers with something that is not HTTP")
        }
        while let line = channel.read(within: patience), line != [13], !line.isEmpty {}
        // Every answer of the API is one line, or nothing.
        return (status, channel.read(within: patience) ?? [])
    }

    /// A channel to the process, the name of its end in a request, and the program between, if there is one.
    private func open() throws(ApplianceError) -> (LineChannel, host: String, ManagementConnection.Relay?) {
        switch way {
        case .socket(let directory):
            let descriptor = newSocket()
            guard descriptor >= 0 else { throw .system("cannot make a socket", errno: errno) }
            let channel = LineChannel(owning: descriptor, longest: Self.longest)
            _ = fcntl(descriptor, F_SETFL, 0)
            let connected = withSocketAddress(directory.recordsSocketPath) { connect(descriptor, $0, $1) }
            guard connected == 0 else { throw Self.nobody(errno, directory) }
            return (channel, "tapline", nil)
        case .address(let connection):
            let relay = try connection.open(longest: Self.longest)
            return (relay.channel, connection.authority, relay)
        }
    }

    private static func nobody(_ code: Int32, _ directory: StateDirectory) -> ApplianceError {
        guard [ENOENT, ECONNREFUSED, ENOTDIR].contains(code) else {
            return .system(
                "cannot reach the process of records of '\(directory.name)'", errno: code,
                hint: code == EACCES ? "use sudo" : nil)
        }
        return directory.exists
            ? ApplianceError(
                .failed, "'\(directory.name)' keeps no records", hint: "add `records: {}` and `tenants` to its file")
            : ApplianceError(.name, "there is no topology '\(directory.name)'", hint: "see tapline status")
    }

    private var silence: ApplianceError {
        let whose =
            switch way {
            case .socket(let directory): "the process of records of '\(directory.name)'"
            case .address(let connection): "the management address \(connection.authority)"
            }
        return ApplianceError(.failed, "\(whose) does not answer", hint: "it may be starting: try again")
    }
}
