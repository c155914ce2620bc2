import Foundation
import Testing

/// A topology with a management address, and the certificate files of a test.
extension RecordsLab {
    /// The usual file with a management address.
    ///
    /// - Parameters:
    ///   - manage: What `manage` has behind the address and the interface.
    ///   - alice: What alice's tenant has besides.
    static func managed(_ manage: String = "", alice: String = "") -> String {
        usual.replacing(
            "records: { database: lab.db }",
            with: "records: { database: lab.db, manage: { address: 192.0.2.254, interface: customers\(manage) } }"
        ).replacing("must: [firewall] }", with: "must: [firewall]\(alice) }")
    }

    static let location = "https://192.0.2.254"

    /// Runs a command in a node.
    @discardableResult
    func inside(_ node: String, _ words: [String], environment: [String: String] = [:]) throws -> Finished {
        let given = environment.map { "\($0.key)=\($0.value)" }
        return try run(
            [Self.programs.appendingPathComponent("tapline").path, "exec", name, node, "--", "env"] + given + words)
    }

    /// A script of Python in a node.
    @discardableResult
    func python(_ node: String, _ script: String, _ words: String...) throws -> Finished {
        try inside(node, ["python3", try keep(script)] + words)
    }

    /// A script of Python in a node, with which the test talks line by line.
    func talk(_ node: String, _ script: String, _ words: String...) throws -> NodeTalk {
        try NodeTalk(
            [
                Self.programs.appendingPathComponent("tapline").path, "exec", name, node, "--", "python3", "-u",
                try keep(script),
            ]
                + words)
    }

    private func keep(_ script: String) throws -> String {
        let path = folder.appendingPathComponent("\(UUID().uuidString).py").path
        try script.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// The certificate of the management address, in a file.
    func certificate() throws -> String {
        let path = folder.appendingPathComponent("management.pem").path
        let printed = try tapline("tenant", "certificate", name)
        try #require(printed.status == 0, "\(printed.output)")
        try printed.output.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// What `status --json` says of the management address.
    func management() throws -> [String: Any] {
        let printed = try tapline("status", name, "--json")
        let report = try JSONSerialization.jsonObject(with: Data(printed.output.utf8)) as? [String: Any]
        return try #require(report?["management"] as? [String: Any], "\(printed.output)")
    }

    /// The status and the body of an answer that a node gets by curl.
    func fetch(
        _ node: String, _ method: String, _ target: String, token: String? = nil, body: String? = nil,
        _ more: [String] = []
    ) throws -> (status: Int, text: String) {
        var words = [
            "curl", "-sS", "--max-time", "60", "-o", "-", "-w", "\n%{http_code}", "-X", method,
            "--cacert", folder.appendingPathComponent("management.pem").path,
        ]
        if let token { words += ["-H", "Authorization: Bearer \(token)"] }
        if let body { words += ["-H", "Content-Type: application/json", "--data-binary", body] }
        let finished = try inside(node, words + more + [Self.location + target])
        var lines = finished.output.split(separator: "\n", omittingEmptySubsequences: false)
        let status = lines.popLast().flatMap { Int($0) } ?? 0
        return (status, lines.joined(separator: "\n"))
    }
}

/// A program that runs, and waits for lines.
final class NodeTalk {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init(_ words: [String]) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    /// Its next line; empty at its end.
    func line() throws -> String {
        var octets = Data()
        while let octet = try output.fileHandleForReading.read(upToCount: 1), !octet.isEmpty, octet != Data([10]) {
            octets += octet
        }
        return String(decoding: octets, as: UTF8.self)
    }

    /// Lets it go on.
    func go() throws { try input.fileHandleForWriting.write(contentsOf: Data("\n".utf8)) }

    /// Waits for its end.
    func end() { process.waitUntilExit() }
}

/// Certificates of a test's own, in a folder.
struct CertificateFolder {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("c" + UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    /// Puts copies where the nodes of a topology see them.
    func copy(to other: URL) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            try FileManager.default.copyItem(atPath: path(name), toPath: other.appendingPathComponent(name).path)
        }
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    private func openssl(_ words: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + words
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl \(words.joined(separator: " "))")
    }

    /// A certificate that signs itself: `NAME.pem` and `NAME.key`.
    func own(_ name: String, days: Int = 30, names: String = "IP:192.0.2.254") throws {
        try openssl([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "\(days)",
            "-subj", "/CN=\(name)", "-addext", "subjectAltName=\(names)", "-keyout", path("\(name).key"), "-out",
            path("\(name).pem"),
        ])
    }

    /// A certificate that signs itself, and expired in 2020.
    func expired(_ name: String) throws { try ending(name, "20200102000000Z") }

    /// A certificate that signs itself, is valid since 2020, and ends in some seconds.
    func ending(_ name: String, in seconds: Int) throws {
        var (end, parts) = (time(nil) + seconds, tm())
        gmtime_r(&end, &parts)
        var text = [CChar](repeating: 0, count: 32)
        strftime(&text, text.count, "%Y%m%d%H%M%SZ", &parts)
        try ending(name, String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    private func ending(_ name: String, _ end: String) throws {
        try openssl([
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            "/CN=\(name)", "-keyout", path("\(name).key"), "-out", path("\(name).csr"),
        ])
        try "".write(toFile: path("index.txt"), atomically: true, encoding: .utf8)
        try "01".write(toFile: path("serial"), atomically: true, encoding: .utf8)
        let settings = """
            [ca]
            default_ca = own
            [own]
            database = \(path("index.txt"))
            serial = \(path("serial"))
            new_certs_dir = \(folder.path)
            default_md = sha256
            policy = any
            [any]
            commonName = supplied
            """
        try settings.write(toFile: path("ca.conf"), atomically: true, encoding: .utf8)
        try openssl([
            "ca", "-batch", "-notext", "-selfsign", "-config", path("ca.conf"), "-in", path("\(name).csr"), "-keyfile",
            path("\(name).key"), "-startdate", "20200101000000Z", "-enddate", end, "-out", path("\(name).pem"),
        ])
    }

    /// A certificate that an authority signs.
    func signed(_ name: String, by authority: String, alternative: String? = nil) throws {
        try openssl([
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            "/CN=\(name)", "-keyout", path("\(name).key"), "-out", path("\(name).csr"),
        ])
        let more = "extendedKeyUsage=clientAuth\n" + (alternative.map { "subjectAltName=\($0)\n" } ?? "")
        try more.write(toFile: path("\(name).ext"), atomically: true, encoding: .utf8)
        try openssl([
            "x509", "-req", "-in", path("\(name).csr"), "-CA", path("\(authority).pem"), "-CAkey",
            path("\(authority).key"), "-CAcreateserial", "-days", "30", "-extfile", path("\(name).ext"), "-out",
            path("\(name).pem"),
        ])
    }
}
