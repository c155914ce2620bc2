import Foundation
import Testing

/// Certificates that the file names, client certificates, and changes of both while the topology is up.
@Suite(.serialized) struct ManagementCertificateTests {
    /// The authority's tenant certificates, and a file that trusts it.
    private static func mutual(_ files: CertificateFolder, alice: String) -> String {
        RecordsLab.managed(", client-certificates: \(files.path("authority.pem"))", alice: alice)
    }

    private static func client(_ lab: RecordsLab, _ name: String) -> [String] {
        ["--cert", "\(lab.folder.path)/\(name).pem", "--key", "\(lab.folder.path)/\(name).key"]
    }

    @Test func aClientCertificateShowsWhoAsks() throws {
        let files = try CertificateFolder()
        defer { files.remove() }
        try files.own("authority")
        try files.own("stranger")
        try files.signed("alice", by: "authority")
        try files.signed("other", by: "authority", alternative: "DNS:alice.example,email:alice@example.org")
        try files.signed("nobody", by: "authority")
        let lab = try RecordsLab(Self.mutual(files, alice: ", certificate: [alice, alice@example.org]"))
        _ = try lab.certificate()
        try files.copy(to: lab.folder)
        for name in ["alice", "other"] {
            let put = try lab.fetch(
                "alice", "PUT", "/v1/services/\(name)",
                body: RecordsLab.service(name == "alice" ? "203.0.113.97" : "203.0.113.98"),
                Self.client(lab, name))
            #expect(put.status == 200, "\(name): \(put.text)")
        }
        let audit = try lab.ask("GET", "/v1/audit?tenant=alice").text
        #expect(audit.contains("certificate alice"), "\(audit)")
        #expect(audit.contains("certificate alice@example.org"), "\(audit)")
        // A certificate without a tenant shows nobody; one of another authority is not spoken with.
        #expect(try lab.fetch("alice", "GET", "/v1/services", Self.client(lab, "nobody")).status == 401)
        #expect(try lab.fetch("alice", "GET", "/v1/services", Self.client(lab, "stranger")).status == 0)
        #expect(try lab.fetch("alice", "GET", "/v1/services").status == 401)
        // A token beside a certificate must be of the same tenant.
        let (own, foreign) = (try lab.token("alice"), try lab.token("bob"))
        #expect(try lab.fetch("alice", "GET", "/v1/services", token: own, Self.client(lab, "alice")).status == 200)
        #expect(
            try lab.fetch("alice", "GET", "/v1/services", token: foreign, Self.client(lab, "alice")).status == 401)
        #expect(try lab.ask("GET", "/v1/audit?tenant=bob").text.contains("the client certificate is of tenant alice"))
        // The file no longer has the name: from the answer of `apply` on, the certificate shows nobody.
        try lab.write(Self.mutual(files, alice: ", certificate: [alice@example.org]"))
        let applied = try lab.tapline("apply", lab.name)
        #expect(applied.status == 0, "\(applied.output)")
        #expect(try lab.fetch("alice", "GET", "/v1/services", Self.client(lab, "alice")).status == 401)
        #expect(try lab.fetch("alice", "GET", "/v1/services", Self.client(lab, "other")).status == 200)
    }

    /// Commands in a node, with a client certificate in the place of a token.
    @Test func commandsTakeAClientCertificate() throws {
        let files = try CertificateFolder()
        defer { files.remove() }
        for name in ["authority", "stranger"] { try files.own(name) }
        for name in ["alice", "bob", "nobody"] { try files.signed(name, by: "authority") }
        let lab = try RecordsLab(Self.mutual(files, alice: ", certificate: alice"))
        let path = try lab.certificate()
        try files.copy(to: lab.folder)
        let program = RecordsLab.programs.appendingPathComponent("tapline").path
        func tapline(_ command: [String], _ words: [String], ca: String? = nil) throws -> Finished {
            try lab.inside(
                "alice", [program] + command + ["--url", RecordsLab.location, "--ca", ca ?? path] + words)
        }
        func client(_ chain: String, _ key: String) -> [String] {
            ["--client-certificate", "\(lab.folder.path)/\(chain)", "--client-key", "\(lab.folder.path)/\(key)"]
        }
        let own = client("alice.pem", "alice.key")
        let put = try tapline(
            ["service", "put"],
            ["own", "--address", "203.0.113.97", "--port", "icmp", "--sequence", "firewall,web"] + own)
        #expect(put.status == 0 && put.output.contains("in force: version 1"), "\(put.output)")
        #expect(try lab.answers("203.0.113.97"))
        #expect(try tapline(["service", "show"], ["own"] + own).output.contains("203.0.113.97"))
        #expect(try tapline(["tenant", "uses"], own).output.contains("203.0.113.96/29"))
        #expect(try tapline(["audit"], own).output.contains("certificate alice"))
        #expect(try tapline(["tenant", "list"], own).status == 5)
        #expect(try tapline(["service", "remove"], ["own"] + own).status == 0)
        let wrong: [(words: [String], status: Int32, sentence: String)] = [
            // A certificate that is nobody's, and one of another authority.
            (client("nobody.pem", "nobody.key"), 2, "a token is needed"),
            (client("bob.pem", "bob.key"), 2, "a token is needed"),
            (client("stranger.pem", "stranger.key"), 2, "the other end does not take the client certificate"),
            // Files that are lost, or no such files.
            (client("absent.pem", "alice.key"), 64, "/absent.pem: No such file or directory"),
            (client("alice.pem", "absent.key"), 64, "/absent.key: No such file or directory"),
            (client("alice.pem", "alice.pem"), 64, "/alice.pem holds no private key"),
            (client("alice.key", "alice.key"), 64, "/alice.key holds no certificate"),
            (client("alice.pem", "bob.key"), 64, "the key does not fit the client certificate"),
            (["--client-certificate", "\(lab.folder.path)/alice.pem"], 64, "go together"),
            (["--client-key", "\(lab.folder.path)/alice.key"], 64, "go together"),
        ]
        for one in wrong {
            let finished = try tapline(["service", "list"], one.words)
            #expect(
                finished.status == one.status && finished.output.contains(one.sentence),
                "\(one.words): \(finished.status) \(finished.output)")
            #expect(finished.output.hasPrefix("tapline: ") && finished.output.contains("; "), "\(finished.output)")
        }
        let absent = try tapline(["service", "list"], own, ca: "\(lab.folder.path)/absent.pem")
        #expect(absent.status == 64 && absent.output.contains("/absent.pem: No such file"), "\(absent.output)")
    }

    @Test func theFileNamesACertificateAndAppliesAnother() throws {
        let files = try CertificateFolder()
        defer { files.remove() }
        try files.own("one")
        try files.own("two", days: 3)
        func text(_ name: String, _ more: String = "") -> String {
            RecordsLab.managed(
                ", certificate: { chain: \(files.path("\(name).pem")), key: \(files.path("\(name).key")) }\(more)")
        }
        let lab = try RecordsLab(text("one"))
        _ = try lab.certificate()
        let first = try #require(try lab.management()["fingerprint"] as? String)
        #expect(try lab.fetch("alice", "GET", "/v1/openapi.json").status == 200)
        #expect(try lab.management()["made"] as? Bool == false)
        try lab.write(text("two"))
        let applied = try lab.tapline("apply", lab.name)
        #expect(applied.status == 0 && applied.output.contains("another certificate"), "\(applied.output)")
        _ = try lab.certificate()
        #expect(try lab.management()["fingerprint"] as? String != first)
        #expect(try lab.fetch("alice", "GET", "/v1/openapi.json").status == 200)
        // It is told that it expires soon.
        #expect(try lab.tapline("status", lab.name).output.contains("expires on"))
        // Another port, while connections can come.
        try lab.write(text("two", ", port: 8443"))
        let moved = try lab.tapline("apply", lab.name)
        #expect(moved.status == 0, "\(moved.output)")
        let there = try lab.inside(
            "alice",
            [
                "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", "\(lab.folder.path)/management.pem",
                "https://192.0.2.254:8443/v1/openapi.json",
            ])
        #expect(there.output == "200", "\(there.output)")
    }

    /// A certificate that expires while it is used is told at that moment, and stops no packets.
    @Test func theEndOfACertificateIsAnEvent() throws {
        let files = try CertificateFolder()
        defer { files.remove() }
        try files.own("next", days: 30)
        try files.ending("short", in: 40)
        func text(_ name: String) -> String {
            RecordsLab.managed(
                ", certificate: { chain: \(files.path("\(name).pem")), key: \(files.path("\(name).key")) }")
        }
        let lab = try RecordsLab(text("short"))
        let path = try lab.certificate()
        let token = try lab.token("alice")
        let fingerprint = try #require(try lab.management()["fingerprint"] as? String)
        func events() throws -> [String] {
            try lab.tapline("events", lab.name, "--json").output.split(separator: "\n").filter {
                $0.contains("certificate-expires")
            }.map(String.init)
        }
        let first = try events()
        #expect(first.count == 1 && first[0].contains("expires on"), "\(first)")
        try lab.eventually("it is told that it has expired") { try events().count == 2 }
        let last = try #require(try events().dropFirst().first)
        #expect(last.contains("has expired on") && last.contains("tapline apply"), "\(last)")
        #expect(try lab.tapline("status", lab.name).output.contains("has expired on"))
        // Who looks at its time refuses it in a sentence; who looks at its fingerprint goes on. Packets do, in any case.
        func list(_ trust: String...) throws -> Finished {
            try lab.inside(
                "alice",
                [
                    RecordsLab.programs.appendingPathComponent("tapline").path, "service", "list", "--url",
                    RecordsLab.location,
                ] + trust, environment: ["TAPLINE_TOKEN": token])
        }
        // The certificate has no name or address: by its fingerprint that does not matter.
        let refused = try list("--ca", path)
        #expect(
            refused.status == 2
                && refused.output.contains("the certificate there is not the expected one, or has expired; "),
            "\(refused.output)")
        let pinned = try list("--certificate-fingerprint", fingerprint)
        #expect(pinned.status == 0, "\(pinned.output)")
        #expect(try lab.answers("203.0.113.80"))
        // It comes up with no certificate that has expired, and takes another one at once.
        try lab.write(text("next"))
        let applied = try lab.tapline("apply", lab.name)
        #expect(applied.status == 0, "\(applied.output)")
        #expect(try list("--ca", try lab.certificate()).status == 0)
        #expect(try !lab.tapline("status", lab.name).output.contains("expired"))
    }

    @Test func aManagementAddressComesAndGoesByApply() throws {
        let lab = try RecordsLab(RecordsLab.usual)
        try lab.write(RecordsLab.managed())
        let applied = try lab.tapline("apply", lab.name)
        #expect(applied.status == 0, "\(applied.output)")
        _ = try lab.certificate()
        #expect(try lab.fetch("alice", "GET", "/v1/openapi.json").status == 200)
        try lab.write(RecordsLab.usual)
        let gone = try lab.tapline("apply", lab.name)
        #expect(gone.status == 0, "\(gone.output)")
        #expect(try lab.tapline("tenant", "certificate", lab.name).status == 2)
        #expect(try lab.ask("GET", "/v1/services").status == 200)
    }

    @Test func wrongCertificatesAreMistakesOfTheFile() throws {
        let files = try CertificateFolder()
        defer { files.remove() }
        try files.expired("old")
        try files.own("one")
        try files.own("two")
        try "no certificate".write(toFile: files.path("none.pem"), atomically: true, encoding: .utf8)
        try "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".write(
            toFile: files.path("torn.pem"), atomically: true, encoding: .utf8)
        let cases: [(chain: String, key: String, more: String, message: String)] = [
            ("old", "old", "", "has expired"),
            ("one", "two", "", "does not fit the certificate"),
            ("torn", "one", "", "holds no certificate that can be read"),
            ("none", "one", "", "has no certificate in PEM"),
            ("one", "one", ", client-certificates: \(files.path("torn.pem"))", "holds no certificate that can be read"),
            ("one", "one", ", client-certificates: \(files.path("one.key"))", "has no certificate in PEM"),
            ("one", "one", ", client-certificates: \(files.path("no.pem"))", "No such file or directory"),
        ]
        let lab = try RecordsLab()
        for one in cases {
            let more =
                ", certificate: { chain: \(files.path("\(one.chain).pem")), key: \(files.path("\(one.key).key")) }"
                + one.more
            try lab.write(RecordsLab.managed(more))
            let (validated, applied) = (try lab.tapline("validate", lab.file), try lab.tapline("apply", lab.name))
            for finished in [validated, applied] {
                #expect(finished.status == 3, "\(finished.output)")
                #expect(finished.output.contains(one.message), "\(finished.output)")
                #expect(
                    finished.output.contains("line 19") || finished.output.contains(".yaml:19"), "\(finished.output)")
            }
        }
        #expect(try lab.answers("203.0.113.80"))
    }
}
