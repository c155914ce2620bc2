import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import FoundationEssentials
import Glibc
import Instructions
import Reporting

/// What all commands about tenants' records take.
struct InstructionOptions: ParsableArguments {
    @Argument(help: "The topology's name. With --url there is none.", completion: topologyNames)
    var name: String

    @Option(
        help: ArgumentHelp(
            "The management address of a topology, from a node that may reach it, in the place of NAME.",
            discussion: "TAPLINE_TOKEN has the token; none is needed with a client certificate.",
            valueName: "https://address"))
    var url: String?

    @Option(
        help: ArgumentHelp("A file with the token, in the place of TAPLINE_TOKEN.", valueName: "file"),
        completion: .file())
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "With --url: the SHA-256 of the certificate that is expected there, as 'tapline status' shows it.",
            valueName: "sha256"))
    var certificateFingerprint: String?

    @Option(
        help: ArgumentHelp("With --url: a PEM file of the authorities to trust.", valueName: "file"),
        completion: .file())
    var ca: String?

    @Option(
        help: ArgumentHelp("With --url: a PEM file with a client certificate.", valueName: "file"), completion: .file())
    var clientCertificate: String?

    @Option(
        help: ArgumentHelp("With --url: a PEM file with the key of the client certificate.", valueName: "file"),
        completion: .file())
    var clientKey: String?

    @Flag(help: "Print JSON.")
    var json = false

    /// The answer to a request, as one line of JSON.
    ///
    /// - Throws: `ApplianceError` with the problem, all its mistakes as details.
    func ask(
        _ method: Route.Method, _ path: [String], query: [String: String?] = [:], headers: [(String, String)] = [],
        body: (some Encodable)? = String?.none
    ) throws(ApplianceError) -> [UInt8] {
        let octets: [UInt8]? = if let body { try JSONLine.encode(body) } else { nil }
        return try ask(method, path, query: query, headers: headers, json: octets)
    }

    /// The same for a body that is JSON already.
    func ask(
        _ method: Route.Method, _ path: [String], query: [String: String?], headers: [(String, String)], json: [UInt8]?
    ) throws(ApplianceError) -> [UInt8] {
        let token = try TenantToken.find(file: tokenFile)
        let client = InstructionClient(try way(token), token: token)
        let pairs = query.compactMap { key, value in value.map { "\(key)=\(Self.encoded($0))" } }.sorted()
        let target =
            "/v1/" + path.map(Self.encoded).joined(separator: "/")
            + (pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&"))
        let answer = try client.ask(method.rawValue, target, headers: headers, body: json)
        guard answer.status >= 300 else { return answer.body }
        throw Self.error(try JSONLine.decode(Problem.self, answer.body))
    }

    /// The way to the process of records.
    private func way(_ token: String?) throws(ApplianceError) -> InstructionClient.Way {
        guard url != nil else {
            guard [certificateFingerprint, ca, clientCertificate, clientKey].allSatisfy({ $0 == nil }) else {
                throw ApplianceError(.usage, "certificates are for --url alone", hint: "add --url https://ADDRESS")
            }
            if token == nil { try Machine.requireRoot() }
            return .socket(try StateDirectory(name: name))
        }
        // The word is in the place of the topology's name (`place`).
        guard var connection = ManagementConnection(name) else {
            throw ApplianceError(
                .usage, "'\(name)' is no management address",
                hint: "write --url https://192.0.2.254, or with a port behind")
        }
        if let certificateFingerprint {
            guard CertificateFingerprint(certificateFingerprint) != nil, ca == nil else {
                throw ApplianceError(
                    .usage,
                    ca == nil
                        ? "--certificate-fingerprint is 64 hexadecimal digits, with colons or without"
                        : "--certificate-fingerprint and --ca exclude each other", hint: "see 'tapline status NAME'")
            }
            connection.fingerprint = certificateFingerprint
        }
        connection.authorities = ca
        switch (clientCertificate, clientKey) {
        case (nil, nil):
            guard token != nil else {
                throw ApplianceError(
                    .usage, "nothing shows who asks",
                    hint:
                        "put a token into the environment variable TAPLINE_TOKEN, or name its file by --token-file; the operator makes one by 'tapline tenant token'"
                )
            }
        case (let chain?, let key?): connection.certificate = (chain, key)
        default:
            throw ApplianceError(
                .usage, "--client-certificate and --client-key go together",
                hint: clientKey == nil ? "add --client-key FILE" : "add --client-certificate FILE")
        }
        return .address(connection)
    }

    /// The commands below which `--url` takes the place of the topology's name.
    static let commands = ["tenant", "service", "access", "audit"]

    /// Puts the value of `--url` also where the parser expects the topology's name.
    ///
    /// - Parameter words: The command line, without the program's name.
    static func place(_ words: [String]) -> [String] {
        guard let first = words.first, commands.contains(first) else { return words }
        let end = words.firstIndex(of: "--") ?? words.endIndex
        var value: String?
        for (place, word) in words[..<end].enumerated() {
            if word == "--url", place + 1 < end { value = words[place + 1] }
            if word.hasPrefix("--url=") { value = String(word.dropFirst(6)) }
        }
        guard let value else { return words }
        // Behind the command itself: `tenant list`, `audit`.
        let hasCommands = first != "audit"
        let place = hasCommands && words.count > 1 && !words[1].hasPrefix("-") ? 2 : 1
        return Array(words[..<place]) + [value] + Array(words[place...])
    }

    /// The answer as a value.
    func ask<Answer: Decodable>(
        for type: Answer.Type, _ method: Route.Method, _ path: [String], query: [String: String?] = [:],
        headers: [(String, String)] = [], body: (some Encodable)? = String?.none
    ) throws(ApplianceError) -> Answer {
        try JSONLine.decode(type, try ask(method, path, query: query, headers: headers, body: body))
    }

    private static func error(_ problem: Problem) -> ApplianceError {
        let status: Reporting.ExitCode =
            switch problem.status {
            case 404: .name
            case 400, 415: .usage
            case 409, 422, 403: .file
            default: .failed
            }
        let mistakes = problem.errors ?? []
        var lines: [String] = []
        for mistake in mistakes {
            let place = mistake.pointer.flatMap { $0.isEmpty ? nil : "\($0): " } ?? ""
            lines.append(place + mistake.detail + (mistake.hint.map { "; \($0)" } ?? ""))
            if let example = mistake.example { lines.append("    example: \(example)") }
            lines += (mistake.related ?? []).map { "    \($0)" }
        }
        // One mistake without a place says no more than the sentence.
        if mistakes.count == 1, mistakes[0].pointer?.isEmpty ?? true { lines.removeFirst() }
        return ApplianceError(
            status, mistakes.count > 1 ? problem.title.lowercased() : problem.detail,
            hint: mistakes.count > 1 ? nil : problem.hint, details: lines)
    }

    /// A part of a path or of a query.
    private static func encoded(_ text: String) -> String {
        text.utf8.map { octet in
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                return String(UnicodeScalar(octet))
            default:
                let digits = String(octet, radix: 16, uppercase: true)
                return "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }.joined()
    }
}

/// The tenant that is meant: an option, or the token's own.
struct TenantOption: ParsableArguments {
    @Option(help: "The tenant; with a token its own.")
    var tenant: String?
}
