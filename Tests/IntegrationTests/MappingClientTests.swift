import Foundation
import Testing

/// Programs of others that ask for service ports by themselves: libtorrent by PCP, Transmission by NAT-PMP.
@Suite(.serialized) struct MappingClientTests {
    private static func topology(_ torrent: String) -> String {
        """
        name: torrents
        interfaces:
          customers: { address: 192.0.2.1/24 }
          middle:    { address: 198.18.2.1/24 }
          servers:   { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          firewall: { attach: { in: middle, out: servers } }
          torrent:
            attach: { in: { interface: servers, address: 198.18.4.10/24 } }
            \(torrent)
            negotiate:
              addresses: 192.0.1.82
              ports: [udp/51000-51999, tcp/51000-51999]
              through: [firewall]
        """
    }

    /// What was granted, as `tcp/51000 6881`.
    private func granted(_ lab: Lab) throws -> Set<String> {
        let listed = try lab.tapline("mappings", lab.name, "--json")
        let listing = try JSONSerialization.jsonObject(with: Data(listed.output.utf8)) as? [String: Any]
        let mappings = try #require(listing?["mappings"] as? [[String: Any]], "\(listed.output)")
        return Set(mappings.map { "\($0["servicePort"] ?? "") \($0["port"] ?? "")" })
    }

    private func waitUntil(_ limit: Double, _ holds: () throws -> Bool) throws -> Bool {
        let end = Date().addingTimeInterval(limit)
        while Date() < end {
            if try holds() { return true }
            usleep(100_000)
        }
        return try holds()
    }

    /// Two releases of libtorrent: the distribution's, and the one of PyPI that `Scripts/test` installs.
    enum Release: String, CaseIterable {
        case distribution = "/usr/bin/python3"
        case wheel = "python3"

        /// The start of a command that runs a script with it.
        var python: String {
            self == .distribution ? rawValue : "PYTHONPATH=\(Product.root.path)/.build/judges \(rawValue)"
        }
    }

    @Test(arguments: Release.allCases)
    func libtorrentIsGivenPortsAndGivesThemBack(_ release: Release) throws {
        if release == .wheel {
            let judges = Product.root.path + "/.build/judges/libtorrent"
            try #require(FileManager.default.fileExists(atPath: judges), "Scripts/test installs it")
        }
        try Lab.with(Self.topology("send: network")) { lab in
            let script = Product.root.path + "/Tests/IntegrationTests/Mappings/torrent.py"
            // While it listens, customers reach its port through the firewall.
            let command =
                "mkfifo $TAPLINE_DIR/open; \(release.python) \(script) 198.18.4.10 < $TAPLINE_DIR/open > $TAPLINE_DIR/given & "
                + "exec 3> $TAPLINE_DIR/open; for i in $(seq 600); do [ -s $TAPLINE_DIR/given ] && break; sleep 0.1; done; "
                + "cat $TAPLINE_DIR/given; cp $TAPLINE_DIR/given $TAPLINE_SHARE/given; "
                + "for i in $(seq 600); do [ -e $TAPLINE_SHARE/seen ] && break; sleep 0.1; done; exec 3>&-; wait"
            let process = Process()
            process.executableURL = URL(fileURLWithPath: Product.tapline)
            process.arguments = ["exec", lab.name, "torrent", "--", "/bin/sh", "-c", command]
            let output = Pipe()
            process.standardOutput = output
            process.standardInput = FileHandle.nullDevice
            try process.run()
            #expect(try waitUntil(60) { try granted(lab) == ["tcp/51000 6881", "udp/51000 6881"] })
            #expect(try waitUntil(60) { try lab.exec("alice", "test -e $TAPLINE_SHARE/given").status == 0 })
            let connected = try lab.exec(
                "alice", "python3 -c 'import socket; socket.create_connection((\"192.0.1.82\", 51000), 20)'")
            #expect(connected.status == 0, "\(connected.output)")
            #expect(try lab.exec("alice", "touch $TAPLINE_SHARE/seen").status == 0)
            process.waitUntilExit()
            let given = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            #expect(given.contains("TCP/51000") && given.contains("UDP/51000"), "\(given)")
            #expect(given.hasPrefix("2.1.1") == (release == .wheel), "\(given)")
            #expect(try waitUntil(20) { try granted(lab).isEmpty })
        }
    }

    @Test func transmissionIsGivenAPort() throws {
        let settings =
            #"{ "port-forwarding-enabled": true, "peer-port": 6990, "dht-enabled": false, "lpd-enabled": false, "rpc-enabled": false }"#
        let run =
            #"run: 'mkdir -p "$TAPLINE_DIR/t" && cp settings.json "$TAPLINE_DIR/t" && HOME="$TAPLINE_DIR" exec transmission-daemon -f -g "$TAPLINE_DIR/t"'"#
        try Lab.with(Self.topology(run), files: ["settings.json": settings]) { lab in
            // It looks for UPnP first.
            #expect(try waitUntil(60) { try granted(lab) == ["tcp/51000 6990"] })
            let connected = try lab.exec(
                "alice", "python3 -c 'import socket; socket.create_connection((\"192.0.1.82\", 51000), 20)'")
            #expect(connected.status == 0, "\(connected.output)")
        }
    }
}
