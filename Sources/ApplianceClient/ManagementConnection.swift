import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting
import Wire

/// A connection with the management address of a topology, from a customer's node. `tapline-records` speaks TLS for it, because
/// this program links none; the token goes through a pipe, so no list of processes shows it.
package struct ManagementConnection: Sendable {
    /// A host's name or address.
    package let host: String
    /// The TCP port.
    package let port: Int
    /// The SHA-256 of the certificate that it must have, in hexadecimal digits; nil: `authorities` decide.
    package var fingerprint: String?
    /// A PEM file of authorities; nil: those of the machine decide.
    package var authorities: String?
    /// PEM files of a client certificate and of its key.
    package var certificate: (chain: String, key: String)?

    /// The connection of `https://HOST` or `https://HOST:PORT`; nil if the text is no such location.
    package init?(_ text: String) {
        guard text.hasPrefix("https://") else { return nil }
        var rest = text.dropFirst(8)
        if rest.last == "/" { rest.removeLast() }
        var end: Substring
        if rest.first == "[" {
            guard let close = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<close])
            guard IPAddress(host)?.family == .ipv6 else { return nil }
            end = rest[rest.index(after: close)...]
        } else {
            let name = rest.prefix { $0 != ":" }
            guard !name.isEmpty, !name.hasPrefix("-"),
                name.utf8.allSatisfy({ octet in
                    octet > 32 && octet < 127 && !"/?#@[]\\\"".utf8.contains(octet)
                })
            else { return nil }
            host = String(name)
            end = rest[name.endIndex...]
        }
        if end.isEmpty {
            port = 443
            return
        }
        end.removeFirst()
        guard !end.isEmpty, end.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(end),
            (1...65_535).contains(port), rest[..<end.startIndex].last == ":"
        else { return nil }
        self.port = port
    }

    /// As a request of HTTP names it.
    package var authority: String { (host.contains(":") ? "[\(host)]" : host) + (port == 443 ? "" : ":\(port)") }

    /// The program between, and the way to it.
    package final class Relay {
        /// Where requests go in and answers come out.
        let channel: LineChannel
        private let process: Pidfd
        private let errors: Int32

        fileprivate init(_ channel: LineChannel, _ process: Pidfd, _ errors: Int32) {
            self.channel = channel
            self.process = process
            self.errors = errors
        }

        deinit {
            close(errors)
            channel.shutDown()
            if !process.waitForEnd(within: .seconds(1)) { try? process.signal(SIGKILL) }
            _ = try? process.wait()
        }

        /// Why it has ended; nil if it says nothing.
        var failure: ApplianceError? {
            guard pollOne(errors, POLLIN, within: .seconds(1)), let octets = readOnce(errors, limit: 4096) else {
                return nil
            }
            guard let line = octets.split(separator: 10).first else { return nil }
            // It says why in a line of JSON; a crash says something else.
            return (try? JSONLine.decode(ApplianceError.self, line))
                ?? ApplianceError(
                    .failed, "the program that speaks TLS ended: \(String(decoding: line, as: UTF8.self))")
        }
    }

    /// Starts the program.
    ///
    /// - Throws: `ApplianceError` if it is not there, or cannot be started.
    func open(longest: Int) throws(ApplianceError) -> Relay {
        let program = try Machine.recordsPath()
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw .system("cannot make a pair of sockets", errno: errno)
        }
        var errors: [Int32] = [-1, -1]
        guard pipe(&errors) == 0 else {
            let code = errno
            for end in ends { close(end) }
            throw .system("cannot make a pipe", errno: code)
        }
        for end in errors { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let channel = LineChannel(owning: ends[0], longest: longest)
        defer {
            close(ends[1])
            close(errors[1])
        }
        var words = ["tapline-records", "--connect", host, "\(port)"]
        if let fingerprint { words += ["--fingerprint", fingerprint] }
        if let authorities { words += ["--ca", canonical(authorities)] }
        if let certificate {
            words += ["--certificate", canonical(certificate.chain), "--key", canonical(certificate.key)]
        }
        do throws(SystemError) {
            let process = try ProcessLauncher.spawn(
                Command(
                    program, arguments: words, environment: ["SWIFT_BACKTRACE=enable=no"],
                    descriptors: [0: ends[1], 1: ends[1], 2: errors[1]], diesWithParent: true))
            return Relay(channel, process, errors[0])
        } catch {
            close(errors[0])
            throw ApplianceError(.failed, "the program that speaks TLS cannot be started: \(error)")
        }
    }

    private func canonical(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
