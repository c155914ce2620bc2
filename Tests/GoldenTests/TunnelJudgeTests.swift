import Glibc
import Testing
import Wire

/// Every kind of tunnel, judged by others: Wireshark's decoder reads what the engine writes, and the engine reads what scapy writes.
@Suite struct TunnelJudgeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var encapsulation: TunnelEncapsulation
        var family = AddressFamily.ipv4
        /// The headers behind the outer Ethernet header, as scapy has them.
        var layers: String
        /// The protocols that tshark must find, in this order.
        var protocols: String
        /// Fields of tshark's that must have a value.
        var fields: [(name: String, value: String)]

        var testDescription: String { "\(encapsulation) \(family)" }
    }

    static let inner = "eth:ethertype:ip:udp"
    static let four = "IP(src=far4, dst=near4, id=0, flags='DF')"
    static let six = "IPv6(src=far6, dst=near6)"
    static let cases = [
        Case(
            encapsulation: TunnelEncapsulation(kind: .vxlan, identifier: 4242, port: 4789),
            layers: "\(four)/UDP(sport=50000, dport=4789)/VXLAN(vni=4242, flags=8)",
            protocols: "eth:ethertype:ip:udp:vxlan:\(inner)",
            fields: [("vxlan.vni", "4242"), ("ip.checksum.status", "1,1"), ("ip.dsfield.ecn", "1,1")]),
        Case(
            encapsulation: TunnelEncapsulation(kind: .vxlan, identifier: 4242, port: 4789), family: .ipv6,
            layers: "\(six)/UDP(sport=50000, dport=4789)/VXLAN(vni=4242, flags=8)",
            protocols: "eth:ethertype:ipv6:udp:vxlan:\(inner)",
            fields: [("vxlan.vni", "4242"), ("udp.checksum.status", "1,3"), ("ipv6.tclass.ecn", "1")]),
        Case(
            encapsulation: TunnelEncapsulation(kind: .geneve, identifier: 7, port: 6081),
            layers: "\(four)/UDP(sport=50000, dport=6081)/GENEVE(vni=7, proto=0x6558)",
            protocols: "eth:ethertype:ip:udp:geneve:\(inner)", fields: [("geneve.vni", "0x000007")]),
        Case(
            encapsulation: TunnelEncapsulation(kind: .genericVXLAN, identifier: 9, port: 4790, path: 42, index: 255),
            layers: "\(four)/UDP(sport=50000, dport=4790)/VXLAN(vni=9, flags=0xC, NextProtocol=4)/\(nsh)",
            protocols: "eth:ethertype:ip:udp:nsh:\(inner)",
            fields: [("vxlan.vni", "9"), ("nsh.spi", "42"), ("nsh.si", "255"), ("nsh.ttl", "0x003f")]),
        Case(
            encapsulation: TunnelEncapsulation(kind: .ethernet, port: 0, path: 42, index: 255), layers: nsh,
            protocols: "eth:ethertype:nsh:\(inner)",
            fields: [("nsh.spi", "42"), ("nsh.si", "255"), ("nsh.mdtype", "1")]),
    ]
    static let nsh = "NSH(ttl=63, length=6, mdtype=1, nextproto=3, spi=42, si=254)"

    static let engine = MACAddress("02:00:00:00:64:01")!
    static let router = MACAddress("02:00:00:00:64:02")!
    /// A datagram with the mark ECT(1), in a frame.
    static let frame: [UInt8] = {
        let udp: [UInt8] = [0x03, 0xE8, 0x07, 0xD0, 0, 28, 0, 0] + (0..<20).map { UInt8($0) }
        var header: [UInt8] = [0x45, 1, 0, 48, 0, 7, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 10]
        let sum = ~InternetChecksum.sum(header.span.bytes, 0..<20)
        header.replaceSubrange(10..<12, with: [UInt8(sum >> 8), UInt8(sum & 0xFF)])
        return [2, 0, 0, 0, 0, 10, 2, 0, 0, 0, 0, 1, 8, 0] + header + udp
    }()

    static func tunnel(_ one: Case) -> Tunnel {
        let isFour = one.family == .ipv4
        return Tunnel(
            one.encapsulation, from: IPAddress(isFour ? "198.18.64.1" : "2001:db8:64::1")!,
            to: IPAddress(isFour ? "198.51.100.7" : "2001:db8:100::7")!, engine: engine, nextHop: router)
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

    @Test(arguments: cases) func wiresharkDecodesIt(_ one: Case) throws {
        var room = Self.frame + [UInt8](repeating: 0, count: Tunnel.mostOctets)
        let count = room.withUnsafeMutableBytes { raw in
            var bytes = raw.mutableBytes
            return Self.tunnel(one).enclose(&bytes, length: Self.frame.count)
        }
        #expect(count > Self.frame.count)
        var file: [UInt8] = []
        let words: [UInt32] = [0xA1B2_C3D4, 4 << 16 | 2, 0, 0, 65_535, 1, 0, 0, UInt32(count), UInt32(count)]
        for word in words { file += (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
        let path = "/tmp/tapline-judge-\(UInt32.random(in: 0 ... .max)).pcap"
        let handle = try #require(fopen(path, "w"))
        fwrite(file + room[..<count], 1, file.count + count, handle)
        fclose(handle)
        defer { unlink(path) }
        var command =
            "HOME=/nonexistent tshark -r \(path) -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -T fields "
            + "-E separator='|' -e frame.protocols -e _ws.malformed"
        for field in one.fields { command += " -e \(field.name)" }
        let line = try #require(Self.output(command + " 2>/dev/null").first)
        let found = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        #expect(found[0].hasPrefix(one.protocols) && found[1] == "", "\(line)")
        for (place, field) in one.fields.enumerated() { #expect(found[place + 2] == field.value, "\(field.name)") }
    }

    @Test(arguments: cases) func theEngineReadsWhatScapyWrites(_ one: Case) throws {
        let script = """
            from scapy.all import *
            from scapy.contrib.geneve import GENEVE
            from scapy.contrib.nsh import NSH
            from scapy.layers.vxlan import VXLAN
            near4, far4, near6, far6 = '198.18.64.1', '198.51.100.7', '2001:db8:64::1', '2001:db8:100::7'
            inner = Ether(bytes.fromhex('\(Self.hex(Self.frame))'))
            print(raw(Ether(dst='\(Self.engine)', src='\(Self.router)')/\(one.layers)/inner).hex())
            """
        let path = "/tmp/tapline-judge-\(UInt32.random(in: 0 ... .max)).py"
        let handle = try #require(fopen(path, "w"))
        fputs(script, handle)
        fclose(handle)
        defer { unlink(path) }
        let digits = Array(try #require(Self.output("/usr/bin/python3 \(path) 2>/dev/null").first))
        let octets = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
            UInt8(String(digits[$0...$0 + 1]), radix: 16)
        }
        let place = Self.tunnel(one).inner(of: octets.span.bytes)
        let inner = try #require(place)
        #expect(Array(octets[inner]) == Self.frame)
    }
}
