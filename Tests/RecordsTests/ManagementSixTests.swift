import Foundation
import Testing

/// A management address of IPv6, beside one of IPv4 and by itself.
@Suite(.serialized) struct ManagementSixTests {
    private static func file(_ address: String) -> String {
        RecordsLab.managed().replacing(
            "customers: { address: 192.0.2.1/24 }",
            with: "customers: { address: [192.0.2.1/24, \"2001:db8:2::1/64\"] }"
        ).replacing("address: 192.0.2.254,", with: "address: \(address),")
    }

    private static let address = "2001:db8:2::fe"

    @Test(arguments: ["[192.0.2.254, \"2001:db8:2::fe\"]", "\"2001:db8:2::fe\""])
    func customersReachIt(_ addresses: String) throws {
        let lab = try RecordsLab(Self.file(addresses))
        let path = try lab.certificate()
        let token = try lab.token("alice", "--from", "own")
        let stolen = try lab.token("bob", "--from", "own")
        func curl(_ token: String, _ more: [String] = [], port: String = "") throws -> String {
            try lab.inside(
                "alice",
                [
                    "curl", "-sS", "-g", "--max-time", "20", "--cacert", path, "-w", "\n%{http_code}", "-H",
                    "Authorization: Bearer \(token)",
                ]
                    + more + ["https://[\(Self.address)]\(port)/v1/services/own"]
            ).output
        }
        let put = try curl(
            token, ["-X", "PUT", "-H", "Content-Type: application/json", "--data-binary", RecordsLab.service()])
        #expect(put.hasSuffix("\n200"), "\(put)")
        #expect(try lab.answers("203.0.113.97"))
        // Its source is one of alice's, and none of bob's.
        #expect(try curl(stolen).hasSuffix("\n401"))
        let audit = try lab.ask("GET", "/v1/audit?tenant=alice").text
        #expect(audit.contains("\"origin\":\"2001:db8:2::"), "\(audit)")
        let refusals = try lab.ask("GET", "/v1/audit?tenant=bob").text
        #expect(refusals.contains("the token is valid from the tenant's own customers alone"), "\(refusals)")
        // The command, the fingerprint, the page and the status know it as well.
        let program = RecordsLab.programs.appendingPathComponent("tapline").path
        let fingerprint = try #require(try lab.management()["fingerprint"] as? String)
        for trust in [["--ca", path], ["--certificate-fingerprint", fingerprint]] {
            let list = try lab.inside(
                "alice", [program, "service", "list", "--url", "https://[\(Self.address)]"] + trust,
                environment: ["TAPLINE_TOKEN": token])
            #expect(list.status == 0 && list.output.contains("203.0.113.97"), "\(list.output)")
        }
        let page = try lab.inside(
            "alice", ["curl", "-sS", "-g", "--cacert", path, "https://[\(Self.address)]/login"])
        #expect(page.output.contains("<form"), "\(page.output)")
        #expect(try lab.tapline("status", lab.name).output.contains("https://[\(Self.address)]"))
        let names = try lab.run(["openssl", "x509", "-in", path, "-noout", "-ext", "subjectAltName"]).output
        #expect(names.contains("IP Address:2001:DB8:2:0:0:0:0:FE"), "\(names)")
        // IPv4 is served where the file says so.
        let four = try lab.fetch("alice", "GET", "/v1/services", token: token)
        #expect(four.status == (addresses.contains("192.0.2.254") ? 200 : 0))
    }
}
