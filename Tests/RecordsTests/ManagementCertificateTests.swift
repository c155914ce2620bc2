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
