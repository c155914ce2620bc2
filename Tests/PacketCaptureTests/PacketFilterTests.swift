import CPcap
import Engine
import PacketFilters
import Reporting
import Seeds
import Testing

/// Filters compile as tcpdump's do, run in the engine's interpreter as in libpcap's, and tell where they are wrong.
@Suite struct PacketFilterTests {
    /// Terms of filters; any two of them are joined.
    static let terms = [
        "", "ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "port 80", "src port 53", "dst portrange 1000-40000",
        "host 192.0.2.10", "src host 2001:db8::10", "net 192.0.2.0/24", "dst net 203.0.113.0/24", "ether broadcast",
        "ether host 02:00:00:00:00:01", "ether proto 0x88cc", "vlan", "vlan 7", "mpls", "less 80", "greater 200",
        "len > 120",
        "ip[0] & 0xf != 5", "ip[6:2] & 0x3fff != 0", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "udp[4:2] > 20",
        "ip[2:2] - ((ip[0] & 0xf) << 2) > 40", "ether[12:4] ^ 0x08004500 = 0", "ip[8] * 2 % 7 = 3", "ip[9] / 5 > 1",
        "icmp[icmptype] = icmp-echo", "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420", "ip6[6] = 17", "multicast",
        "ip[ip[8] & 15] > 3", "ether[len - 5] > 100", "1 << ip[1] > 4",
    ]

    /// A frame that some of the filters match: a likely shape, then random octets over it here and there.
    private func frame(_ generator: inout SeededGenerator) -> [UInt8] {
        func random(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &generator) }
        var frame: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
        if random(0...7) == 0 { frame += [0x81, 0, 0, UInt8(random(5...8))] }
        if random(0...15) == 0 { for index in 0..<6 { frame[index] = 0xFF } }
        let isSix = random(0...2) == 0
        let number = [UInt8(6), 17, isSix ? 58 : 1].randomElement(using: &generator)!
        if isSix {
            frame += [0x86, 0xDD, 0x60, 0, 0, 0, 0, 60, number, 64]
            for end: UInt8 in [0x10, 0x53] { frame += [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [end] }
        } else {
            let options = random(0...3) == 0 ? 1 : 0
            frame += [8, 0, UInt8(0x45 + options), 0, 0, UInt8(random(20...200)), 0, 1]
            frame += [
                0, random(0...5) == 0 ? 4 : 0, UInt8(random(1...64)), number, 0, 0, 192, 0, 2, 10, 203, 0, 113, 80,
            ]
            frame += [UInt8](repeating: 1, count: options * 4)
        }
        let ports = [53, 80, 4242, 39_999]
        for _ in 0..<2 {
            let port = ports.randomElement(using: &generator)!
            frame += [UInt8(port >> 8), UInt8(port & 255)]
        }
        frame +=
            [0, 0, 0, UInt8(random(0...40)), 0, 0, 0, 0, 0x50, UInt8(random(0...31)), 1, 1, 0, 0, 0, 0]
            + Array("GET /".utf8)
        frame += (0..<random(0...120)).map { UInt8(truncatingIfNeeded: $0) }
        if random(0...3) == 0 {
            for _ in 0..<random(1...4) { frame[random(0...frame.count - 1)] = UInt8(random(0...255)) }
        }
        if random(0...3) == 0 { frame.removeLast(random(0...frame.count)) }
        return frame
    }

    @Test("The engine's interpreter agrees with libpcap's on filters that libpcap compiled, wherever a frame is split")
    func agreement() throws {
        var generator = SeededGenerator(seed: Seed.drawn())
        var expressions = Self.terms
        for _ in 0..<250 {
            let (first, second) = (
                Self.terms.randomElement(using: &generator)!, Self.terms.randomElement(using: &generator)!
            )
            guard !first.isEmpty, !second.isEmpty else { continue }
            expressions.append("(\(first)) \(["and", "or", "and not"].randomElement(using: &generator)!) (\(second))")
        }
        let frames = (0..<200).map { _ in frame(&generator) }
        var (matched, runs, programs) = (0, 0, 0)
        for expression in expressions {
            let filter: PacketFilter
            do throws(PacketFilterError) { filter = try PacketFilter(expression) } catch {
                // Two terms may exclude each other.
                #expect(!error.reason.contains("syntax error"), "\(error)")
                continue
            }
            programs += 1
            let program = try ClassicBPFProgram(engine(filter.instructions))
            let raw = filter.instructions.map { bpf_insn(code: $0.code, jt: $0.jumpTrue, jf: $0.jumpFalse, k: $0.k) }
            for frame in frames {
                let split = Int.random(in: 0...frame.count, using: &generator)
                let isMatch = matches(program, frame, split)
                if isMatch != judge(raw, frame) {
                    Issue.record("'\(expression)' on \(frame) split at \(split): \(isMatch)")
                }
                matched += isMatch ? 1 : 0
                runs += 1
            }
        }
        #expect(programs > 150)
        #expect(matched > runs / 20)
        #expect(matched < runs * 19 / 20)
    }

