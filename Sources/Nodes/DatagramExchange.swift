import EventLoop
import Glibc
import Plan
import Reporting
import Wire

/// A datagram that is sent inside a node, and the judgement of what comes back.
package struct DatagramExchange: Sendable {
    /// What a datagram that came back says.
    package enum Verdict: Sendable, Hashable {
        case passed(String)
        case failed(String)
        /// It answers another question.
        case foreign
    }

    private let question: NodeQuestion
    private let address: IPAddress
    private let port: UInt16
    private let request: [UInt8]
    /// The identification of a question to a name server.
    private let id: UInt16

    /// nil for a question that no datagram asks.
    package init?(_ question: NodeQuestion) {
        self.question = question
        id = .random(in: 0 ... .max)
        switch question {
        case .datagram(let address, let port, let send, _): (self.address, self.port, request) = (address, port, send)
        case .dns(let server, let port, let asked, _):
            (address, self.port, request) = (server, port, asked.query(id: id))
        case .log, .file: return nil
        }
    }

    /// Sends it from the calling thread's namespace.
    ///
    /// - Returns: A connected, nonblocking socket, to be closed by the caller; -1 with the reason in `refused`.
    package func send(refused: inout String) -> Int32 {
        let family = address.family == .ipv4 ? AF_INET : AF_INET6
        let descriptor = socket(
            family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else {
            refused = "cannot make a socket: \(errorText(errno))"
            return -1
        }
        // Connected, so that the kernel hands over refusals, and nobody else's datagrams.
        var result = address.withSocketAddress(port: port) { connect(descriptor, $0, $1) }
        if result == 0 {
            result = request.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) == $0.count ? 0 : -1
            }
        }
        guard result == 0 else {
            refused = "\(address) port \(port): \(errorText(errno))"
            close(descriptor)
            return -1
        }
        return descriptor
    }

    /// Reads the answers that are there; nil while none of them is for this question.
    package func receive(_ descriptor: Int32) -> Verdict? {
        while true {
            // One that is empty is an answer, too.
            guard let octets = readOnce(descriptor, limit: 65_536) else {
                return errno == EAGAIN ? nil : .failed("\(address) port \(port): \(errorText(errno))")
            }
            let verdict = judge(octets)
            if verdict != .foreign { return verdict }
        }
    }

    /// What an answer says.
    func judge(_ answer: [UInt8]) -> Verdict {
        switch question {
        case .datagram(_, _, _, let expect):
            guard let expect, !expect.holds(in: answer) else { return .passed("\(answer.count) octets came back") }
            return .failed("\(answer.count) octets came back, without \(expect)")
        case .dns(_, _, let asked, let expect):
            guard let said = asked.answer(in: answer, id: id) else { return .foreign }
            return Self.judge(said, asked, expect)
        case .log, .file: return .foreign
        }
    }

    private static func judge(_ said: DNSAnswer, _ asked: DNSQuestion, _ expect: String?) -> Verdict {
        let shown = said.records.prefix(4).joined(separator: ", ") + (said.records.count > 4 ? " …" : "")
        let seen = said.records.isEmpty ? said.codeName : "\(said.codeName), \(asked.type.word) \(shown)"
        let cut = said.isTruncated ? " (cut off)" : ""
        if let expect {
            let wanted = expect.lowercased()
            let isMet =
                said.codeName.lowercased() == wanted
                || said.records.contains { Self.isSame($0, wanted, asked.type) }
            return isMet ? .passed(seen) : .failed("\(seen)\(cut) instead of \(expect)")
        }
        if said.code == 0, !said.records.isEmpty { return .passed(seen) }
        return .failed(said.code == 0 ? "it has no \(asked.type.word) record of \(asked.name)\(cut)" : seen)
    }

    /// True if a record's data is what was written: names in any case and with a dot at their end or without, addresses
    /// in any form.
    private static func isSame(_ record: String, _ wanted: String, _ type: DNSQuestion.RecordType) -> Bool {
        switch type {
        case .a, .aaaa: IPAddress(wanted).map { "\($0)" == record } ?? false
        case .txt: record.lowercased() == wanted
        default: record.lowercased() == (wanted.hasSuffix(".") ? String(wanted.dropLast()) : wanted)
        }
    }
}
