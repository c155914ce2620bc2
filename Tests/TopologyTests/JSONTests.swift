import Plan
import Testing

/// JSON documents of whatever program, and the paths into them.
@Suite struct JSONTests {
    private static let document = """
        { "status": "up", "n": 3, "big": 9007199254740993, "f": 2.5e1, "none": null, "yes": true,
          "items": [ { "id": 1, "name": "a" }, { "id": 2, "name": "b", "deep": { "id": 9 } } ],
          "a b": { "it's": [ "x\\u00e9\\ud83d\\ude00\\n" ] }, "empty": [], "twice": 1, "twice": 2 }
        """

    private func unmet(_ path: String, _ demand: JSONExpectation.Demand, of text: String = document) throws -> [String]
    {
        let path = try #require(JSONPath(path), "\(path)")
        return TextExpectation(json: [JSONExpectation(path: path, demand: demand)]).unmet(by: Array(text.utf8))
    }

    private static func number(_ value: Int) -> JSONValue { .number(Double(value), written: "\(value)") }

    @Test(arguments: [
        ("$.status", JSONExpectation.Demand.equals(.string("up"))),
        ("$['status']", .equals(.string("up"))),
        ("$.n", .equals(number(3))), ("$.n", .equals(.number(3, written: "3.0"))), ("$.f", .equals(number(25))),
        ("$.big", .equals(.number(9007199254740993, written: "9007199254740993"))),
        ("$.none", .equals(.null)), ("$.yes", .equals(.bool(true))), ("$.twice", .equals(number(2))),
        ("$.items[1].name", .equals(.string("b"))), ("$.items[-1].id", .equals(number(2))),
        ("$.items[*].id", .equals(.array([number(1), number(2)]))), ("$.items[*].id", .equals(number(2))),
        ("$..id", .equals(.array([number(1), number(2), number(9)]))),
        ("$.items.*.name", .equals(.string("a"))),
        ("$['a b'][\"it's\"][0]", .contains("é😀\n")), ("$['a b']['it\\'s'][0]", .matches("^x")),
        ("$.items", .count(NumberExpectation(.equal, 2))), ("$..id", .count(NumberExpectation(.atLeast, 3))),
        ("$.empty", .count(NumberExpectation(.equal, 0))), ("$.empty", .equals(.array([]))),
        ("$.n", .compares(NumberExpectation(.more, 2))), ("$.f", .compares(NumberExpectation(.less, 26))),
        ("$.none", .exists(true)), ("$.nothing", .exists(false)), ("$.items[2]", .exists(false)),
        ("$.items[0]", .equals(.object([.init("name", .string("a")), .init("id", number(1))]))),
        ("$.n", .matches("^3$")), ("$", .contains("\"up\"")),
    ])
    func holds(_ path: String, _ demand: JSONExpectation.Demand) throws {
        #expect(try unmet(path, demand) == [])
    }

    @Test(arguments: [
        ("$.status", JSONExpectation.Demand.equals(.string("down")), "$.status: \"down\", and it is \"up\""),
        ("$.n", .equals(.string("3")), "$.n: \"3\", and it is 3"),
        ("$.big", .equals(.number(9007199254740992, written: "9007199254740992")), "and it is 9007199254740993"),
        ("$.items[*].id", .equals(number(7)), "they are 1, 2"),
        ("$.items[0].nome", .equals(number(1)), "there is no $.items[0].nome: the members of $.items[0] are id, name"),
        ("$.items[9].id", .equals(number(1)), "there is no $.items[9].id: $.items is a list of 2"),
        ("$.status.x", .equals(number(1)), "$.status is \"up\""),
        ("$.n", .compares(NumberExpectation(.more, 3)), "$.n > 3, and it is 3"),
        ("$.status", .compares(NumberExpectation(.more, 3)), "it is \"up\""),
        ("$.items", .count(NumberExpectation(.equal, 3)), "there are 2"),
        ("$.n", .exists(false), "no $.n, and it is 3"), ("$.x", .exists(true), "there is no $.x"),
    ])
    func doesNotHold(_ path: String, _ demand: JSONExpectation.Demand, _ summary: String) throws {
        let unmet = try unmet(path, demand)
        #expect(unmet.count == 1 && unmet[0].contains(summary), "\(unmet)")
    }

    @Test(arguments: [
        "", "$", "{", "[1,]", "{\"a\" 1}", "{a: 1}", "01x", "1 2", "\"", "\"\\x\"", "\"\\u12\"", "nul", "-", "+1", "[1",
        "{\"a\":1,}", "\"\u{1}\"", "1.", String(repeating: "[", count: 100_000),
    ])
    func whatIsNoDocumentIsTold(_ text: String) throws {
        let unmet = try unmet("$", .exists(true), of: text)
        #expect(unmet.count == 1 && unmet[0].contains("output that is JSON, but it has"), "\(unmet)")
    }

    @Test func linesAreLookedAtOneByOne() throws {
        let type = JSONExpectation(path: try #require(JSONPath("$.type")), demand: .equals(.string("alert")))
        let port = JSONExpectation(path: try #require(JSONPath("$.port")), demand: .equals(Self.number(80)))
        let other = JSONExpectation(path: try #require(JSONPath("$.port")), demand: .equals(Self.number(81)))
        let text = Array("no JSON\n{\"type\":\"flow\",\"port\":81}\n{\"type\":\"alert\",\"port\":80}\n{broken\n".utf8)
        #expect(TextExpectation(jsonLines: [[type, port], [other]]).unmet(by: text) == [])
        #expect(TextExpectation(lacksJSONLines: [[type, other]]).unmet(by: text) == [])
        let missed = TextExpectation(jsonLines: [[type, other]]).unmet(by: text)
        #expect(missed.count == 1 && missed[0].contains("the nearest line lacks"), "\(missed)")
        let unwanted = TextExpectation(lacksJSONLines: [[type]]).unmet(by: text)
        #expect(unwanted == ["no line with $.type: \"alert\""])
        let document = TextExpectation(json: [type]).unmet(by: Array("{\"type\":1}\n{\"type\":2}\n".utf8))
        #expect(document.first?.contains("use `json-line`") == true, "\(document)")
    }

    @Test(arguments: ["", "a", "$a", "$.", "$[", "$['a]", "$[a]", "$.a b", "$...a", "$[+1]", "$..*", "$.a]"])
    func whatIsNoPathIsRefused(_ text: String) {
        #expect(JSONPath(text) == nil)
    }

    @Test func anyOctetsAreReadWithoutHarm() throws {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("{}[]\",:\\u0019tfn.eE+- ".utf8)
        for _ in 0..<2000 {
            let text = (0..<Int.random(in: 0...40, using: &generator)).map { _ in alphabet.randomElement()! }
            _ = TextExpectation(json: [JSONExpectation(path: JSONPath("$..a")!, demand: .exists(false))]).unmet(
                by: text)
        }
    }
}
