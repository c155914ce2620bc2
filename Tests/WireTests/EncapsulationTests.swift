import Testing
import Wire

/// Every encapsulation: what is written for a packet, octet by octet as the standards have it, and what is read of it.
@Suite struct EncapsulationTests {
    static let engine = mac("02:00:00:00:00:01")
    static let alice = mac("02:00:00:00:00:0a")
    static let packet = TestFrames.ipv4(ip("192.0.2.1"), ip("192.0.2.10"), 17, [0, 1, 0, 2, 0, 12, 0, 0, 1, 2, 3, 4])
    static let packet6 = TestFrames.ipv6(ip("2001:db8::1"), ip("2001:db8::a"), 59, [])
    static let addresses = alice.octets + engine.octets
    /// What the engine sends to the customer.
    static let frame = addresses + [8, 0] + packet

    static func encapsulation(_ edit: (inout Encapsulation) -> Void) -> Encapsulation {
        var encapsulation = Encapsulation()
        edit(&encapsulation)
        return encapsulation
    }

    static func vlan(_ tags: Int...) -> Encapsulation { encapsulation { $0.tags = tags } }

    static func mpls(
        _ payload: Encapsulation.Payload, _ labels: [Int] = [16001], _ edit: (inout Encapsulation) -> Void = { _ in }
    ) -> Encapsulation {
        encapsulation {
            $0.labelsIn = LabelStack(labels)!
            $0.labelsOut = LabelStack(labels.map { $0 + 1 })!
            $0.payload = payload
            edit(&$0)
        }
    }

    static let frameRelay = encapsulation {
        $0.payload = .frameRelay
        $0.dlci = 100
    }

    static func atm(_ payload: Encapsulation.Payload) -> Encapsulation {
        encapsulation {
            $0.payload = payload
            $0.path = 1
            $0.channel = 100
        }
    }

