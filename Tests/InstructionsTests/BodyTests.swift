import ControlAPI
import Plan
import Testing

@testable import Instructions

@Suite struct BodyTests {
    private static func mistakes(_ text: String) throws -> [String] {
        var reader = BodyReader()
        _ = reader.service(try BodyReader.json(Array(text.utf8)), tenant: "alice", name: "shop")
        return reader.mistakes.map { "\($0.pointer ?? "-") \($0.detail)" }
    }

    @Test func aServiceIsReadStrictly() throws {
        #expect(try Self.mistakes(#"{"addresses": ["203.0.113.80"], "sequence": ["web"]}"#) == [])
        #expect(
            try Self.mistakes(#"{"addresses": "203.0.113.80", "sequence": [7], "owner": "eve", "a/b~c": 1}"#) == [
                "/owner there is no key owner here", "/a~1b~0c there is no key a/b~c here",
                "/addresses it must be a list of texts, but is a text",
                "/sequence/0 it must be a text, but is a number",
            ])
        #expect(try Self.mistakes("[]") == [" it must be an object, but is a list"])
        #expect(try Self.mistakes("{}") == [" addresses is missing", " sequence is missing"])
        #expect(
            try Self.mistakes(#"{"addresses": [""], "sequence": [], "sequence": []}"#) == [
                "/sequence the key sequence is given twice", "/sequence it is empty",
                "/addresses/0 a text has 1 to 256 octets",
            ])
        #expect(throws: Problem.self) { try Self.mistakes(String(repeating: "[", count: 100_000)) }
    }

    @Test func aNameIsPartOfAPath() throws {
        var reader = BodyReader()
        _ = reader.service(
            try BodyReader.json(Array(#"{"addresses": ["x"], "sequence": ["y"]}"#.utf8)), tenant: "alice", name: "a/b")
        #expect(reader.mistakes.map(\.pointer) == ["/name"])
    }

    @Test func aBatchNamesEachServiceOnce() throws {
        func batch(_ text: String) throws -> [String] {
            var reader = BodyReader()
            _ = reader.batch(try BodyReader.json(Array(text.utf8)), tenant: "alice")
            return reader.mistakes.map { "\($0.pointer ?? "-") \($0.detail)" }
        }
        #expect(try batch(#"{"remove": ["a"], "put": [{"name": "b", "addresses": ["x"], "sequence": ["y"]}]}"#) == [])
        #expect(
            try batch(#"{"remove": ["a", "a"]}"#) == ["/remove/1 the service a is named before, at /remove/0"])
        #expect(
            try batch(#"{"remove": ["b"], "put": [{"name": "b", "addresses": ["x"], "sequence": ["y"]}]}"#) == [
                "/remove/0 the service b is named before, at /put/0/name"
            ])
        // The places are those of the body, whatever else is wrong with it.
        #expect(
            try batch(#"{"put": [7, {"name": "b"}, {"name": "b", "addresses": ["x"], "sequence": ["y"]}]}"#) == [
                "/put/0 it must be an object, but is a number", "/put/1 addresses is missing",
                "/put/1 sequence is missing", "/put/2/name the service b is named before, at /put/1/name",
            ])
        #expect(
            try batch(#"{"remove-access": ["f", "g", "f"]}"#) == [
                "/remove-access/2 the application f is named before, at /remove-access/0"
            ])
        #expect(try batch("{}") == [" it names no service and no access list"])
        #expect(try batch(#"{"put": [{"addresses": ["x"], "sequence": ["y"]}]}"#) == ["/put/0 name is missing"])
    }

    @Test func anAccessListIsReadStrictly() throws {
        func read(_ text: String) throws -> (list: RecordedAccess?, mistakes: [String]) {
            var reader = BodyReader()
            let list = reader.access(
                try BodyReader.json(Array(text.utf8)), tenant: "alice", application: "firewall")
            return (list, reader.mistakes.map { "\($0.pointer ?? "-") \($0.detail)" })
        }
        let body =
            #"{"rules": [{"action": "allow", "own-ports": ["80"], "comment": "x"}], "default": {"action": "deny"}}"#
        #expect(
            try read(body).list
                == RecordedAccess(
                    tenant: "alice", application: "firewall",
                    rules: [RecordedAccessRule(action: "allow", ownPorts: ["80"], comment: "x")],
                    otherwise: RecordedVerdict(action: "deny")))
        #expect(try read("{}").mistakes == [" default is missing"])
        // What has no right form is a mistake before any condition is looked at.
        #expect(
            try read(
                #"{"rules": [{"action": "pass"}], "default": {"action": "deny", "answer": "shout"}}"#
            ).mistakes == [
                "/rules/0/action \"pass\" is no action",
                "/default/answer \"shout\" is no answer to a denied packet",
            ])
        // The application of a path is no longer than one of a batch.
        for (length, mistakes) in [(256, []), (257, ["/application"]), (0, ["/application"])] {
            var reader = BodyReader()
            _ = reader.access(
                try BodyReader.json(Array(body.utf8)), tenant: "alice",
                application: String(repeating: "a", count: length))
            #expect(reader.mistakes.map(\.pointer) == mistakes)
        }
        #expect(
            try read(#"{"default": {"action": 1}, "rules": [{"action": "deny", "own-ports": 80}, 7]}"#).mistakes == [
                "/rules/0/own-ports it must be a list of texts, but is a number",
                "/rules/1 it must be an object, but is a number", "/default/action it must be a text, but is a number",
            ])
    }

    /// A tenant is not told where the database is, or what the control process says.
    @Test func whyItFailsIsTheOperatorsToKnow() {
        let problem = Problem(.unavailable, "the disk of /srv/secret is full", hint: "see node secret", retryAfter: 1)
        #expect(!"\(problem.withoutDetails)".contains("secret"))
        #expect(problem.withoutDetails.status == 503 && problem.withoutDetails.retryAfter == 1)
        #expect(Problem(.conflict, "this stays").withoutDetails.detail == "this stays")
    }
}
