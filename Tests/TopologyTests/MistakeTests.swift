import Testing
import Topology

/// One mistake: the text with it, where it is told, and what is said.
struct Mistake: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var text: String
    var line: Int
    var column: Int
    var message: String
    var mend: String

    init(_ description: String, _ text: String, _ line: Int, _ column: Int, _ message: String, _ mend: String = "") {
        testDescription = description
        self.text = text
        self.line = line
        self.column = column
        self.message = message
        self.mend = mend
    }

    /// The picture with one text in place of another.
    init(
        _ description: String, swap: String, for other: String, _ line: Int, _ column: Int, _ message: String,
        _ mend: String = ""
    ) {
        self.init(description, picture.replacing(swap, with: other), line, column, message, mend)
    }

    /// The picture with lines below its services.
    init(_ description: String, adding: String, _ line: Int, _ column: Int, _ message: String, _ mend: String = "") {
        self.init(description, picture + adding + "\n", line, column, message, mend)
    }
}

private let mistakes: [Mistake] = [
    Mistake("no text", "", 1, 1, "the file is empty"),
    Mistake("only a comment", "# nothing\n", 1, 1, "the file is empty"),
    Mistake("a list", "- a\n", 1, 1, "the file must be a mapping"),
    Mistake("a tab", "name: a\ninterfaces:\n\ta: {}\n", 3, 1, "this is not YAML", "indent with spaces"),
    Mistake("an open bracket", "name: [a\n", 2, 1, "this is not YAML", "close the bracket"),
    Mistake("a colon in a text", "name: a: b\n", 1, 8, "this is not YAML", "in quotes"),
    Mistake("two documents", "name: a\n---\nname: b\n", 2, 1, "this is not YAML", "second"),
    Mistake("an unknown alias", "name: *a\n", 1, 7, "this is not YAML: found undefined alias", "anchor"),
    Mistake("no name", "interfaces: {}\n", 1, 1, "the topology has no name", "add `name"),
    Mistake(
        "an unknown section", swap: "services:", for: "servces:", 14, 1, "the file has no key \"servces\"",
        "did you mean \"services\"?"),
    Mistake(
        "an unknown key", swap: "passive: true", for: "pasive: true", 11, 37,
        "application \"ids\" has no key \"pasive\"", "did you mean \"passive\"?"),
    Mistake(
        "a key twice in a block", adding: "  shop: {}", 20, 3,
        "the key \"shop\" is given twice; the first is on line 15", "remove one"),
    Mistake(
        "a key twice in a flow", swap: "attach: servers }", for: "attach: servers, attach: inspected }", 13, 45,
        "the key \"attach\" is given twice"),
    Mistake(
        "a list for a mapping", swap: "{ interface: customers }", for: "[customers]", 9, 10,
        "customer \"bob\" must be a mapping", "write"),
    Mistake(
        "nothing for a customer", swap: "{ interface: customers }", for: "", 9, 3,
        "customer \"bob\" is on no interface", "add `interface"),
    Mistake(
        "an unknown interface", swap: "{ interface: customers }", for: "{ interface: custmers }", 9, 23,
        "there is no interface \"custmers\"", "did you mean \"customers\"?"),
    Mistake(
        "an MTU too small", swap: "[198.18.4.1/24, \"2001:db8:14::1/64\"]", for: "198.18.4.1/24, mtu: 500", 6, 46,
        "the MTU is \"500\"", "576 to 65521"),
    Mistake(
        "an MTU beyond all numbers", swap: "[198.18.4.1/24, \"2001:db8:14::1/64\"]",
        for: "198.18.4.1/24, mtu: 99999999999999999999", 6, 46, "the MTU is"),
    Mistake(
        "an MTU below IPv6", swap: "\"2001:db8:14::1/64\"]", for: "\"2001:db8:14::1/64\"], mtu: 1000", 6, 69,
        "cannot carry IPv6", "1280"),
    Mistake(
        "no prefix length", swap: "[192.0.2.1/24,", for: "[192.0.2.1,", 3, 27, "has no prefix length",
        "write 192.0.2.1/24"),
    Mistake(
        "no address", swap: "[192.0.2.1/24,", for: "[192.0.2.256/24,", 3, 27, "\"192.0.2.256/24\" is not an address"),
    Mistake(
        "the network's address", swap: "[192.0.2.1/24,", for: "[192.0.2.0/24,", 3, 27, "is the network itself",
        "such as 192.0.2.2/24"),
    Mistake("the broadcast address", swap: "192.0.2.10/24", for: "192.0.2.255/24", 8, 44, "is the broadcast address"),
    Mistake("another network", swap: "192.0.2.10/24", for: "192.0.3.10/24", 8, 44, "192.0.3.10 is not in 192.0.2.0/24"),
    Mistake(
        "another length", swap: "192.0.2.10/24", for: "192.0.2.10/25", 8, 44, "another prefix length than 192.0.2.1/24",
        "write 192.0.2.10/24"),
    Mistake(
        "an address twice", swap: "192.0.2.10/24", for: "192.0.2.1/24", 8, 44,
        "already the address of the engine on customers on line 3"),
    Mistake(
        "the engine's link-local address", swap: "\"2001:db8:2::10/64\"", for: "\"fe80::1/64\"", 8, 59,
        "the engine's own"),
    Mistake(
        "a name twice", swap: "bob: ", for: "web: ", 13, 3,
        "the application \"web\" has the name of the customer on line 9", "rename one"),
    Mistake(
        "no attachment", swap: "attach: servers }", for: "}", 13, 3, "application \"web\" is attached to no interface",
        "attach"),
    Mistake(
        "passive with two sides", swap: "attach: { in: inspection }", for: "attach: { in: inspection, out: servers }",
        11, 83, "is passive and has an interface", "remove `out`"),
    Mistake(
        "transparent with one side", swap: "attach: servers }", for: "attach: servers, transparent: true }", 13, 45,
        "is transparent and has no second interface", "add `out`"),
    Mistake(
        "both sides on one interface", swap: "out: inspected }", for: "out: inspection }", 12, 57,
        "are the same interface", "one-armed"),
    Mistake(
        "active and not passive", swap: "attach: servers }", for: "attach: servers, active-responses: true }", 13, 45,
        "is not passive"),
    Mistake(
        "a passive network address", swap: "passive: true,", for: "passive: true, send: network,", 11, 58,
        "is passive: packets reach it as they are"),
    Mistake(
        "an unknown send address", swap: "attach: servers }", for: "attach: servers, send: netwrk }", 13, 51,
        "`send` is \"netwrk\"", "did you mean \"network\"?"),
    Mistake(
        "not a flag", swap: "passive: true", for: "passive: maybe", 11, 46, "`passive` is \"maybe\"", "true or false"),
    Mistake(
        "a port without a protocol", swap: "[tcp/80]", for: "[80]", 17, 13, "\"80\" is not a service port",
        "tcp/80 or udp/80"),
    Mistake("a port that is none", swap: "[tcp/80]", for: "tcp/70000", 17, 12, "is not a service port"),
    Mistake("a port range backwards", swap: "[tcp/80]", for: "tcp/90-80", 17, 12, "is not a service port"),
    Mistake("overlapping ports", swap: "[tcp/80]", for: "[tcp/80-90, tcp/85-95]", 17, 24, "overlaps with one before"),
    Mistake(
        "bits beyond the prefix", swap: "[203.0.113.80,", for: "[203.0.113.80/24,", 16, 15,
        "bits set beyond its length", "write 203.0.113.0/24"),
    Mistake("a multicast service", swap: "[203.0.113.80,", for: "[224.0.0.80,", 16, 15, "cannot be a service address"),
    Mistake(
        "a service address that a node has", swap: "[203.0.113.80,", for: "[192.0.2.10,", 16, 15,
        "is that of alice on line 8"),
    Mistake("a service without an address", adding: "  x: { sequence: web }", 20, 3, "has no address"),
    Mistake("a service without a sequence", adding: "  x: { address: 203.0.113.81 }", 20, 3, "has no sequence"),
    Mistake(
        "a service for nobody",
        "name: a\ninterfaces: { i: { address: 192.0.2.1/24 } }\napplications: { web: { attach: i } }\nservices:\n  s: { address: 203.0.113.1, sequence: web }\n",
        5, 3, "has no customers"),
    Mistake(
        "an unknown customer", swap: "distribute:", for: "from: alise\n    distribute:", 18, 11,
        "there is no interface, customer, application or router \"alise\"", "did you mean \"alice\"?"),
    Mistake(
        "an unknown application", swap: "[fw, web]", for: "[fv, web]", 19, 16, "there is no application \"fv\"",
        "did you mean \"fw\"?"),
    Mistake(
        "a customer in the chain", swap: "[fw, web]", for: "[alice, web]", 19, 16, "\"alice\" is the customer on line 8"
    ),
    Mistake("a circle", swap: "[fw, web]", for: "[fw, fw, web]", 19, 20, "in the sequence twice", "remove one"),
    Mistake(
        "a passive end", swap: "[fw, web]", for: "[fw, ids]", 19, 20, "which is passive and answers nobody",
        "`distribute`"),
    Mistake(
        "a transparent end",
        picture.replacing("type: firewall,", with: "transparent: true,").replacing("[fw, web]", with: "[fw]"), 19, 16,
        "which is transparent and answers nobody"),
    Mistake(
        "a distributed inner application", swap: "[ids, fw]", for: "[ids, web]", 18, 23,
        "would get a copy and later the packet itself"),
    Mistake(
        "a rewritten middle", swap: "type: firewall,", for: "send: network,", 19, 16,
        "has a network send address in the middle"),
    Mistake(
        "two addresses rewritten",
        "name: a\ninterfaces: { i: { address: 192.0.2.1/24 } }\ncustomers: { c: { interface: i } }\napplications: { web: { attach: i, send: network } }\nservices:\n  s: { address: [203.0.113.1, 203.0.113.2], sequence: web }\n",
        6, 31, "cannot be told apart"),
    Mistake(
        "one address for two", adding: "  x: { address: 203.0.113.80, ports: tcp/80, sequence: web }", 20, 3,
        "service \"x\" and service \"shop\" on line 15 have the same address 203.0.113.80 and service port tcp/80",
        "another address"),
    Mistake(
        "a shared rewriting application",
        "name: a\ninterfaces: { i: { address: 192.0.2.1/24 } }\ncustomers: { c: { interface: i } }\napplications: { web: { attach: i, send: network } }\nservices:\n  s: { address: 203.0.113.1, ports: tcp/80, sequence: web }\n  t: { address: 203.0.113.2, ports: tcp/80, sequence: web }\n",
        7, 3, "nothing tells its answers for the one from those for the other", "MAC send address"),
    Mistake(
        "an interface without IPv4", swap: "[198.18.3.1/24, \"2001:db8:13::1/64\"]", for: "\"2001:db8:13::1/64\"", 5, 3,
        "interface \"inspected\" has no IPv4 address"),
    Mistake(
        "waiting for each other", swap: "attach: servers }", for: "attach: servers, depends: web }", 13, 54,
        "wait for each other: web → web"),
    Mistake(
        "a duration without a unit", swap: "attach: servers }", for: "attach: servers, ready-timeout: 5 }", 13, 60,
        "`ready-timeout` is \"5\"", "500ms, 5s or 2m"),
    Mistake(
        "two kinds of ready", swap: "attach: servers }", for: "attach: servers, ready: { tcp: 80, http: 80 } }", 13, 52,
        "must have one of"),
    Mistake(
        "a sysctl of the host", swap: "attach: servers }", for: "attach: servers, sysctls: { kernel.panic: 1 } }", 13,
        56, "is not a sysctl of a network namespace"),
    Mistake(
        "a variable of Tapline's", swap: "attach: servers }", for: "attach: servers, environment: { TAPLINE_X: 1 } }",
        13, 60, "one of Tapline's own"),
    Mistake(
        "a route to nowhere", swap: "attach: servers }",
        for: "attach: servers, routes: [{ to: default, via: 10.0.0.1 }] }", 13, 74, "on none of the networks"),
    Mistake("a check of nothing", adding: "checks:\n  - { name: x }", 21, 5, "must have one of `on`"),
    Mistake(
        "a check on an unknown node", adding: "checks:\n  - { name: x, on: alicia, run: a }", 21, 20,
        "there is no node \"alicia\"", "\"alice\""),
    Mistake(
        "a check of an unknown entry", adding: "checks:\n  - { name: x, entry: shop.request.fv, packets: 1 }", 21, 23,
        "there is no entry", "did you mean \"shop.request.fw\"?"),
    Mistake(
        "a check without a number", adding: "checks:\n  - { name: x, entry: shop.request.fw, packets: many }", 21, 49,
        "`packets` is \"many\"", ">= 1"),
    Mistake(
        "a check with a stray key", adding: "checks:\n  - { name: x, on: alice, run: a, frames: 1 }", 21, 35,
        "`frames` has no meaning beside `on`"),
    Mistake(
        "a check with a bad pattern", adding: "checks:\n  - { name: x, on: alice, run: a, expect: { matches: '(' } }",
        21, 54, "is not a regular expression"),
    Mistake(
        "a check of an unknown reason", adding: "checks:\n  - { name: x, drops: no-servic, frames: 0 }", 21, 23,
        "there is no drop reason", "did you mean \"no-service\"?"),
    Mistake(
        "an entry by hand without a target",
        adding: "entries:\n  distribution:\n    - { name: x, received-interface: customers }", 22, 7, "has no `to`"),
    Mistake(
        "an entry by hand from elsewhere",
        adding: "entries:\n  sequencing:\n    - { name: x, received-interface: customers, source: fw, to: web }", 22,
        57, "\"fw\" is not on interface \"customers\""),
    Mistake(
        "two entries by hand that tie",
        adding:
            "entries:\n  sequencing:\n    - { name: x, received-interface: customers, to: web }\n    - { name: y, received-interface: customers, to: fw }",
        23, 7, "entry \"y\" and entry \"x\" on line 22 match the same packets"),
    Mistake(
        "families mixed by hand",
        adding:
            "entries:\n  sequencing:\n    - { name: x, received-interface: customers, source: 10.0.0.0/8, destination: \"::/0\", to: web }",
        22, 82, "different address families"),
]

@Suite struct MistakeTests {
    @Test(arguments: mistakes)
    func isToldWhereItIs(_ mistake: Mistake) throws {
        let found = problems(mistake.text)
        let first = try #require(found.first, "nothing was told")
        #expect(found.count == 1, "\(found.map(\.summary))")
        #expect("\(first.line):\(first.column)" == "\(mistake.line):\(mistake.column)", "\(first.summary)")
        #expect(first.message.contains(mistake.message), "\(first.summary)")
        #expect(mistake.mend.isEmpty || (first.mend ?? "").contains(mistake.mend), "\(first.summary)")
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
