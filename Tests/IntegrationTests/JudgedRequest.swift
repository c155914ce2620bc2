import Seeds

/// A request that two servers answer, with what it is.
struct JudgedRequest {
    /// What is odd about it.
    enum Kind: String, CaseIterable {
        case valid, renewal, otherNonce, deletion, option, short, long, version, opcode, announce, protocols, mismatch
        case natPMP, answer, random
    }
    var kind: Kind
    var octets: [UInt8]

    /// The client that asks, and what it asks from.
    static let client: [UInt8] = mapped([198, 18, 4, 10])
    static let external: [UInt8] = mapped([52, 0, 0, 82])

    static func mapped(_ address: [UInt8]) -> [UInt8] { [UInt8](repeating: 0, count: 10) + [255, 255] + address }

    var opcode: UInt8? { octets.count > 1 ? octets[1] : nil }
    /// True if the first octet says version 2, and the header is whole.
    var isPCP: Bool { octets.count >= 24 && octets[0] == 2 && octets[1] < 128 }
    var isNatPMP: Bool { octets.count >= 2 && octets[0] == 0 }
    /// True for MAP that is whole.
    var isMap: Bool { isPCP && octets[1] == 1 && octets.count >= 60 }
    var number: UInt8? { isMap ? octets[36] : nil }
    var internalPort: UInt16? { isMap ? UInt16(octets[40]) << 8 | UInt16(octets[41]) : nil }
    var suggestedPort: UInt16? { isMap ? UInt16(octets[42]) << 8 | UInt16(octets[43]) : nil }
    var lifetime: UInt32 { octets.count >= 8 ? octets[4..<8].reduce(0) { $0 << 8 | UInt32($1) } : 0 }
    /// The options behind MAP, by their codes.
    var options: [UInt8] {
        guard isMap else { return [] }
        var (codes, place): ([UInt8], Int) = ([], 60)
        while place + 4 <= octets.count {
            codes.append(octets[place])
            place += 4 + (Int(octets[place + 2]) << 8 | Int(octets[place + 3]) + 3) / 4 * 4
        }
        return codes
    }
    /// True for what ends miniupnpd 2.3.1: all protocols and all ports. It is not asked.
    var endsMiniupnpd: Bool { isMap && number == 0 && internalPort == 0 }
}

/// Makes requests from a seed. Every one has an internal port of its own, so that none depends on another one unless it shall.
struct JudgedRequests {
    private var random: SeededGenerator
    private var port: UInt16 = 20_000

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// As many requests as that.
    mutating func list(_ count: Int) -> [JudgedRequest] {
        var list: [JudgedRequest] = []
        let shares: [(JudgedRequest.Kind, Int)] = [
            (.valid, 14), (.option, 28), (.short, 18), (.long, 10), (.version, 14), (.opcode, 8), (.announce, 6),
            (.protocols, 8), (.mismatch, 6), (.natPMP, 24), (.answer, 3),
        ]
        for (kind, share) in shares { for _ in 0..<share { list += made(kind) } }
        while list.count < count { list.append(JudgedRequest(kind: .random, octets: octets(0...100))) }
        return Array(list.prefix(count)).filter { !$0.endsMiniupnpd }
    }

    private mutating func octets(_ counts: ClosedRange<Int>) -> [UInt8] {
        (0..<Int.random(in: counts, using: &random)).map { _ in .random(in: 0...255, using: &random) }
    }

    private mutating func pick<Element>(_ choices: [Element]) -> Element { choices.randomElement(using: &random)! }

