import Testing
import Wire

/// The status enquiries of frame relay, as routers send them, and their answers.
@Suite struct FrameRelayStatusTests {
    static func answer(_ enquiry: String, _ circuits: [UInt64] = [16, 100, 1007]) -> [UInt8]? {
        guard let status = FrameRelayStatus(hex(enquiry).span.bytes) else { return nil }
        var room = [UInt8](repeating: 0xEE, count: 200)
        let length = status.length(circuits: circuits.count)
        room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            var offset = status.write(&target, at: 0)
            #expect(offset == status.length(circuits: 0))
            guard status.isFull else { return }
            for circuit in circuits {
                status.write(&target, at: offset, circuit: circuit)
                offset += status.dialect.circuitLength
            }
            #expect(offset == length)
        }
        return Array(room[..<length])
    }

    @Test func annexAIsAnswered() {
        #expect(Self.answer("0001 0308 0075 510101 530207 03") == hex("0001 0308 007d 510101 53020407"))
        #expect(
            Self.answer("0001 0308 0075 510100 530201ff")
                == hex("0001 0308 007d 510100 53020101 5703018082 570306a082 57033ef882"))
    }

    @Test func annexDIsAnswered() {
        #expect(Self.answer("0001 0308 0075 95 010101 03020703") == hex("0001 0308 007d 95 010101 03020407"))
        #expect(
            Self.answer("0001 0308 0075 95 010100 03020100", [17])
                == hex("0001 0308 007d 95 010100 03020101 0703018882"))
    }

    @Test func ciscosIsAnswered() {
        #expect(Self.answer("fcf1 0309 0075 010101 03020703") == hex("fcf1 0309 007d 010101 03020407"))
        #expect(
            Self.answer("fef3 0309 0075 010100 030201ff")
                == hex(
                    "fcf1 0309 007d 010100 03020101 0706001002000000 0706006402000000 070603ef02000000"))
        // Each dialect has its own DLCI.
        #expect(Self.answer("0001 0309 0075 010101 03020703") == nil)
        #expect(Self.answer("fcf1 0308 0075 510101 53020703") == nil)
        #expect(Self.answer("fcf1 0309 0075 95 010101 03020703") == nil)
    }

    @Test(arguments: FrameRelayStatus.Dialect.allCases) func anAnswerFitsAFrame(_ dialect: FrameRelayStatus.Dialect) {
        #expect(14 + dialect.mostCircuits * dialect.circuitLength <= 1_500)
    }

    @Test(arguments: ["0001 0308 0075 510101 53020703", "fcf1 0309 0075 010101 03020703"])
    func otherFramesAreNoEnquiries(_ text: String) {
        let enquiry = hex(text)
        #expect(FrameRelayStatus(enquiry.span.bytes) != nil)
        for length in 0..<enquiry.count { #expect(FrameRelayStatus(Array(enquiry[..<length]).span.bytes) == nil) }
        for place in enquiry.indices.dropLast(2) where place != 8 {
            var other = enquiry
            other[place] ^= 0x40
            #expect(FrameRelayStatus(other.span.bytes) == nil, "\(place)")
        }
    }
}

/// Inverse ARP on circuits of frame relay, as routers send it.
@Suite struct InverseARPTests {
    /// RFC 2390, 7: a request of 192.0.2.50 on DLCI 100.
    static let request = hex("1841 0300 80000000 0806 000f 0800 0204 0008 1841 c0000232 0000 00000000")

    static func read(_ octets: some Sequence<UInt8>) -> InverseARP? { InverseARP(Array(octets).span.bytes) }

    @Test func aRequestIsAnsweredWithBothAddresses() throws {
        let asked = try #require(Self.read(Self.request))
        #expect(asked.address == ip("192.0.2.50"))
        var room = [UInt8](repeating: 0xEE, count: InverseARP.length + 2)
        room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            asked.writeReply(&target, at: 1, from: ip("192.0.2.49"))
        }
        let reply = hex("1841 0300 80000000 0806 000f 0800 0204 0009 1841 c0000231 1841 c0000232")
        #expect(room == [0xEE] + reply + [0xEE])
        #expect(Self.read(reply) == nil, "a reply that nobody asked for")
    }

    @Test func othersAreNotAnswered() {
        for length in 0..<Self.request.count {
            #expect(Self.read(Self.request[..<length]) == nil)
            let isOne = InverseARP.isOne(Array(Self.request[..<length]).span.bytes)
            #expect(isOne == (length >= 10))
        }
        for place in 2..<18 {
            var other = Self.request
            other[place] ^= 0x40
            #expect(Self.read(other) == nil, "\(place)")
        }
        for address in ["00000000", "e0000001"] {
            let other = Self.request[..<20] + hex(address) + Self.request[24...]
            #expect(Self.read(other) == nil)
        }
        // FECN, BECN, DE and C/R of the request are not in the reply.
        let marked = [0x1A, 0x4F] + Self.request[2...]
        #expect(Self.read(marked) == Self.read(Self.request))
    }
}
