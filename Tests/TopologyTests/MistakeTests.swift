import Plan
import Planning
import Testing
import TopologyFiles

/// One mistake: the text with it, where it is told, and what is said.
struct Mistake: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var text: String
    var line: Int
    var column: Int
    var message: String
    var hint: String

    init(_ description: String, _ text: String, _ line: Int, _ column: Int, _ message: String, _ hint: String = "") {
        testDescription = description
        self.text = text
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint
    }

    /// The picture with one text in place of another.
    init(
        _ description: String, swap: String, for other: String, _ line: Int, _ column: Int, _ message: String,
        _ hint: String = ""
    ) {
        self.init(description, picture.replacing(swap, with: other), line, column, message, hint)
    }

    /// The picture with lines below its services.
    init(_ description: String, adding: String, _ line: Int, _ column: Int, _ message: String, _ hint: String = "") {
        self.init(description, picture + adding + "\n", line, column, message, hint)
    }
}

/// What the folder of bad files does not show.
private let mistakes: [Mistake] = [
    Mistake(
        "a passive network address", swap: "passive: true,", for: "passive: true, send: network,", 11, 58,
        "is passive: packets reach it as they are"),
    Mistake(
        "a transparent end",
        picture.replacing("type: firewall,", with: "transparent: true,").replacing("[fw, web]", with: "[fw]"), 19, 16,
        "which is transparent and never answers"),
    Mistake(
        "two addresses rewritten",
        "name: a\ninterfaces: { i: { address: 192.0.2.1/24 } }\ncustomers: { c: { interface: i } }\napplications: { web: { attach: i, send: network } }\nservices:\n  s: { address: [203.0.113.1, 203.0.113.2], sequence: web }\n",
        6, 31, "cannot be told apart"),
    Mistake(
        "waiting for each other", swap: "attach: servers }", for: "attach: servers, depends: web }", 13, 54,
        "wait for each other: web → web"),
]

/// What libyaml alone says of a text helps nobody: each of its complaints has a hint.
private let texts: [(text: String, place: String, hint: String)] = [
    ("name: \"\\ud800\"\n", "1:10", "half of a pair"), ("name: \"\\U00110000\"\n", "1:10", "nothing above 10FFFF"),
    ("%YAML 3.0\n---\nname: a\n", "1:1", "%YAML 1.2"),
    ("%YAML 1.1\n%YAML 1.1\n---\nname: a\n", "2:1", "one of the two"),
    ("%FOO bar\n---\nname: a\n", "1:5", "a topology needs no directive"),
    ("name: a\ninterfaces:\n  a: {}\n- b\n", "4:1", "an element of a list among keys"),
    ("name: a\ncustomers:\n  a: {}\n  - b\n", "4:3", "an element of a list among keys"),
    ("interfaces:\n  - a\n  b: {}\n", "3:3", "each element of the list with `- `"),
    ("name: \"\\xzz\"\n", "1:10", "\\x and two digits"), ("name: \"\\q\"\n", "1:8", "single quotes"),
    ("name: !<foo a\n", "1:12", "begins with !"), ("name: !x!y a\n", "1:7", "begins with !"),
    ("name: |x\n  a\n", "1:8", "after | or >"),
]

@Suite struct MistakeTests {
    @Test func everyTextThatIsNoYAMLHasAHint() {
        for (text, place, hint) in texts {
            let found = problems(text)
            #expect(found.count == 1, "\(text): \(found.map(\.summary))")
            #expect(found.first.map { "\($0.line):\($0.column)" } == place, "\(found.map(\.summary))")
            #expect(found.first?.hint?.contains(hint) == true, "\(text): \(found.map(\.summary))")
        }
    }

    @Test func aFileOfControlCharactersIsToldOnce() {
        let found = problems(String(repeating: "\u{1}", count: 5000))
        #expect(found.count <= 100 && !found.isEmpty)
    }

    @Test(arguments: mistakes)
    func isToldWhereItIs(_ mistake: Mistake) throws {
        let found = problems(mistake.text)
        let first = try #require(found.first, "nothing was told")
        #expect(found.count == 1, "\(found.map(\.summary))")
        #expect("\(first.line):\(first.column)" == "\(mistake.line):\(mistake.column)", "\(first.summary)")
        #expect(first.message.contains(mistake.message), "\(first.summary)")
        #expect(mistake.hint.isEmpty || (first.hint ?? "").contains(mistake.hint), "\(first.summary)")
    }

    @Test func thePictureHasNone() {
        #expect(problems(picture).isEmpty)
    }

    @Test func allAreToldAtOnceInTheOrderOfTheText() {
        let text =
            picture
            .replacing("name: picture", with: "name: \"Picture \"")
            .replacing("192.0.2.10/24", with: "192.0.9.10/24")
            .replacing("type: firewall", with: "tipe: firewall")
            .replacing("attach: servers }", with: "attach: server, attach: x }")
            .replacing("[tcp/80]", with: "[80]")
            .replacing("[fw, web]", with: "[fw, wep]")
        #expect(problems(text).map(\.line) == [1, 8, 12, 13, 13, 17, 19])
    }

    @Test func aProblemIsPrintedAsACompilerDoes() throws {
        let problem = try #require(problems(picture.replacing("[fw, web]", with: "[fv, web]")).first)
        #expect(
            problem.description == """
                t.yaml:19:16: error: there is no application "fv"; did you mean "fw"?
                        sequence: [fv, web]
                                   ^
                """)
    }

    @Test func aFileThatIsNotThereIsTold() {
        #expect(throws: TopologyError.self) { try TopologyFile.read("/nonexistent/topology.yaml") }
        #expect(throws: TopologyError.self) { try TopologyFile.read("/") }
    }

    @Test func aHundredKeysGivenTwiceAreAHundredLines() {
        let doubled = (0..<100).map { "  c\($0): {}\n  c\($0): {}\n" }.joined()
        let found = problems("name: a\nchecks: []\ninterfaces:\n\(doubled)")
        #expect(found.count == 100)
        #expect(found.map(\.line) == (0..<100).map { 5 + 2 * $0 })
    }
}
