import Foundation
import Testing

/// Service addresses inside the networks of the interfaces, chains of every shape, and entries by hand: each node on the
/// way must send packets the right way, whatever its own links and routes cover. Real HTTP servers answer.
@Suite(.serialized) struct MidChainRouteTests {
    /// The four interfaces, with the network of each in both families.
    static let networks = [
        ("customers", "192.0.2", "2001:db8:2:"), ("inspection", "198.18.2", "2001:db8:12:"),
        ("inspected", "198.18.3", "2001:db8:13:"), ("servers", "198.18.4", "2001:db8:14:"),
    ]

    /// Answers with its name, the address that it was asked at, and who asked.
    static let server = """
        import http.server, socket, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = f"{sys.argv[1]} at {self.connection.getsockname()[0]} for {self.client_address[0]} "
                text = text.replace("::ffff:", "").encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
            def log_message(self, *arguments): pass
        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
        Server(("::", 80), Handler).serve_forever()
        """

    /// Asks the server that it is told, and hands on what it says.
    static let proxy = """
        import http.server, socket, sys, urllib.request
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                try: text = urllib.request.urlopen(f"http://{sys.argv[1]}/", timeout=15).read()
                except Exception as error: text = repr(error).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
            def log_message(self, *arguments): pass
        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
        Server(("::", 80), Handler).serve_forever()
        """