    @Test("The engine's interpreter agrees with libpcap's on random programs that the checker accepts")
    func randomPrograms() {
        var generator = SeededGenerator(seed: Seed.drawn())
        // libpcap leaves scratch memory as it was: it is cleared first.
        let start = [ClassicBPFInstruction(code: 0)] + (0..<16).map { ClassicBPFInstruction(code: 0x02, k: $0) }
        var (accepted, matched) = (0, 0)
        for _ in 0..<30_000 {
            let middle = (0..<Int.random(in: 0...24, using: &generator)).map { _ in instruction(&generator) }
            let end = ClassicBPFInstruction(code: Bool.random(using: &generator) ? 0x16 : 0x06, k: 1)
            guard let program = try? ClassicBPFProgram(start + middle + [end]) else { continue }
            accepted += 1
            let raw = program.instructions.map { bpf_insn(code: $0.code, jt: $0.jumpTrue, jf: $0.jumpFalse, k: $0.k) }
            let frame = (0..<Int.random(in: 0...100, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let isMatch = matches(program, frame, .random(in: 0...frame.count, using: &generator))
            if isMatch != judge(raw, frame) { Issue.record("\(middle + [end]) on \(frame): \(isMatch)") }
            matched += isMatch ? 1 : 0
        }
        #expect(accepted > 3_000)
        #expect(matched > accepted / 20)
    }

    private func instruction(_ generator: inout SeededGenerator) -> ClassicBPFInstruction {
        let codes: [UInt16] = [
            0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x81, 0xB1, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0x34, 0x94, 0x64,
            0x74, 0x04, 0x14, 0x24, 0x44, 0x54, 0xA4, 0x84, 0x0C, 0x1C, 0x2C, 0x3C, 0x4C, 0x5C, 0x6C, 0x7C, 0x9C, 0xAC,
            0x05, 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x45, 0x4D, 0x07, 0x87, 0x06, 0x16,
        ]
        let ranges: [ClosedRange<UInt32>] = [0...5, 0...40, 0...90, 0...UInt32.max]
        return ClassicBPFInstruction(
            code: codes.randomElement(using: &generator)!, jumpTrue: .random(in: 0...3, using: &generator),
            jumpFalse: .random(in: 0...3, using: &generator),
            k: .random(in: ranges.randomElement(using: &generator)!, using: &generator))
    }

    private func engine(_ instructions: [PacketFilter.Instruction]) -> [ClassicBPFInstruction] {
        instructions.map { .init(code: $0.code, jumpTrue: $0.jumpTrue, jumpFalse: $0.jumpFalse, k: $0.k) }
    }

    private func matches(_ program: ClassicBPFProgram, _ frame: [UInt8], _ split: Int) -> Bool {
        // An octet behind each part shows a load that goes too far.
        (Array(frame[..<split]) + [0xAA]).withUnsafeBytes { header in
            (Array(frame[split...]) + [0xBB]).withUnsafeBytes { body in
                program.matches(
                    header: header.baseAddress!, headerLength: split, body: body.baseAddress!,
                    bodyLength: frame.count - split)
            }
        }
    }

    private func judge(_ program: [bpf_insn], _ frame: [UInt8]) -> Bool {
        program.withUnsafeBufferPointer { program in
            (frame + [0]).withUnsafeBufferPointer { bytes in
                bpf_filter(program.baseAddress, bytes.baseAddress, UInt32(frame.count), UInt32(frame.count)) != 0
            }
        }
    }

    @Test(
        "A wrong filter is told with libpcap's message and the place",
        arguments: [
            ("tcp port 80 andd host 1.2.3.4", "syntax error", "andd"),
            ("((tcp or udp) and (port 80 or port)) and icmp", "syntax error", ")"),
            ("ether[0] & 1 = 0 and ip[16] >= 224 udp", "syntax error", "udp"),
            ("net 10.0.0.0/8 or src porttt 80", "unknown host 'porttt'", "porttt"),
            ("tcp port 80)", "syntax error", ")"),
            ("tcp $ udp", "syntax error", "$"),
            ("tcp and", "syntax error", ""),
            ("tcp[((1+2)", "syntax error", ""),
            ("port nosuchport", "unknown port 'nosuchport'", "nosuchport"),
            ("tcp and port 70000", "illegal port number 70000 > 65535", "70000"),
            ("net 1.2.3.4/8", "non-network bits set", "1.2.3.4/8"),
            ("ip6 host 1.2.3.4", "modifier applied to ip host", "ip6"),
        ])
    func places(_ expression: String, _ reason: String, _ part: String) throws {
        let error = try #require(throws: PacketFilterError.self) { try PacketFilter(expression) }
        #expect(error.reason.contains(reason), "\(error)")
        let range = try #require(error.range)
        #expect(String(Array(expression)[range]) == part)
        #expect(error.marked[0] == expression)
        #expect(error.marked[1].prefix { $0 == " " }.count == range.lowerBound)
        #expect(error.sentence.status == .usage)
    }

    @Test("What libpcap compiles and the engine does not run is refused with the reason")
    func obstacles() throws {
        for (expression, reason) in [
            ("ip protochain 6", "needs a loop"), ("inbound", "not in the frame"),
            (String(repeating: "ip or ", count: 700) + "ip", "at most 4096"),
            ("tcp\0", "zero octet"),
        ] {
            let error = try #require(throws: PacketFilterError.self) { try PacketFilter(expression) }
            #expect(error.reason.contains(reason), "\(error)")
        }
    }

    @Test("Filters compile on several threads at once")
    func threads() async {
        await withTaskGroup(of: Bool.self) { group in
            for index in 0..<16 {
                group.addTask {
                    (0..<30).allSatisfy { (try? PacketFilter("tcp port \(index * 30 + $0 + 1)")) != nil }
                }
            }
            for await held in group { #expect(held) }
        }
    }
}
