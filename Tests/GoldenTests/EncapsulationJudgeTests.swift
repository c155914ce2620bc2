import Glibc
import Testing
import Wire

/// Every encapsulation, judged by others: Wireshark's decoder, and the encoder and decoder of the topology `access-circuits`, which
/// is in Python and shares nothing with the engine. Frame relay and AAL5 have no other peer program.
@Suite struct EncapsulationJudgeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        /// As `endpoint.py` takes it.
        var words: String
        var encapsulation: Encapsulation
        /// What tshark must be told of the label.
        var decoding = ""
        /// The protocols that tshark must find, in this order.
        var protocols: String
        /// Fields of tshark's that must have a value.
        var fields: [(name: String, value: String)] = []

        var testDescription: String { words }
        /// The pcap link type of a capture.
        var linkType: UInt32 {
            switch encapsulation.link {
            case .ethernet: 1
            case .frameRelay: 107
            case .atm: 123
            }
        }
    }

    static func make(_ edit: (inout Encapsulation) -> Void) -> Encapsulation {
        var encapsulation = Encapsulation()
        edit(&encapsulation)
        return encapsulation
    }

    /// The engine receives 16001, and sends 16002.
    static func labels(_ edit: (inout Encapsulation) -> Void) -> Encapsulation {
        make {
            $0.labelsIn = LabelStack([16001])!
            $0.labelsOut = LabelStack([16002])!
            edit(&$0)
        }
    }

    static let cases = [
        Case(
            words: "vlan 100", encapsulation: make { $0.tags = [100] },
            protocols: "eth:ethertype:vlan:ethertype:ip:udp",
            fields: [("vlan.id", "100")]),
        Case(
            words: "qinq 100.200", encapsulation: make { $0.tags = [100, 200] },
            protocols: "eth:ethertype:ieee8021ad:ethertype:vlan:ethertype:ip:udp",
            fields: [("ieee8021ad.id", "100"), ("vlan.id", "200")]),
        Case(
            words: "mpls 16001 16002", encapsulation: labels { $0.payload = .packets },
            protocols: "eth:ethertype:mpls:ip:udp",
            fields: [("mpls.label", "16002"), ("mpls.bottom", "1"), ("mpls.ttl", "255")]),
        Case(
            words: "ethernet-over-mpls 16001 16002", encapsulation: labels { $0.payload = .ethernet },
            decoding: "-d mpls.label==16002,pwethcw", protocols: "eth:ethertype:mpls:eth:ethertype:ip:udp"),
        Case(
            words: "ethernet-over-mpls 16001 16002 no-control-word",
            encapsulation: labels { ($0.payload, $0.hasControlWord) = (.ethernet, false) },
            decoding: "-d mpls.label==16002,pwethnocw", protocols: "eth:ethertype:mpls:eth:ethertype:ip:udp"),
        Case(
            words: "frame-relay 100 mpls 16001 16002",
            encapsulation: labels { ($0.payload, $0.dlci) = (.frameRelay, 100) },
            decoding: "-d mpls.label==16002,pwfr", protocols: "eth:ethertype:mpls:fr:ip:udp"),
        Case(
            words: "atm 1 100 llc mpls 16001 16002",
            encapsulation: labels { ($0.payload, $0.path, $0.channel) = (.llc, 1, 100) },
            decoding: "-d mpls.label==16002,mplspwatmaal5sdu",
            protocols: "eth:ethertype:mpls:mplspwatmcontrolword:atm:llc:ip:udp"),
        Case(
            words: "frame-relay 100", encapsulation: make { ($0.payload, $0.dlci) = (.frameRelay, 100) },
            protocols: "fr:ip:udp", fields: [("fr.dlci", "100"), ("fr.nlpid", "0xcc")]),
        Case(
            words: "atm 1 100 llc", encapsulation: make { ($0.payload, $0.path, $0.channel) = (.llc, 1, 100) },
            protocols: "atm:llc:ip:udp", fields: [("atm.vpi", "1"), ("atm.vci", "100"), ("llc.type", "0x0800")]),
        Case(
            words: "atm 1 100 vc-mux",
            encapsulation: make { ($0.payload, $0.path, $0.channel) = (.multiplexed, 1, 100) },
            protocols: "atm"),
    ]

    static let engine = MACAddress("02:00:00:00:00:01")!
    static let customer = MACAddress("02:00:00:00:00:0a")!
    /// A datagram of more than 64 octets: of shorter ones in a frame relay pseudo-wire, tshark 4.0 takes the length in the control word
    /// for that of the frame alone, which RFC 4385 says is that of both.
    static let packet: [UInt8] = {
        let udp: [UInt8] = [0x03, 0xE8, 0x07, 0xD0, 0, 88, 0, 0] + (0..<80).map { UInt8($0) }
        var header: [UInt8] = [0x45, 0, 0, 108, 0, 7, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 10]
        let sum = ~InternetChecksum.sum(header.span.bytes, 0..<20)
        header.replaceSubrange(10..<12, with: [UInt8(sum >> 8), UInt8(sum & 0xFF)])
        return header + udp
    }()

    /// What the engine has on the device, without `tun_pi`.
    static func written(_ encapsulation: Encapsulation) throws -> [UInt8] {
        let frame = customer.octets + engine.octets + [8, 0] + packet
        let circuit = Circuit(encapsulation, engine: engine, peer: customer)
        var room = [UInt8](repeating: 0, count: Circuit.mostOctets)
        let done = room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            return circuit.write(&target, before: frame.span.bytes, length: frame.count)
        }
        let (written, replaced) = try #require(done)
        let octets = Array(room[..<written]) + frame[replaced...]
        return encapsulation.link == .ethernet ? octets : Array(octets[Circuit.tunLength...])
    }

    private static func output(_ command: String) throws -> [String] {
        let pipe = try #require(popen(command, "r"))
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { break }
            output += buffer[..<count]
        }
        let text = String(decoding: output, as: UTF8.self)
        try #require(pclose(pipe) == 0, "\(command): \(text)")
        return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    private static func hex(_ octets: [UInt8]) -> String {
        octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func octets(_ hex: String) -> [UInt8] {
        let digits = Array(hex)
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
    }

    @Test(arguments: cases) func wiresharkDecodesIt(_ one: Case) throws {
        let octets = try Self.written(one.encapsulation)
        var file: [UInt8] = []
        let words: [UInt32] = [
            0xA1B2_C3D4, 4 << 16 | 2, 0, 0, 65_535, one.linkType, 0, 0, UInt32(octets.count), UInt32(octets.count),
        ]
        for word in words {
            file += (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
        }
        let path = "/tmp/tapline-judge-\(UInt32.random(in: 0 ... .max)).pcap"
        let handle = try #require(fopen(path, "w"))
        fwrite(file + octets, 1, file.count + octets.count, handle)
        fclose(handle)
        defer { unlink(path) }
        var command =
            "HOME=/nonexistent tshark -r \(path) \(one.decoding) -T fields -E separator='|' -e frame.protocols"
        command += " -e _ws.malformed"
        for field in one.fields { command += " -e \(field.name)" }
        let line = try #require(Self.output(command + " 2>/dev/null").first)
        let found = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        #expect(found[0].hasPrefix(one.protocols) && found[1] == "", "\(line)")
        for (place, field) in one.fields.enumerated() { #expect(found[place + 2] == field.value, "\(field.name)") }
    }

    @Test(arguments: cases) func aSecondProgramReadsAndWritesTheSame(_ one: Case) throws {
        let root = "\(#filePath)".split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        let isEthernet = one.encapsulation.payload == .tagged || one.encapsulation.payload == .ethernet
        let toEngine = Self.engine.octets + Self.customer.octets + [8, 0] + Self.packet
        let inner = isEthernet ? toEngine : Self.packet
        let script =
            "import sys; sys.path.insert(0, '\(root)/Topologies/access-circuits'); sys.dont_write_bytecode = True; import endpoint; "
            + "c = endpoint.Circuit('\(one.words)'.split()); "
            + "print((c.decode(bytes.fromhex('\(Self.hex(try Self.written(one.encapsulation)))')) or b'').hex()); "
            + "print(c.encode(bytes.fromhex('\(Self.hex(inner))')).hex())"
        let lines = try Self.output("python3 -c \"\(script)\"")
        // What the engine writes.
        let sent = Self.customer.octets + Self.engine.octets + [8, 0] + Self.packet
        #expect(Self.octets(lines[0]) == (isEthernet ? sent : Self.packet))
        // What the engine reads.
        let received = Self.octets(lines[1])
        let circuit = Circuit(one.encapsulation, engine: Self.engine, peer: Self.customer)
        var outer = OuterHeaders()
        let fault =
            switch circuit.link {
            case .ethernet: outer.readEthernet(received.span.bytes)
            case .frameRelay: outer.readFrameRelay(received.span.bytes)
            case .atm: outer.readATM(received.span.bytes)
            }
        #expect(fault == nil && outer.key == circuit.key)
        switch circuit.content(of: received.span.bytes, outer) {
        case .tagged(let type): #expect(Array(received[..<12]) + received[type...] == toEngine)
        case .frame(let range): #expect(Array(received[range]) == toEngine)
        case .packet(let range, let type, _): #expect(Array(received[range]) == Self.packet && type == EtherType.ipv4)
        case .fault(let fault): Issue.record("\(fault)")
        }
    }
}
