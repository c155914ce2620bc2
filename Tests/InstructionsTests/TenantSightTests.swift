import ControlAPI
import Testing

@testable import Instructions

/// A tenant sees nothing of the operator's file and of others.
@Suite struct TenantSightTests {
    private static let sight = TenantSight(
        tenant: "alice", customers: ["alice"], others: ["fw", "web", "customers", "servers"])

    private static func problem(
        _ message: String, record: String? = "alice/shop", pointer: String? = nil, hint: String? = nil,
        example: String? = nil, related: [String] = [], records: [String] = []
    ) -> InstructionProblem {
        InstructionProblem(
            record: record, pointer: pointer, message: message, hint: hint, example: example, related: related,
            relatedRecords: records)
    }

    private static func shown(_ problems: InstructionProblem...) -> Problem {
        Problem(InstructionRefusal(stage: .conflict, problems: problems), for: sight) { _, field in
            "/put/2\(field ?? "")"
        }
    }

    @Test func whatIsAnothersLooksAsIfItDidNotExist() {
        let shown = Self.shown(
            Self.problem(
                "service \"alice/shop\" and service \"bob/shop\"", pointer: "/sequence/0",
                related: ["t.yaml: service record \"bob/shop\": here"], records: ["bob/shop"]),
            Self.problem("bob's", record: "bob/shop"), Self.problem("a line's", record: nil),
            Self.problem("the secret server", pointer: "/addresses/0", related: ["t.yaml:15:3: note"]),
            Self.problem("service \"secret\" on line 15 ends at \"web\""),
            Self.problem("passes a node", hint: "as service \"mail\" in service record \"bob/mail\" does"),
            Self.problem("node \"secret\" would be interrupted: its command"),
            Self.problem("the answers to \"bob\" are sent to \"web\"", related: ["t.yaml:9:3: \"web\" is here"]),
            Self.problem("lost", hint: "send them to \"secret\""))
        #expect(shown.status == 409)
        let text = "\(shown)"
        for word in ["bob", "secret", "line"] { #expect(!text.contains(word), "\(word): \(text)") }
        #expect(
            shown.errors?.map(\.pointer) == ["/put/2/sequence/0", nil, nil, "/put/2/addresses/0"]
                + Array(repeating: "/put/2", count: 5))
    }

    @Test func whatIsItsOwnIsTold() {
        let own = Self.problem(
            "\"fw\" passes on what service \"alice/shop\" sends it, but no entry takes it from interface \"servers\"",
            hint: "add one",
            example: "from alice (192.0.2.2) on interface customers to 203.0.113.97 icmp: customers → fw → no entry",
            related: ["t.yaml:9:3: \"fw\" is here", "t.yaml: service record \"alice/old\": here"],
            records: ["alice/old"])
        #expect(
            Self.shown(own).errors == [
                Problem.Mistake(pointer: "/put/2", detail: own.message, hint: "add one", example: own.example)
            ])
        let whole = Problem(InstructionRefusal(stage: .conflict, problems: [own]), for: nil) { _, _ in nil }
        #expect(whole.errors?.first?.related == own.related)
        // What a tenant wrote by itself may be repeated to it.
        let typed = Self.problem("there is no customer of yours, \"bob\"")
        let refusal = InstructionRefusal(stage: .forbidden, problems: [typed])
        #expect(Problem(refusal, for: Self.sight) { _, _ in nil }.detail == typed.message)
    }

    /// A packet of its own that would be lost is shown as far as it is in the tenant's sight.
    @Test(
        arguments: [
            (
                "customers → fw → hidden → deep → servers → web → no entry",
                "customers → fw → … → servers → web → no entry"
            ),
            (
                "customers → hidden; its answer: servers → web by bob/x.request",
                "customers → …; its answer: servers → …"
            ),
            ("customers", "customers"),
        ])
    func anOwnPacketIsShownWithoutTheNamesOfOthers(way: String, shown: String) {
        let packet = "from alice (192.0.2.2) on interface customers to 203.0.113.97 icmp: "
        let answer = Self.shown(Self.problem("\"hidden\" loses it", example: packet + way)).errors?.first
        #expect(answer?.example == packet + shown)
        #expect(answer.map { "\($0)".contains("hidden") } == false)
        let others = Self.shown(Self.problem("lost", example: "from bob (192.0.2.3) on interface customers: " + way))
        #expect(others.errors?.first?.example == nil)
    }

    @Test func sentencesAboutARecordMayRepeatIt() {
        #expect(!Self.sight.hasOnlyOwn("service \"shop\" on line 15 is there"))
        #expect(Self.sight.hasOnlyOwn("203.0.113.80 is none of your addresses"))
        #expect(Problem.shown("there is no \"cache\"", to: Self.sight) != "there is no \"cache\"")
        let service = RecordedService(
            tenant: "alice", name: "a", addresses: ["203.0.113.97"], ports: [], sequence: ["cache"])
        #expect(Problem.shown("there is no \"cache\"", to: Self.sight.of(service)) == "there is no \"cache\"")
        #expect(Problem.shown("there is no \"cache\"", to: nil) == "there is no \"cache\"")
    }

    @Test func changesNameNoNodesAndEntriesOfOthers() {
        let lines = [
            "node web changes while it runs: its routes", "node hidden changes while it runs: its routes",
            "table: entries: 2 new, 1 gone, 900 as before", "application fw: its checks", "checks: different ones",
        ]
        #expect(
            Self.sight.changes(lines) == [
                "node web changes while it runs: its routes", "table: entries: 2 new, 1 gone",
                "application fw: its checks",
            ])
        #expect(Self.sight.changes(["table: entries: 900 as before"]) == [])
    }
}
