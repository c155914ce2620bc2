import Foundation
import PacketCapture
import Reporting
import Testing
import Wire

/// What is written can be read by tshark, tcpdump, scapy and a strict reader, with all that it says.
@Suite struct PcapngTests {
    static let time: UInt64 = 1_800_000_000_123_456_789
    static let section = PcapngSection(
        interfaces: [
            PcapngInterface(
                node: "alice", interface: "customers", description: "customer, TAP of 'customers'",
                hardwareAddress: MACAddress(bits: 0x0200_0000_0001), filter: "tcp port 80"),
            PcapngInterface(node: "Wäb", interface: "servers"),
        ],
        names: [
            PcapngName(.network(IPAddress(ipv4: 0xC000_020A)), "alice"),
            PcapngName(.network(IPAddress(ipv4: 0xCB00_7150)), "shop"),
            PcapngName(.network(IPAddress(ipv6High: 0x2001_0DB8_0002_0000, low: 0x10)), "alice6"),
            PcapngName(.hardware(MACAddress(bits: 0x0200_0000_0001)), "alice-customers"),
        ],
        hardware: "x86_64", system: "Linux 6.18", application: "tapline \(Release.version)", comments: ["topology shop"]
    )

    private func packet(_ interface: Int, _ after: UInt64 = 0, comments: [String] = []) -> PcapngPacket {
        PcapngPacket(
            interface: interface, direction: interface == 0 ? .outbound : .inbound, nanoseconds: Self.time + after,
            octets: CaptureFrames.tcp(payload: Array("hello".utf8)), identifier: 7, worker: 3, comments: comments)
    }

