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
    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

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
        let token = getenv("TAPLINE_TOKEN").map { String(cString: $0) }
        if token == nil { try Machine.requireRoot() }
        let client = InstructionClient(directory: try StateDirectory(name: name), token: token)
        let pairs = query.compactMap { key, value in value.map { "\(key)=\(Self.encoded($0))" } }.sorted()
        let target =
            "/v1/" + path.map(Self.encoded).joined(separator: "/")
            + (pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&"))
        let answer = try client.ask(method.rawValue, target, headers: headers, body: json)
        guard answer.status >= 300 else { return answer.body }
        throw Self.error(try JSONLine.decode(Problem.self, answer.body))
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
    @Option(help: "The tenant; with TAPLINE_TOKEN its own.")
    var tenant: String?
}