    private static func bytes(_ number: some FixedWidthInteger & UnsignedInteger) -> [UInt8] {
        stride(from: number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
    }

    /// A MAP request: of TCP or UDP, for a port of its own.
    private mutating func map(lifetime: UInt32? = nil, suggested: UInt16? = nil, number: UInt8? = nil) -> [UInt8] {
        port += 1
        let nonce = (0..<12).map { _ in UInt8.random(in: 0...255, using: &random) }
        return [2, 1, 0, 0] + Self.bytes(lifetime ?? pick([30, 60, 3600, 86_400])) + JudgedRequest.client + nonce
            + [number ?? pick([6, 17]), 0, 0, 0] + Self.bytes(port) + Self.bytes(suggested ?? port)
            + pick([JudgedRequest.mapped([0, 0, 0, 0]), JudgedRequest.external])
    }

    private mutating func made(_ kind: JudgedRequest.Kind) -> [JudgedRequest] {
        func one(_ octets: [UInt8]) -> [JudgedRequest] { [JudgedRequest(kind: kind, octets: octets)] }
        switch kind {
        case .valid: return conversation()
        case .option: return one(map() + option())
        case .short: return one(Array(map().prefix(Int.random(in: 0..<60, using: &random))))
        case .long:
            let beyond = pick([1, 2, 3, 5, 1038, 1041, 1044, 1200, 1340])
            return one(map() + [UInt8](repeating: 0x80, count: beyond))
        case .version:
            let request = pick([map(), Array(map().prefix(24)), Array(map().prefix(2)), Array(map().prefix(3))])
            return one([pick([1, 3, 4, 127, 255])] + request.dropFirst())
        case .opcode:
            let peer = Self.bytes(UInt16(443)) + [0, 0] + JudgedRequest.mapped([192, 0, 2, 9])
            return one([2, pick([2, 2, 3, 4, 126, 127])] + map().dropFirst(2) + peer)
        case .announce:
            let body: [UInt8] = pick([[], [], [0x80, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]])
            return one([2, 0] + map()[2..<24] + body)
        case .protocols:
            var request = map(number: pick([0, 1, 33, 50, 132, 136, 255, 6, 17]))
            if [6, 17].contains(request[36]) { request.replaceSubrange(40..<42, with: [0, 0]) }
            return one(request)
        case .mismatch:
            let stranger = pick([
                JudgedRequest.mapped([198, 18, 4, 11]), JudgedRequest.mapped([0, 0, 0, 0]),
                [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 12), [UInt8](repeating: 0, count: 16),
            ])
            return one(map()[..<8] + stranger + map()[24...])
        case .natPMP: return one(natPMP())
        case .answer: return one([2, pick([0x80, 0x81, 0xFF])] + map().dropFirst(2))
        default: return []
        }
    }

    /// A mapping that is asked for, renewed, asked for by a stranger, ended by a stranger, and ended.
    private mutating func conversation() -> [JudgedRequest] {
        let first = map(
            lifetime: pick([30, 60, 3600, 86_400, 1, .max]), suggested: pick([0, 1, 25_000 + port, port + 1]))
        var all = [JudgedRequest(kind: .valid, octets: first)]
        guard Bool.random(using: &random), Bool.random(using: &random) else { return all }
        var renewal = first
        renewal.replaceSubrange(4..<8, with: Self.bytes(UInt32(600)))
        var stranger = first
        stranger[24] ^= 0xFF
        var end = first
        end.replaceSubrange(4..<8, with: [0, 0, 0, 0])
        var strangersEnd = stranger
        strangersEnd.replaceSubrange(4..<8, with: [0, 0, 0, 0])
        all += [renewal].map { JudgedRequest(kind: .renewal, octets: $0) }
        all += [stranger, strangersEnd].map { JudgedRequest(kind: .otherNonce, octets: $0) }
        all += [end, end].map { JudgedRequest(kind: .deletion, octets: $0) }
        return all
    }

    private mutating func option() -> [UInt8] {
        let filter: [UInt8] = [3, 0, 0, 20, 0, 120, 0, 0] + JudgedRequest.mapped([192, 0, 2, 0])
        return pick([
            [2, 0, 0, 0], [2, 0, 0, 0], [2, 0, 0, 0, 2, 0, 0, 0], [2, 0, 0, 4, 0, 0, 0, 0], [0x80, 0, 0, 0],
            [0xC8, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0], [4, 0, 0, 0], [127, 0, 0, 4, 1, 2, 3, 4],
            [1, 0, 0, 16] + JudgedRequest.client, [1, 0, 0, 16] + JudgedRequest.mapped([198, 18, 4, 11]),
            [1, 0, 0, 4, 0, 0, 0, 0], filter, Array(filter.prefix(20)), [3, 0, 0, 20, 0, 7] + filter.dropFirst(6),
            [2, 0, 0, 200], [0x80, 0, 255, 255], [0x80, 0, 0, 1],
        ])
    }

    private mutating func natPMP() -> [UInt8] {
        let opcode: UInt8 = pick([1, 2])
        port += 1
        let whole =
            [0, opcode, 0, 0] + Self.bytes(port) + Self.bytes(pick([port, 0, 1]))
            + Self.bytes(UInt32(pick([60, 3600])))
        return pick([
            [0, 0], [0, 0, 0, 0], whole, whole, whole + [0, 0, 0],
            Array(whole.prefix(Int.random(in: 0...11, using: &random))),
            [0, pick([3, 9, 100])] + whole.dropFirst(2), whole[..<8] + [0, 0, 0, 0],
            [0, opcode, 0, 0] + Self.bytes(UInt16(0)) + whole.dropFirst(6), [0, opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, pick([0x80, 0x81])] + whole.dropFirst(2),
        ])
    }
}
