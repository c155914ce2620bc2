import Reporting
import Testing

@testable import Plan

@Suite struct NameTests {
    @Test func shortPlainNamesStandForThemselves() {
        #expect(DerivedNames.namespace(topology: "four-interface", node: "alice") == "four-interface-alice")
        #expect(DerivedNames.node("fabric") != "fabric")
    }

    @Test(arguments: [
        "日本語", "🦊", "..", ".", "-x", "a/b", "a b", "a_b", "fabric ", String(repeating: "長", count: 300), "a:b",
        String(repeating: "a", count: 64), "\u{5D0}\u{200F}",
    ])
    func derivedNamesAreShortAndSafe(_ name: String) {
        let (topology, node) = (DerivedNames.topology(name), DerivedNames.node(name))
        #expect(topology.utf8.count <= 41 && node.utf8.count <= 63)
        for derived in [topology, node] {
            #expect(!derived.contains { $0.isWhitespace || $0 == "/" || $0 == ":" } && !derived.hasPrefix("."))
        }
        #expect(DerivedNames.topology(topology) == topology)
        let device = GeneratedNames.device(name)
        #expect((1...15).contains(device.utf8.count))
        #expect(device.utf8.allSatisfy { DerivedNames.isAlphanumeric($0) || $0 == 0x2D || $0 == 0x5F })
        var names = GeneratedNames()
        let fabric = names.fabricDevice("v", [name, "customers"])
        #expect(fabric.utf8.count <= 15 && !fabric.utf8.contains { $0 > 0x7E || $0 <= 0x20 })
        #expect(
            fabric == names.fabricDevice("v", [name, "customers"]) && fabric != names.fabricDevice("v", [name, "x"]))
    }

    @Test func composedAndDecomposedAreOneName() {
        #expect(DerivedNames.topology("zoe\u{308}") == DerivedNames.topology("zo\u{EB}"))
    }

    @Test func namesThatTheKernelTakesForSomethingElseAreNoDevices() {
        for name in ["lo", "all", "default", "sit0", "12"] { #expect(GeneratedNames.device(name) != name) }
        #expect(GeneratedNames.device("eth0", besides: ["eth0"]) != "eth0")
        #expect(GeneratedNames.device("customers") == "customers")
    }

    @Test func columnsAreThoseOfATerminal() {
        #expect(["abc", "日本", "e\u{301}", "🦊", "أحمد", "👨‍👩‍👧"].map(TextWidth.columns) == [3, 4, 1, 2, 4, 2])
    }

    @Test func theCaretIsUnderTheMistake() {
        let problem = TopologyProblem(
            file: "t", origin: .line(SourcePosition(line: 1, column: 6)), message: "m", hint: nil,
            sourceLine: "\t日本: x\u{1B}")
        #expect(problem.description == "t:1:6: error: m\n    \t日本: x\u{FFFD}\n    \t      ^")
    }

    @Test func oneNameForTwoEntriesIsRefused() {
        let found = problems(
            """
            name: a
            interfaces: { i: { address: 192.0.2.1/24 }, m: { address: 198.18.1.1/24 }, o: { address: 198.18.2.1/24 } }
            customers: { c: { interface: i } }
            applications: { x: { attach: { in: m, out: o } }, b.request.x: { attach: { in: m, out: o } }, w: { attach: o } }
            services:
              a.request.b: { address: 203.0.113.1, sequence: [x, w] }
              a: { address: 203.0.113.2, sequence: [b.request.x, w] }
            """)
        #expect(found.map(\.line) == [7])
        #expect(found.first?.message.contains("would both be called \"a.request.b.request.x\"") == true)
    }
}