    @Test("tshark reads names, descriptions, nanoseconds, directions, packet numbers, comments, losses and the worker")
    func wireshark() throws {
        let rig = try CaptureRig()
        var encoder = PcapngEncoder()
        try encoder.begin(Self.section)
        encoder.add(packet(0, comments: ["service shop, entry 3", "to fw-a"]))
        var second = packet(1, 1_500, comments: ["in fw-a for 1.5 us"])
        second.lostBefore = 12
        encoder.add(second)
        encoder.add(PcapngStatistics(interface: 0, received: 1, lost: 0, start: Self.time, end: Self.time + 9))
        encoder.add(PcapngStatistics(interface: 1, received: 13, lost: 12, end: Self.time + 9))
        try rig.write(encoder.take(), "a.pcapng")
        #expect(encoder.count == 0)

        let rows = try rig.tshark(
            "a.pcapng",
            [
                "frame.interface_name", "frame.interface_description", "frame.time_epoch",
                "frame.packet_flags_direction", "frame.packet_id", "frame.comment", "frame.drop_count",
                "frame.interface_queue", "frame.packet_flags", "frame.len",
            ])
        #expect(
            rows == [
                [
                    "alice on customers", "customer, TAP of 'customers'", "1800000000.123456789", "0x00000002", "7",
                    "service shop, entry 3\\n|to fw-a\\n", "", "3", "0x00000002", "59",
                ],
                [
                    "Wäb on servers", "", "1800000000.123458289", "0x00000001", "7", "in fw-a for 1.5 us\\n", "12", "3",
                    "0x00000001", "59",
                ],
            ])
        // The whole way of one packet.
        #expect(try rig.tshark("a.pcapng", ["frame.number"], "-Y 'frame.packet_id == 7'").count == 2)
        let info = try rig.run("capinfos -M \(rig.path("a.pcapng"))")
        for said in [
            "pcapng", "tapline \(Release.version)", "Linux 6.18", "x86_64", "topology shop", "Interface #1 info",
        ] {
            #expect(info.contains(said), "\(said) in \(info)")
        }
    }

    @Test("scapy, tshark, capinfos and tcpdump read comments, names, keys and statistics without a warning")
    func noWarnings() throws {
        let rig = try CaptureRig()
        var encoder = PcapngEncoder()
        try encoder.begin(Self.section)
        let key = "CLIENT_RANDOM " + String(repeating: "0f", count: 32) + " " + String(repeating: "a5", count: 48) + "\n"
        encoder.add(keyLog: Array(key.utf8))
        for length in 1...9 {
            encoder.add(packet(0, comments: ["service: shop", String(repeating: "x", count: length)]))
        }
        encoder.add(packet(1))
        encoder.add(PcapngStatistics(interface: 0, received: 9, lost: 0, start: Self.time, end: Self.time + 9))
        try rig.write(encoder.take(), "a.pcapng")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/read-scapy.py"
        let read = try rig.run("/usr/bin/python3 -W error \(script) \(rig.path("a.pcapng")) 2>&1")
        #expect(read == (1...9).map { String(repeating: "x", count: $0) + "\n" }.joined() + "-\n", "\(read)")
        for program in ["tshark -r", "capinfos", "tcpdump -nr"] {
            let errors = try rig.run("\(program) \(rig.path("a.pcapng")) 2>&1 >/dev/null")
            let lines = errors.split(separator: "\n").filter {
                !$0.hasPrefix("Running as user") && !$0.hasPrefix("reading from file")
            }
            #expect(lines.isEmpty, "\(program): \(errors)")
        }
    }

    @Test("Names of addresses are shown where tshark is asked for names")
    func names() throws {
        let rig = try CaptureRig()
        var encoder = PcapngEncoder()
        try encoder.begin(Self.section)
        encoder.add(packet(0))
        try rig.write(encoder.octets, "a.pcapng")
        let line = try rig.run("tshark -r \(rig.path("a.pcapng")) -N n")
        #expect(line.contains("alice → shop"), "\(line)")
    }

    @Test("Every block can be read by the draft's rules, and says what was given")
    func strict() throws {
        let rig = try CaptureRig()
        var encoder = PcapngEncoder()
        try encoder.begin(Self.section)
        encoder.add(packet(0, comments: ["x", "", "xyz", "\u{1B}[2J"]))
        encoder.add(keyLog: Array("CLIENT_RANDOM 00 11\n".utf8))
        encoder.add(PcapngStatistics(interface: 1, received: 5, lost: 2, start: 1 << 32 + 2, end: 1 << 33 + 3))
        try rig.write(encoder.octets, "a.pcapng")
        let blocks = try rig.blocks("a.pcapng")
        #expect(
            blocks.map(\.block) == ["section", "interface", "interface", "names", "packet", "secrets", "statistics"])
        #expect(
            blocks.filter { $0.block == "interface" }.allSatisfy {
                $0.link == 1 && $0.snap == PcapngSection.wholeFrames
            })
        #expect(blocks[1].options?.map(\.code) == [2, 3, 6, 9, 11])
        #expect(blocks[1].options?.first { $0.code == 9 }?.value == "09")
        #expect(blocks[3].records?.map(\.code) == [1, 1, 2, 3])
        // A control character does not reach a terminal; an empty comment is left out.
        #expect(blocks[4].options?.filter { $0.code == 1 }.map(\.value) == ["780a", "78797a0a", "efbfbd5b324a0a"])
        #expect(blocks[5].type == 0x544C_534B)
        #expect(blocks[5].text == "CLIENT_RANDOM 00 11\n")
        #expect(blocks[6].time == 1 << 33 + 3)
        // The upper half of a time stands first.
        #expect(blocks[6].options?.map(\.code) == [2, 3, 4, 5])
        #expect(blocks[6].options?[0].value == "0100000002000000")
        #expect(blocks[6].options?[2].value == "0500000000000000")
        #expect(blocks[6].options?[3].value == "0200000000000000")
    }

    @Test("tcpdump reads a file whose interfaces differ in everything but snap length, and frames that were cut")
    func tcpdump() throws {
        let rig = try CaptureRig()
        var encoder = PcapngEncoder()
        var section = Self.section
        section.snapLength = 60
        try encoder.begin(section)
        encoder.add(packet(0))
        var long = packet(1, 10)
        long.octets = CaptureFrames.tcp(payload: [UInt8](repeating: 65, count: 200))
        long.length = 254
        encoder.add(long)
        try encoder.begin(section)
        encoder.add(packet(1, 20))
        try rig.write(encoder.octets, "a.pcapng")
        let lines = try rig.run("tcpdump -r \(rig.path("a.pcapng")) -n -tt --nano").split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[0].hasPrefix("1800000000.123456789 IP 192.0.2.10.4242 > 203.0.113.80.80: Flags [P.], seq 1:6"))
        #expect(lines[1].contains("length 200"))
        let rows = try rig.tshark(
            "a.pcapng", ["frame.len", "frame.cap_len", "frame.interface_name", "frame.section_number"])
        #expect(
            rows == [
                ["59", "59", "alice on customers", "1"], ["254", "60", "Wäb on servers", "1"],
                ["59", "59", "Wäb on servers", "2"],
            ])
    }

    @Test("A section has at most 254 interfaces, and tshark and tcpdump read as many")
    func manyInterfaces() throws {
        let rig = try CaptureRig()
        var section = PcapngSection(interfaces: (0..<254).map { PcapngInterface("n\($0)") })
        var encoder = PcapngEncoder()
        try encoder.begin(section)
        for interface in 0..<254 { encoder.add(packet(interface, UInt64(interface))) }
        let refusal = try #require(throws: ApplianceError.self) { try encoder.add(PcapngInterface("one more")) }
        #expect(refusal.description.contains("at most 254 places, and this one would have 255"))
        #expect(refusal.hint?.contains("--interface") == true)
        try rig.write(encoder.octets, "a.pcapng")
        #expect(try rig.tshark("a.pcapng", ["frame.interface_name"]).map { $0[0] } == (0..<254).map { "n\($0)" })
        #expect(try rig.run("tcpdump -n -r \(rig.path("a.pcapng"))").split(separator: "\n").count == 254)
        section.interfaces += [PcapngInterface("one more")]
        let path = rig.path("kept")
        try rig.write([1], "kept")
        let target = CaptureTarget.file(CapturePath(path))
        #expect(throws: ApplianceError.self) { _ = try CaptureFile(to: target, section) }
        // The file was not emptied for it.
        #expect(try rig.octets("kept") == [1])
    }

    @Test("tshark decrypts a TLS session whose keys came during the capture")
    func secrets() throws {
        let rig = try CaptureRig()
        // A session between two ends in memory, each of its messages as one segment.
        try rig.write(Array(Self.session.utf8), "session.py")
        _ = try rig.run(
            "cd \(rig.folder) && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=shop -days 2 -keyout key -out cert"
        )
        let lines = try rig.run("cd \(rig.folder) && /usr/bin/python3 session.py").split(separator: "\n")
        var keys = KeyLogFile(rig.path("keys"))
        var file = try CaptureFile(to: .file(CapturePath(rig.path("a.pcapng"))), Self.section)
        try file.add(keyLog: keys.newLines())
        var sent: [Substring: UInt32] = ["client": 1, "server": 1]
        for (index, line) in lines.enumerated() {
            let words = line.split(separator: " ")
            let isClient = words[0] == "client"
            let payload = stride(from: 0, to: words[1].utf8.count, by: 2).map { place in
                UInt8(Array(words[1])[place...place + 1].reduce("") { $0 + String($1) }, radix: 16) ?? 0
            }
            var packet = packet(isClient ? 0 : 1, UInt64(index) * 1000)
            packet.octets = segment(
                payload, isClient, sent[isClient ? "client" : "server"]!, sent[isClient ? "server" : "client"]!)
            packet.length = packet.octets.count
            sent[isClient ? "client" : "server"]! += UInt32(payload.count)
            try file.add(packet)
        }
        try file.close()
        let rows = try rig.tshark(
            "a.pcapng", ["http.request.uri", "http.response.code"], "-Y http -d tcp.port==443,tls")
        #expect(rows == [["/secret", ""], ["", "200"]])
    }

    private func segment(_ payload: [UInt8], _ isClient: Bool, _ sequence: UInt32, _ acknowledged: UInt32) -> [UInt8] {
        var frame = CaptureFrames.tcp(payload: payload, ports: isClient ? (4242, 443) : (443, 4242))
        if !isClient {
            frame[26..<34] = ArraySlice(frame[30..<34] + frame[26..<30])
        }
        for index in 0..<4 {
            frame[38 + index] = UInt8(truncatingIfNeeded: sequence >> (24 - 8 * UInt32(index)))
            frame[42 + index] = UInt8(truncatingIfNeeded: acknowledged >> (24 - 8 * UInt32(index)))
        }
        return frame
    }

    private static let session = """
        import ssl
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain("cert", "key")
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        client.keylog_filename = "keys"
        ends = {}
        for name, context in (("client", client), ("server", server)):
            read, write = ssl.MemoryBIO(), ssl.MemoryBIO()
            ends[name] = (context.wrap_bio(read, write, server_side=name == "server"), read, write)
        def carry():
            for one, other in (("client", "server"), ("server", "client")):
                data = ends[one][2].read()
                if data:
                    print(one, data.hex())
                    ends[other][1].write(data)
        def attempt(name):
            try:
                ends[name][0].do_handshake()
            except ssl.SSLWantReadError:
                pass
        for _ in range(4):
            attempt("client"); carry(); attempt("server"); carry()
        ends["client"][0].write(b"GET /secret HTTP/1.1\\r\\nHost: shop\\r\\n\\r\\n"); carry()
        ends["server"][0].write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"); carry()

        """
}
