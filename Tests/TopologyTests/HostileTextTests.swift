import Forwarding
import Plan
import Seeds
import Testing

/// Whatever the text, there is a plan or a list of mistakes, and soon.
@Suite struct HostileTextTests {
    @Test(arguments: [
        "~", "\"", "'", "{", "[", "&a *a", "&a [*a]", "? [a]: b", "? {a: b}\n: c", "<<: 1", "<<: [1, {a: b}]",
        "!!set {a}",
        "!!binary x", "%YAML 9.9\n---\na", "name: !!int x", "\u{FEFF}name: a", "name: \"\\0\"",
        "name: a\r\nname: b\r\n",
        "name: &x a\n*x : b", "{a: 1, a: 1, a: 1}", "a:\n- b\n-c", "- - - - -", ": : :", "name: |\n  a\n b", "\u{1}",
        "...",
        "name: a\ninterfaces: ~\ncustomers: ~\napplications: ~\nservices: ~\nentries: ~\nchecks: ~\nengine: ~",
        "name: []\ninterfaces: 1\ncustomers: [1]\napplications: x\nservices: [[]]\nentries: []\nchecks: {a: b}\nengine: 5",
        "name: {}\ncustomers: {a: {interface: {}, address: {}, prefixes: [[], {}], setup: {}, environment: []}}",
        "name: a\nservices: {s: {address: {}, ports: {}, from: {}, distribute: {}, sequence: {}}}",
        "name: a\nentries: {distribution: [1, {}, {to: {}}, {to: [{}]}], sequencing: {}}",
        "name: a\nchecks: [1, {}, {on: {}}, {on: [], run: {}}, {log: 1}, {entry: ~}, {drops: x, frames: {}}]",
    ])
    func endsWithAListOfMistakes(_ text: String) {
        _ = problems(text)
    }

    /// Where something is missing at the end, the place is where the text ends.
    @Test(arguments: [
        "[", "name: x\ninterfaces: {", "name: x\ninterfaces: {\n", "name: x\rinterfaces: {\r\n", "name: \"a",
    ])
    func whatIsMissingIsMissingAtTheEnd(_ text: String) throws {
        let problem = try #require(problems(text).first)
        let lines = text.split(whereSeparator: \.isNewline)
        #expect(problem.line == lines.count)
        #expect(problem.column == (lines.last?.count ?? 0) + 1)
        #expect(problem.hint != nil)
    }

    @Test func aByteOrderMarkIsNoPartOfTheText() {
        #expect(problems("\u{FEFF}name: a\n").isEmpty)
        #expect(problems("\u{FEFF}nam: a\n").contains { $0.line == 1 && $0.column == 1 })
    }

    @Test func nestingBeyondReasonEnds() {
        for opener in ["[", "{a: ", "- ", "? "] {
            #expect(!problems(String(repeating: opener, count: 20_000)).isEmpty)
        }
        #expect(!problems("name: " + String(repeating: "[", count: 900) + String(repeating: "]", count: 900)).isEmpty)
    }

    @Test func aliasesThatMultiplyAreRefused() {
        var text = "name: a\nx0: &x0 [a, a, a, a, a, a, a, a, a, a]\n"
        for level in 1...12 {
            text +=
                "x\(level): &x\(level) [" + Array(repeating: "*x\(level - 1)", count: 10).joined(separator: ", ")
                + "]\n"
        }
        #expect(problems(text + "? *x12\n: b\n").first?.message.contains("aliases") == true)
    }

    @Test func aliasesAndMergeKeysWork() throws {
        let plan = try plan(
            """
            name: merged
            interfaces: { a: &link { address: 192.0.2.1/24, mtu: 1400 }, b: { <<: *link, address: 198.18.0.1/24 } }
            customers: { c: { interface: a } }
            applications: { web: { attach: b } }
            services: { s: { address: 203.0.113.1, sequence: web } }
            """)
        #expect(plan.interfaces.map(\.mtu) == [1400, 1400])
    }

    /// The picture with every key that redundancy has.
    private static let redundancy =
        picture.replacing(
            "attach: { in: inspection, out: inspected } }",
            with: """
                attach: { in: inspection, out: inspected }, when-down: bypass, minimum: 1,
                    instances: { fw-a: { priority: 200, address: { in: 198.18.2.9 } }, fw-b: { setup: x, weight: 2 } },
                    health: [{ heartbeat: { size: 90 }, interval: 10ms, rise: 1 }, { negative-heartbeat: true }, { echo: true }],
                    damping: { suppress: 2000, reuse: 900, half-life: 4s }, drain: 5s, hash: addresses, seed: 7, active: 1 }
                """
        ).replacing(
            "attach: servers }",
            with: """
                attach: servers, instances: 3, redundancy: balance, answer: reset, scale: { processor: 80%, most: 4 },
                    health: { http: 80, path: /, status: 200, body: x, timeout: 1s, fall: 2 } }
                """
        ).replacing("passive: true,", with: "passive: true, instances: [a, b],")
        + "engines: { count: 2, share: direction }\n"

    @Test(arguments: [picture, redundancy])
    func changedTextsNeverCrash(_ written: String) {
        #expect(problems(written).isEmpty)

        let seed = Seed.drawn()
        var generator = SeededGenerator(seed: seed)
        let base = Array(
            (written + "checks:\n  - { name: x, on: alice, run: a, expect: { matches: 'a' } }\n").unicodeScalars)
        let pieces = [
            "{", "}", "[", "]", ":", ": ", ",", "\n", "  ", "\"", "&a ", "*a", "<<: ", "~", "-", "- ", "/", "0",
            "99999999999999999999", "é", "\t", "any", "web", "fw", "fw-a", "web-2", "instances", "%",
        ]
        for _ in 0..<800 {
            var text = base
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let place = Int.random(in: 0..<text.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: text.remove(at: place)
                case 1:
                    text.insert(contentsOf: Array(pieces.randomElement(using: &generator)!.unicodeScalars), at: place)
                case 2: text.removeSubrange(place..<min(text.count, place + Int.random(in: 1...30, using: &generator)))
                default:
                    let end = min(text.count, place + Int.random(in: 1...40, using: &generator))
                    text.insert(contentsOf: text[place..<end], at: Int.random(in: 0..<text.count, using: &generator))
                }
                if text.isEmpty { text = base }
            }
            var view = String.UnicodeScalarView()
            view.append(contentsOf: text)
            for problem in problems(String(view)) {
                #expect(problem.line >= 1 && problem.column >= 1)
            }
        }
    }

    @Test func aLargeTopologyIsPlannedSoon() throws {
        let customers = (0..<2000).map { "  c\($0): { interface: a }\n" }.joined()
        let services = (0..<500).map {
            "  s\($0): { address: 203.0.\($0 / 250).\($0 % 250 + 1), ports: tcp/80, from: c\($0), sequence: web }\n"
        }.joined()
        let plan = try plan(
            "name: large\ninterfaces: { a: { address: 10.0.0.1/16 }, b: { address: 198.18.0.1/24 } }\ncustomers:\n"
                + customers + "applications: { web: { attach: b } }\nservices:\n" + services)
        #expect(plan.nodes.count == 2001)
        #expect(plan.table.entries.count == 500 * 2 * 2)
        #expect(Set(plan.nodes.flatMap(\.legs).compactMap(\.fabricDevice)).count == 2000)
    }
}