    /// Runs topologies side by side; returns each check's name with whether it held and what it said.
    private func prove(_ topologies: [String], timeout: Double = 600) throws -> [String: (held: Bool, summary: String)]
    {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tapline-routes-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Self.server.write(to: folder.appendingPathComponent("server.py"), atomically: true, encoding: .utf8)
        try Self.proxy.write(to: folder.appendingPathComponent("proxy.py"), atomically: true, encoding: .utf8)
        let paths = try topologies.enumerated().map { number, text in
            let file = folder.appendingPathComponent("\(number).yaml")
            try text.write(to: file, atomically: true, encoding: .utf8)
            return file.path
        }
        let finished = try run(
            Product.tapline, ["test"] + paths + ["--jobs", "4", "--json"], timeout: timeout)
        let start = try #require(
            finished.output.range(of: "\n{\n") ?? finished.output.range(of: "{\n"), "\(finished.output)")
        let json = String(finished.output[start.lowerBound...])
        let root = try #require(
            try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any], "\(finished.output)")
        var checks: [String: (held: Bool, summary: String)] = [:]
        for file in root["files"] as? [[String: Any]] ?? [] {
            #expect((file["notes"] as? [String]) == [], "\(file["notes"] ?? "")")
            #expect(file["error"] == nil, "\(file["error"] ?? "")")
            for check in file["checks"] as? [[String: Any]] ?? [] {
                let name = try #require(check["name"] as? String)
                #expect(checks[name] == nil, "two checks are called \(name)")
                checks[name] = (check["passed"] as? Bool ?? false, "\(check["came"] ?? "")")
            }
        }
        return checks
    }

    /// {MAC, network send address} × {direct, routed firewall, one-armed, both} × {an address in the network of each
    /// interface} × {IPv4, IPv6}.
    @Test func everyCellOfTheMatrixWorks() throws {
        let shapes: [(String, [String])] = [
            ("direct", []), ("firewall", ["firewall"]), ("arm", ["arm"]), ("both", ["arm", "firewall"]),
        ]
        let checks = try prove(shapes.map { Self.matrix($0.0, $0.1) })
        #expect(checks.count == 64)
        for (name, check) in checks { #expect(check.held, "\(name): \(check.summary)") }
    }

    /// One shape: services with either send address, whose addresses are in the network of each interface.
    static func matrix(_ shape: String, _ chain: [String]) -> String {
        var text = "name: \(shape)\ninterfaces:\n"
        for (name, four, six) in networks { text += "  \(name): { address: [\(four).1/24, \"\(six):1/64\"] }\n" }
        text +=
            "customers:\n  alice: { interface: customers, address: [192.0.2.10, \"2001:db8:2::10\"] }\napplications:\n"
        if chain.contains("arm") { text += "  arm: { attach: inspection }\n" }
        text += "  firewall: { attach: { in: inspection, out: inspected } }\n"
        text += "  mac: { attach: servers, run: exec python3 server.py mac, ready: { tcp: 80 } }\n"
        for (name, _, _) in networks {
            text +=
                "  net-\(name): { attach: servers, send: network, run: exec python3 server.py net-\(name), ready: { tcp: 80 } }\n"
        }
        text += "services:\n"
        // Where none of them passes the firewall, one that nobody asks for does.
        if !chain.contains("firewall") {
            text += "  other: { address: 203.0.113.1, ports: tcp/80, sequence: [firewall, mac] }\n"
        }
        var checks = "checks:\n"
        for (name, four, six) in networks {
            for (send, host) in [("mac", 80), ("net", 90)] {
                let end = send == "mac" ? "mac" : "net-\(name)"
                let addresses = ["\(four).\(host)", "\(six):\(host)"]
                text +=
                    "  \(send)-\(name): { address: [\(addresses[0]), \"\(addresses[1])\"], ports: tcp/80, "
                    + "sequence: [\((chain + [end]).joined(separator: ", "))] }\n"
                for (family, address) in zip(["IPv4", "IPv6"], addresses) {
                    let url = family == "IPv4" ? address : "[\(address)]"
                    let customer = family == "IPv4" ? "192.0.2.10" : "2001:db8:2::10"
                    // With a MAC send address the server is asked at the service address itself.
                    let answer = send == "mac" ? "mac at \(address) for \(customer) " : "net-\(name) at "
                    checks +=
                        "  - { name: \"\(shape), \(send), \(name), \(family)\", on: alice, run: \"curl -gsS -m 20 http://\(url)/\", "
                        + "expect: [\"\(answer)\", \" for \(customer) \"] }\n"
                }
            }
        }
        return text + checks
    }

    /// Networks of two interfaces that are one, or one inside the other.
    @Test func legsMayShareANetwork() throws {
        let plain = networksByName()
        func second(_ name: String) -> (String, String) {
            let (four, six) = plain[name] ?? ("", "")
            return (four.replacing(".1/", with: ".2/"), six.replacing(":1/", with: ":2/"))
        }
        var topologies: [String] = []
        for (one, other) in [
            ("inspection", "inspected"), ("customers", "inspection"), ("customers", "inspected"),
            ("inspection", "servers"), ("inspected", "servers"), ("customers", "servers"),
        ] {
            var networks = plain
            networks[other] = second(one)
            topologies.append(Self.legs("\(one)-\(other)", networks))
        }
        var wide = plain
        wide["inspection"] = ("198.18.0.1/16", "2001:db8:13::2/48")
        topologies.append(Self.legs("wide", wide))
        let checks = try prove(topologies)
        #expect(checks.count == 28)
        for (name, check) in checks { #expect(check.held, "\(name): \(check.summary)") }
    }

    private func networksByName() -> [String: (String, String)] {
        Dictionary(uniqueKeysWithValues: Self.networks.map { ($0.0, ("\($0.1).1/24", "\($0.2):1/64")) })
    }

    private static func legs(_ name: String, _ networks: [String: (String, String)]) -> String {
        var text = "name: \(name)\ninterfaces:\n"
        for (interface, _, _) in Self.networks {
            let (four, six) = networks[interface] ?? ("", "")
            text += "  \(interface): { address: [\(four), \"\(six)\"] }\n"
        }
        text += """
            customers: { alice: { interface: customers } }
            applications:
              firewall: { attach: { in: inspection, out: inspected } }
              web: { attach: servers, run: exec python3 server.py web, ready: { tcp: 80 } }
              own: { attach: servers, send: network, run: exec python3 server.py own, ready: { tcp: 80 } }
            services:
              steered:   { address: [203.0.113.80, "2001:db8:cb::80"], ports: tcp/80, sequence: [firewall, web] }
              rewritten: { address: [203.0.113.90, "2001:db8:cb::90"], ports: tcp/80, sequence: [firewall, own] }
            checks:

            """
        for url in ["203.0.113.80", "[2001:db8:cb::80]", "203.0.113.90", "[2001:db8:cb::90]"] {
            text +=
                "  - { name: \"\(name), \(url)\", on: alice, run: \"curl -gsS -m 20 http://\(url)/\", expect: \" for \" }\n"
        }
        return text
    }

    /// Instances, proxies with one side and with two, routers with one side and with two, and prefixes: addresses in the
    /// network of each interface, for all of them.
    @Test func everyKindOfNodeFindsAddressesInEveryNetwork() throws {
        let head =
            "interfaces:\n"
            + Self.networks.map { "  \($0.0): { address: [\($0.1).1/24, \"\($0.2):1/64\"] }\n" }.joined()
            + "customers: { alice: { interface: customers } }\n"
        let web = "  web: { attach: servers, run: exec python3 server.py web, ready: { tcp: 80 } }\n"
        func checks(_ what: String, _ cells: [(String, String)]) -> String {
            cells.map {
                "  - { name: \"\(what), \($0.0)\", on: alice, run: \"curl -gsS -m 20 http://\($0.1)/\", expect: \" for \" }\n"
            }.joined()
        }
        func both(_ name: String, _ four: String, _ six: String) -> [(String, String)] {
            [("\(name), IPv4", four), ("\(name), IPv6", "[\(six)]")]
        }
        var balanced =
            "name: balanced\n\(head)applications:\n"
            + web.replacing("servers,", with: "servers, instances: 2, redundancy: balance,")
        balanced += "  shared: { attach: { in: inspection, out: inspected }, instances: 2, redundancy: balance }\n"
        balanced += "  spare: { attach: { in: inspection, out: inspected }, instances: 2 }\nservices:\n"
        var prefixes =
            "name: prefixes\n\(head)applications:\n\(web)  firewall: { attach: { in: inspection, out: inspected } }\n"
        prefixes += "  arm: { attach: inspection }\nservices:\n"
        var routed =
            "name: routed\n\(head)applications:\n\(web)routers: { gate: { attach: { in: inspection, out: inspected } } }\nservices:\n"
        var egress =
            "name: egress\n\(head)applications:\n\(web)  firewall: { attach: { in: inspection, out: inspected } }\n"
        egress +=
            "routers: { gate: { interface: inspected } }\nservices:\n  out: { address: [0.0.0.0/0, \"::/0\"], sequence: [firewall, gate] }\n"
        var cells: [String: [(String, String)]] = [:]
        for (name, four, six) in Self.networks {
            for (application, host) in [("shared", 81), ("spare", 82)] {
                balanced +=
                    "  \(application)-\(name): { address: [\(four).\(host), \"\(six):\(host)\"], ports: tcp/80, sequence: [\(application), web] }\n"
                cells["balanced", default: []] += both("\(application), \(name)", "\(four).\(host)", "\(six):\(host)")
            }
            for (application, start, wide) in [("firewall", 64, 4), ("arm", 80, 5)] {
                prefixes +=
                    "  \(application)-\(name): { address: [\(four).\(start)/28, \"\(six):\(wide)000/116\"], ports: tcp/80, sequence: [\(application), web] }\n"
                cells["prefixes", default: []] += both(
                    "\(application), \(name)", "\(four).\(start + 2)", "\(six):\(wide)007")
            }
            routed += "  to-\(name): { address: [\(four).70, \"\(six):70\"], sequence: gate }\n"
            routed +=
                "  from-\(name): { address: [\(four).70, \"\(six):70\"], ports: tcp/80, from: gate, sequence: web }\n"
            cells["routed", default: []] += both(name, "\(four).70", "\(six):70")
            // Behind a router with one side the customers' addresses tell nothing of these.
            guard name != "customers" else { continue }
            egress +=
                "  from-\(name): { address: [\(four).77, \"\(six):77\"], ports: tcp/80, from: gate, sequence: web }\n"
            cells["egress", default: []] += both(name, "\(four).77", "\(six):77")
        }
        var topologies = [("balanced", balanced), ("prefixes", prefixes), ("routed", routed), ("egress", egress)].map {
            name, text in
            text + "checks:\n" + checks(name, cells[name] ?? [])
        }
        for (shape, attach) in [("one side", "inspection"), ("two sides", "{ in: inspection, out: inspected }")] {
            var text =
                "name: proxy\n\(head)applications:\n\(web)  firewall: { attach: { in: inspection, out: inspected } }\n"
            var services = "services:\n  other: { address: 203.0.113.200, ports: tcp/80, sequence: [firewall, web] }\n"
            var own: [(String, String)] = []
            for (number, (name, four, six)) in Self.networks.enumerated() {
                for (family, back, front) in [
                    ("4", "\(four).9\(number)", "203.0.113.\(number + 1)"),
                    ("6", "\(six):9\(number)", "2001:db8:cb::\(number + 1)"),
                ] {
                    let proxy = "p\(family)-\(name)"
                    text +=
                        "  \(proxy): { attach: \(attach), run: \"exec python3 proxy.py \(family == "4" ? back : "[\(back)]")\", ready: { tcp: 80 } }\n"
                    services += "  front-\(proxy): { address: \"\(front)\", ports: tcp/80, sequence: \(proxy) }\n"
                    services +=
                        "  back-\(proxy): { address: \"\(back)\", ports: tcp/80, from: \(proxy), sequence: web }\n"
                    own.append(("\(name), IPv\(family)", family == "4" ? front : "[\(front)]"))
                }
            }
            topologies.append(text + services + "checks:\n" + checks("proxy, \(shape)", own))
        }
        let checks = try prove(topologies)
        #expect(checks.count == 16 + 16 + 8 + 6 + 8 + 8)
        for (name, check) in checks { #expect(check.held, "\(name): \(check.summary)") }
    }

    /// Entries by hand get the routes that services get: back to the customers, and on to what they pass on.
    @Test func entriesByHandGetTheirRoutes() throws {
        var topologies: [String] = []
        for isSix in [false, true] {
            for (shape, address) in [
                ("two legs", "203.0.113.80"), ("two legs, in the near network", "198.18.2.80"),
                ("two legs, in the far network", "198.18.3.80"),
                ("two after another", "203.0.113.80"), ("one arm", "203.0.113.80"),
                ("one arm, in its own network", "198.18.2.80"),
            ] {
                topologies.append(Self.byHand(shape, address, isSix))
            }
        }
        let checks = try prove(topologies)
        #expect(checks.count == topologies.count)
        for (name, check) in checks { #expect(check.held, "\(name): \(check.summary)") }
    }

    private static func byHand(_ shape: String, _ four: String, _ isSix: Bool) -> String {
        let known = ["203.0.113": "2001:db8:cb:"].merging(networks.map { ($0.1, $0.2) }) { $1 }
        let parts = four.split(separator: ".")
        let network = parts.dropLast().joined(separator: ".")
        let address = isSix ? "\(known[network] ?? "")" + ":80" : four
        let customers = isSix ? "\"2001:db8:2::/64\"" : "192.0.2.0/24"
        let isArm = shape.hasPrefix("one arm")
        var text = "name: hand\ninterfaces:\n"
        for (name, four, six) in networks where !isArm || name != "inspected" {
            text += isSix ? "  \(name): { address: \"\(six):1/64\" }\n" : "  \(name): { address: \(four).1/24 }\n"
        }
        let quoted = "\"\(address)\""
        func entry(_ name: String, _ received: String, _ source: String, _ rest: String) -> String {
            "    - { name: \(name), received-interface: \(received), source: \(source), \(rest) }\n"
        }
        func leg(_ node: String, _ interface: String) -> String {
            "to: { application: \(node), interface: \(interface) }"
        }
        text += """
            customers: { alice: { interface: customers } }
            applications:
              web:
                attach: servers
                setup: ip address add \(address)/\(isSix ? 128 : 32) dev lo
                run: exec python3 server.py web
                ready: { tcp: 80 }

            """
        let isDouble = shape == "two after another"
        let near = "first"
        text +=
            isArm ? "  first: { attach: inspection }\n" : "  first: { attach: { in: inspection, out: inspected } }\n"
        if isDouble { text += "  second: { attach: { in: inspection, out: inspected } }\n" }
        let far = isArm ? "inspection" : "inspected"
        let last = isDouble ? "second" : "first"
        text += "entries:\n  distribution:\n"
        text +=
            "    - { name: in, received-interface: customers, destination: \(quoted), \(leg(near, "inspection")) }\n"
        text += "  sequencing:\n"
        if isDouble { text += entry("between", far, near, "destination: \(quoted), \(leg("second", "inspection"))") }
        text += entry("on", far, last, "destination: \(quoted), to: web")
        text += entry("back", "servers", "web", "destination: \(customers), direction: response, \(leg(last, far))")
        if isDouble {
            text += entry(
                "back-between", "inspection", "second",
                "destination: \(customers), direction: response, \(leg(near, far))")
        }
        text += entry(
            "out", "inspection", near,
            "destination: \(customers), direction: response, to: { interface: customers, neighbour: true }")
        let url = isSix ? "[\(address)]" : address
        return text
            + "checks:\n  - { name: \"\(shape), \(url)\", on: alice, run: \"curl -gsS -m 20 http://\(url)/\", expect: \" for \" }\n"
    }
}