    /// What is written for a frame; nil if the circuit does not carry it.
    static func written(_ encapsulation: Encapsulation, _ frame: [UInt8] = frame) -> [UInt8]? {
        let circuit = Circuit(encapsulation, engine: engine, peer: alice)
        var room = [UInt8](repeating: 0xEE, count: Circuit.mostOctets)
        let done = room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            return circuit.write(&target, before: frame.span.bytes, length: frame.count)
        }
        return done.map { Array(room[..<$0.written]) + frame[$0.replaced...] }
    }

    /// What is read of a frame that is received on the circuit; nil if it is of another one.
    static func read(_ encapsulation: Encapsulation, _ frame: [UInt8]) -> Circuit.Content? {
        let circuit = Circuit(encapsulation, engine: engine, peer: alice)
        var outer = OuterHeaders()
        let fault =
            switch circuit.link {
            case .ethernet: outer.readEthernet(frame.span.bytes)
            case .frameRelay: outer.readFrameRelay(frame.span.bytes)
            case .atm: outer.readATM(frame.span.bytes)
            }
        if let fault { return .fault(fault) }
        return outer.key == circuit.key ? circuit.content(of: frame.span.bytes, outer) : nil
    }

    static let cases: [(encapsulation: Encapsulation, text: String, before: [UInt8])] = [
        (vlan(100), "vlan 100", addresses + hex("8100 0064 0800")),
        (vlan(100, 200), "qinq 100.200", addresses + hex("88a8 0064 8100 00c8 0800")),
        (mpls(.packets), "mpls 16001/16002", addresses + hex("8847 03e821ff")),
        (
            mpls(.packets, [16001, 1_048_574, 16]), "mpls 16001+1048574+16/16002+1048575+17",
            addresses + hex("8847 03e820ff fffff0ff 000111ff")
        ),
        (
            encapsulation {
                $0 = mpls(.packets)
                $0.tags = [7]
            }, "vlan 7 mpls 16001/16002", addresses + hex("8100 0007 8847 03e821ff")
        ),
        (
            mpls(.ethernet), "mpls 16001/16002 ethernet",
            addresses + hex("8847 03e821ff 00000000") + addresses + hex("0800")
        ),
        (
            mpls(.ethernet) { $0.hasControlWord = false }, "mpls 16001/16002 ethernet",
            addresses + hex("8847 03e821ff") + addresses + hex("0800")
        ),
        // 4 + 2 + 32 octets are fewer than 64: the control word tells them.
        (
            mpls(.frameRelay) { $0.dlci = 100 }, "mpls 16001/16002 dlci 100",
            addresses + hex("8847 03e821ff 00260000 03cc")
        ),
        (
            mpls(.llc) { ($0.path, $0.channel) = (1, 100) }, "mpls 16001/16002 atm 1/100 llc",
            addresses + hex("8847 03e821ff 002c0000 aaaa03 000000 0800")
        ),
        (
            mpls(.multiplexed) { ($0.path, $0.channel) = (1, 100) }, "mpls 16001/16002 atm 1/100 vc-mux",
            addresses + hex("8847 03e821ff 00240000")
        ),
        (frameRelay, "dlci 100", hex("0000 0019 1841 03cc")),
        (
            encapsulation {
                $0 = frameRelay
                $0.isSNAP = true
            }, "dlci 100", hex("0000 0019 1841 0300 80 000000 0800")
        ),
        (atm(.llc), "atm 1/100 llc", hex("0000 8884 02 01 0064 aaaa03 000000 0800")),
        (atm(.multiplexed), "atm 1/100 vc-mux", hex("0000 8884 00 01 0064")),
    ]

    @Test(arguments: cases.indices) func isWrittenAsTheStandardsHaveIt(_ index: Int) {
        let (encapsulation, text, before) = Self.cases[index]
        #expect(Self.written(encapsulation) == before + Self.packet)
        #expect("\(encapsulation)" == text)
        let link = encapsulation.link == .ethernet ? 14 : Circuit.tunLength
        #expect(encapsulation.overhead == before.count - link)
    }

    /// A watcher of the device looks for packets there.
    @Test(arguments: cases.indices) func aPacketIsWhereItIsLookedFor(_ index: Int) {
        let (encapsulation, _, before) = Self.cases[index]
        let start = before.count - (encapsulation.link == .ethernet ? 0 : Circuit.tunLength)
        #expect(encapsulation.networkOffsets.contains(start), "\(encapsulation.networkOffsets)")
        #expect(encapsulation.networkOffsets == encapsulation.networkOffsets.sorted())
    }

    @Test(arguments: cases.indices) func isReadAsItIsWritten(_ index: Int) throws {
        let encapsulation = Self.encapsulation {
            $0 = Self.cases[index].encapsulation
            $0.labelsIn = $0.labelsOut
        }
        var octets = try #require(Self.written(encapsulation))
        if encapsulation.link != .ethernet { octets.removeFirst(Circuit.tunLength) }
        switch try #require(Self.read(encapsulation, octets)) {
        case .tagged(let type): #expect(Array(octets[type...]) == [8, 0] + Self.packet)
        case .frame(let range): #expect(Array(octets[range]) == Self.frame)
        case .packet(let range, let type, let ttl):
            #expect(Array(octets[range]) == Self.packet && type == EtherType.ipv4 && ttl == nil)
        case .fault(let fault): Issue.record("\(fault)")
        }
        // Of another circuit's key it is not taken.
        #expect(Self.read(Self.vlan(4094), octets) == nil)
    }

    /// Whatever is missing at the end, nothing beyond the frame is read; what is cut inside the headers has a fault.
    @Test(arguments: cases.indices) func isRefusedIfItIsCutInItsHeaders(_ index: Int) throws {
        let encapsulation = Self.encapsulation {
            $0 = Self.cases[index].encapsulation
            $0.labelsIn = $0.labelsOut
        }
        var octets = try #require(Self.written(encapsulation))
        if encapsulation.link != .ethernet { octets.removeFirst(Circuit.tunLength) }
        let headers = octets.count - Self.packet.count
        for length in 0..<headers {
            switch Self.read(encapsulation, Array(octets[..<length])) {
            case nil: #expect(length < 14 && encapsulation.link == .ethernet)
            case .fault?: break
            case let content?: Issue.record("\(length) octets are \(content)")
            }
        }
    }

    @Test func carriesIPv6() throws {
        let frame = Self.addresses + hex("86dd") + Self.packet6
        #expect(Self.written(Self.frameRelay, frame) == hex("0000 0019 1841 038e") + Self.packet6)
        #expect(Self.written(Self.mpls(.packets), frame) == Self.addresses + hex("8847 03e821ff") + Self.packet6)
        let received = Self.addresses + hex("8847 03e811ff") + Self.packet6
        #expect(
            Self.read(Self.mpls(.packets), received) == .packet(18..<received.count, type: EtherType.ipv6, ttl: nil))
        #expect(
            Self.read(Self.atm(.llc), hex("02010064 aaaa03 000000 86dd") + Self.packet6)
                == .packet(12..<12 + Self.packet6.count, type: EtherType.ipv6, ttl: nil))
    }

    @Test func carriesNoOtherProtocolsWithoutEthernet() {
        let arp = Self.addresses + hex("0806") + [UInt8](repeating: 0, count: 28)
        for (encapsulation, _, _) in Self.cases {
            let carries = encapsulation.payload == .tagged || encapsulation.payload == .ethernet
            #expect((Self.written(encapsulation, arp) != nil) == carries)
        }
    }

    /// Explicit null may be anywhere (RFC 4182), and the entropy label is stepped over (RFC 6790).
    @Test func readsThroughNullAndEntropyLabels() {
        let stacks = [
            "03e81140", "00000040 03e81140", "03e81040 00000140", "03e81040 00007040 12345100",
            "00007040 fffff000 03e81140", "00000040 03e81040 00007040 12345000 00000140",
        ]
        for stack in stacks {
            let frame = Self.addresses + hex("8847" + stack) + Self.packet
            let start = frame.count - Self.packet.count
            #expect(
                Self.read(Self.mpls(.packets), frame)
                    == .packet(start..<frame.count, type: EtherType.ipv4, ttl: nil), "\(stack)")
        }
    }

    @Test func theTTLOfLabelsIsThePacketsInTheUniformModel() {
        let uniform = Self.mpls(.packets) { $0.isUniform = true }
        #expect(Self.written(uniform) == Self.addresses + hex("8847 03e82140") + Self.packet)
        let frame = Self.addresses + hex("8847 03e81105") + Self.packet
        #expect(Self.read(uniform, frame) == .packet(18..<frame.count, type: EtherType.ipv4, ttl: 5))
    }

    static let faults: [(EncapsulationFault, Encapsulation, [UInt8])] = [
        (.truncatedTag, vlan(1), addresses + hex("8100 00")),
        (.reservedVLAN, vlan(1), addresses + hex("8100 0000 0800") + packet),
        (.reservedVLAN, vlan(1), addresses + hex("8100 ffff 0800") + packet),
        (.tooManyTags, vlan(1, 2), addresses + hex("88a8 0001 8100 0002 8100 0003 0800") + packet),
        (.truncatedLabelStack, mpls(.packets), addresses + hex("8847 03e810ff")),
        (.truncatedLabelStack, mpls(.packets), addresses + hex("8847 03e8")),
        (.labelStackTooDeep, mpls(.packets), addresses + hex("8847 00010040 00010040 00010040 00010140") + packet),
        // A stack without bottom.
        (.labelStackTooDeep, mpls(.packets), addresses + hex("8847") + [UInt8](repeating: 0x40, count: 0) + bottomless),
        (.reservedLabel, mpls(.packets), addresses + hex("8847 00003140") + packet),
        (.reservedLabel, mpls(.packets), addresses + hex("8847 00001040 03e81140") + packet),
        (.reservedLabel, mpls(.packets), addresses + hex("8847 03e81040 00007140") + packet),
        (.reservedLabel, mpls(.packets), addresses + hex("8847 03e81040 00007040 00005140") + packet),
        (.reservedLabel, mpls(.ethernet), addresses + hex("8847 03e81040 00000140 00000000") + frame),
        (.labelExpired, mpls(.packets), addresses + hex("8847 03e81101") + packet),
        (.labelExpired, mpls(.packets), addresses + hex("8847 03e81100") + packet),
        (.notAPacket, mpls(.packets), addresses + hex("8847 03e81140 10000000")),
        (.notAPacket, mpls(.packets), addresses + hex("8847 03e81140")),
        (.notAPacket, mpls(.packets), addresses + hex("8847 03e81040 00002140") + packet),
        (.truncatedControlWord, mpls(.ethernet), addresses + hex("8847 03e81140 000000")),
        (.badControlWord, mpls(.ethernet), addresses + hex("8847 03e81140 10000021") + frame),
        (.badControlWord, mpls(.frameRelay), addresses + hex("8847 03e81140 00400000 03cc") + packet),
        (.badControlWord, mpls(.frameRelay), addresses + hex("8847 03e81140 003f0000 03cc") + packet),
        (.badControlWord, mpls(.frameRelay), addresses + hex("8847 03e81140 00030000 03cc") + packet),
        (.truncatedPseudoWire, mpls(.ethernet), addresses + hex("8847 03e81140 00000000") + addresses),
        (.truncatedPseudoWire, mpls(.multiplexed), addresses + hex("8847 03e81140 00000000")),
        (.truncatedFrameRelay, frameRelay, hex("18")),
        (.truncatedFrameRelay, frameRelay, hex("1841 03")),
        (.truncatedFrameRelay, frameRelay, hex("1841 0300 80 000000 08")),
        (.badFrameRelayAddress, frameRelay, hex("1840 03cc") + packet),
        (.badFrameRelayAddress, frameRelay, hex("1941 03cc") + packet),
        (.badFrameRelayProtocol, frameRelay, hex("1841 13cc") + packet),
        (.badFrameRelayProtocol, frameRelay, hex("1841 0381") + packet),
        (.badFrameRelayProtocol, frameRelay, hex("1841 0300 80 0080c2 0007") + packet),
        (.truncatedLLC, atm(.llc), hex("020100")),
        (.truncatedLLC, atm(.llc), hex("02010064 aaaa03 000000 08")),
        (.badLLC, atm(.llc), hex("02010064 aaaa03 0080c2 0007") + packet),
        (.badLLC, atm(.llc), hex("02010064 fefe03 cc") + packet),
        (.notAPacket, atm(.multiplexed), hex("00010064 00")),
    ]

    static let bottomless = (0..<9).flatMap { _ in hex("00000040") }

    /// On a TUN, and in a pseudo-wire whose control word tells no length.
    @Test func anLLCHeaderThatIsCutAtAnyOctetIsTruncated() {
        let cell = hex("02010064 aaaa03 000000 0800")
        for length in 0..<cell.count {
            #expect(Self.read(Self.atm(.llc), Array(cell[..<length])) == .fault(.truncatedLLC), "\(length)")
        }
        #expect(Self.read(Self.atm(.llc), cell) == .packet(12..<12, type: EtherType.ipv4, ttl: nil))
        let wire = Self.mpls(.llc) { ($0.path, $0.channel) = (1, 100) }
        let before = Self.addresses + hex("8847 03e81140 00000000")
        for length in 0..<8 {
            #expect(Self.read(wire, before + cell[4..<4 + length]) == .fault(.truncatedLLC), "\(length)")
        }
    }

    /// However deep: a stack without a bottom ends where the frame ends, or where it is too deep.
    @Test func aStackWithoutBottomIsNeverACircuits() {
        for depth in 1...40 {
            for rest in 0..<4 {
                let entries = (0..<depth).flatMap { _ in hex("00000040") } + [UInt8](repeating: 0, count: rest)
                let expected: EncapsulationFault =
                    depth < LabelStack.mostEntries ? .truncatedLabelStack : .labelStackTooDeep
                #expect(Self.read(Self.mpls(.packets), Self.addresses + hex("8847") + entries) == .fault(expected))
            }
        }
    }

    @Test func eachMalformationHasItsOwnFault() {
        for (fault, encapsulation, octets) in Self.faults {
            #expect(Self.read(encapsulation, octets) == .fault(fault), "\(fault) \(octets)")
        }
        #expect(Set(Self.faults.map(\.0)) == Set(EncapsulationFault.allCases))
        #expect(Set(EncapsulationFault.allCases.map { "\($0)" }).count == EncapsulationFault.allCases.count)
    }

    /// Padding behind a short pseudo-wire's frame is none of the packet.
    @Test func theControlWordTellsPaddingApart() {
        let octets = Self.addresses + hex("8847 03e81140 00260000 03cc") + Self.packet + [1, 2, 3]
        #expect(
            Self.read(Self.mpls(.frameRelay), octets)
                == .packet(24..<24 + Self.packet.count, type: EtherType.ipv4, ttl: nil))
    }

    @Test func congestionAndDiscardBitsAreIgnored() {
        let octets = hex("1a4f 03cc") + Self.packet
        #expect(Self.read(Self.frameRelay, octets) == .packet(4..<octets.count, type: EtherType.ipv4, ttl: nil))
    }

    @Test func aCircuitIsTheSameBehindASnapshot() {
        for (encapsulation, _, _) in Self.cases {
            let circuit = Circuit(encapsulation, engine: Self.engine, peer: Self.alice)
            #expect(Circuit(words: circuit.words) == circuit)
        }
        let words = Circuit(Self.vlan(5), engine: Self.engine, peer: Self.alice).words
        #expect(Circuit(words: (words.0, words.1, words.2, 6, words.4, words.5)) == nil)
        #expect(Circuit(words: (words.0 | 3 << 62, words.1, words.2, words.3, words.4, words.5)) == nil)
        #expect(Circuit(words: (words.0 | 3 << 60, words.1, words.2, words.3, words.4, words.5)) == nil)
        #expect(Circuit(words: (words.0, words.1, 4 << 60, words.3, words.4, words.5)) == nil)
        #expect(Circuit(words: (words.0, words.1, words.2, words.3, .max, words.5)) == nil)
    }
}
