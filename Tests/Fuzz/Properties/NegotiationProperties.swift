import PortMapping
import Wire

/// Whatever applications ask for, one request after another: an answer is whole and answers the request, a refusal changes
/// nothing, what is in force is what is remembered, and nobody has more than the file gives.
///
/// An input is requests: an octet (the sender, what the proof says, how much time has passed), two for the length, and the
/// datagram.
enum NegotiationProperties {
    private static let rules = NegotiationRules(
        application: "game",
        addresses: [IPAddress("203.0.113.82")!, IPAddress("203.0.113.83")!, IPAddress("2001:db8::82")!],
        ports: [
            NegotiationRules.Ports(protocolNumber: IPProtocol.udp, range: 27000...27009),
            NegotiationRules.Ports(protocolNumber: IPProtocol.tcp, range: 80...83),
        ], lifetime: 30...3600, mappings: 8, requests: 1_000_000)
    private static let askers = [
        Asker(application: "game", node: "game", address: IPAddress("198.18.4.10")!),
        Asker(application: "game", node: "game", address: IPAddress("2001:db8:4::10")!),
        Asker(application: "game", node: "game-2", address: IPAddress("198.18.4.11")!),
        Asker(application: "stranger", node: "stranger", address: IPAddress("198.18.4.12")!),
    ]

    /// A control process that proves nothing, and says what the input wants.
    private final class Office: MappingOffice {
        var inForce: [Mapping.Key: Mapping] = [:]
        var refuses = false
        var fails = false

        func isTaken(_ address: IPAddress, _ protocolNumber: UInt8, port: UInt16) -> Bool { refuses && port % 2 == 0 }

        func put(_ mapping: Mapping) -> MappingVerdict {
            if fails { return .failed("down") }
            if refuses { return .refused("it would take packets of another") }
            inForce[mapping.key] = mapping
            return .inForce
        }

        func remove(_ mappings: [Mapping]) -> String? {
            if fails { return "down" }
            for mapping in mappings { inForce[mapping.key] = nil }
            return nil
        }
    }

    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        var choices = ByteChoices(input)
        var desk = NegotiationDesk(beginning: 0)
        _ = desk.adopt([rules])
        let office = Office()
        var now: UInt64 = 0
        while !choices.isUsedUp {
            let kind = choices.octet()
            let datagram = Array(choices.rest(choices.word() % 2048))
            let asker = askers[Int(kind & 3)]
            (office.refuses, office.fails) = (kind & 4 != 0, kind & 8 != 0)
            now += UInt64(kind >> 4) * 10_000
            for gone in desk.expire(at: now) { office.inForce[gone.key] = nil }
            if kind == 0xF0 { for gone in desk.lose(node: asker.node) { office.inForce[gone.key] = nil } }
            let before = desk.mappings
            let outcome = desk.answer(datagram, from: asker, at: now, office: office)
            try require((outcome.answer == nil) == (outcome.drop != nil), "an answer, or why there is none")
            if let answer = outcome.answer, let result = outcome.result {
                try check(answer, to: datagram, from: asker, result)
                if result != .success { try require(desk.mappings == before, "a refusal changes something") }
            } else {
                try require(desk.mappings == before, "what gets no answer changes something")
            }
            try check(desk, office, now)
        }
    }

    private static func check(
        _ answer: [UInt8], to datagram: [UInt8], from asker: Asker, _ result: PCPResult
    ) throws(BrokenProperty) {
        try require(answer[1] == datagram[1] | 0x80, "the answer is to another opcode")
        guard answer[0] == 2 else {
            try require(answer[0] == 0 && datagram[0] == 0, "an answer of NAT-PMP to what is none")
            return try require([8, 12, 16].contains(answer.count), "an answer of NAT-PMP of \(answer.count) octets")
        }
        try require(
            answer.count % 4 == 0 && (24...1100).contains(answer.count), "an answer of \(answer.count) octets")
        try require(answer[3] == result.rawValue && answer[2] == 0, "the result is in the answer")
        guard datagram[1] == 1 else { return }
        try require(answer.count >= 60, "an answer to MAP of \(answer.count) octets")
        if datagram.count >= 36 {
            try require(answer[24..<36] == datagram[24..<36], "the answer has another nonce")
        }
        guard result == .success else { return }
        try require(answer.count <= datagram.count, "the answer has more than was asked")
        try require(answer[36] == datagram[36] && answer[40..<42] == datagram[40..<42], "it is another port")
    }

    private static func check(
        _ desk: NegotiationDesk, _ office: Office, _ now: UInt64
    ) throws(BrokenProperty) {
        try require(desk.mappings.count <= rules.mappings, "more than the file gives")
        try require(Set(desk.mappings.keys) == Set(office.inForce.keys), "what is in force is not what is remembered")
        var places: Set<String> = []
        for mapping in desk.mappings.values {
            try require(!mapping.holders.isEmpty && mapping.end > now / 1000, "a mapping of nobody")
            try require(mapping.end <= now / 1000 + 3600, "a mapping that lasts too long")
            try require(mapping.filters == office.inForce[mapping.key]?.filters, "filters that are not in force")
            try require(mapping.filters.count <= NegotiationDesk.mostFilters, "too many filters")
            try require(rules.addresses.contains(mapping.address), "an address that the file does not give")
            let isGiven = rules.ports.contains {
                $0.protocolNumber == mapping.key.protocolNumber && $0.range.contains(mapping.port)
            }
            try require(isGiven, "a port that the file does not give")
            let place = "\(mapping.address) \(mapping.key.protocolNumber) \(mapping.port)"
            try require(places.insert(place).inserted, "two mappings of one service port")
        }
    }
}
