import Wire

/// One line of `nft -a monitor trace`. A line that is of another form is none.
struct RuleTraceLine {
    enum Content {
        /// A base chain begins with the packet. `isOwn`: the node made it.
        case packet(PacketArrival, isOwn: Bool)
        /// A rule has matched; its text is nil if nft does not know the rule.
        case rule(text: String?, handle: UInt64?, verdict: String)
        /// The policy of a chain.
        case policy(String)
    }

    /// The number that the kernel gives the packet for a while.
    var id: Substring
    var family: String
    var table: String
    var chain: String
    var content: Content

    init?(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 7)
        guard words.count == 8 || words.count == 7, words[0] == "trace", words[1] == "id" else { return nil }
        id = words[2]
        (family, table, chain) = (String(words[3]), String(words[4]), String(words[5]))
        let rest = words.count == 8 ? words[7] : ""
        switch words[6] {
        case "packet:":
            guard let packet = Self.packet(rest) else { return nil }
            content = .packet(packet, isOwn: !rest.hasPrefix("iif"))
        case "rule":
            // A rule's comment may look like an end: the last one is it.
            guard let end = Self.range(of: " # handle ", in: rest) else { return nil }
            guard let (handle, verdict) = Self.end(rest[end.upperBound...]) else { return nil }
            content = .rule(text: String(rest[..<end.lowerBound]), handle: handle, verdict: verdict)
        case "unknown":
            guard rest.hasPrefix("rule handle "), let (handle, verdict) = Self.end(rest.dropFirst(12)) else {
                return nil
            }
            content = .rule(text: nil, handle: handle, verdict: verdict)
        case "policy": content = .policy(String(rest.prefix { $0 != " " }))
        default: return nil
        }
    }

    /// `7 (verdict drop)`.
    private static func end(_ text: Substring) -> (handle: UInt64, verdict: String)? {
        let digits = text.prefix { $0 != " " }
        let rest = text[digits.endIndex...]
        guard let handle = UInt64(digits), rest.hasPrefix(" (verdict "), let close = rest.firstIndex(of: ")") else {
            return nil
        }
        return (handle, String(rest[rest.index(rest.startIndex, offsetBy: 10)..<close]))
    }

    private static func range(of mark: String, in text: Substring) -> Range<Substring.Index>? {
        var end = text.endIndex
        while let start = text[..<end].lastIndex(of: "#") {
            guard start > text.startIndex else { return nil }
            let before = text.index(before: start)
            if text[before...].hasPrefix(mark) { return before..<text.index(before, offsetBy: mark.count) }
            end = start
        }
        return nil
    }

    private static func packet(_ text: Substring) -> PacketArrival? {
        let words = text.split(separator: " ")
        var addresses: [IPAddress] = []
        var packet: PacketArrival?
        var identifier: UInt32?
        var isEcho = false
        for (index, word) in words.enumerated().dropLast(2) {
            let (key, value) = (words[index + 1], words[index + 2])
            switch (word, key) {
            case ("ip", "saddr"), ("ip", "daddr"), ("ip6", "saddr"), ("ip6", "daddr"):
                guard let address = IPAddress(String(value)) else { return nil }
                addresses.append(address)
                if addresses.count == 2 { packet = PacketArrival(source: addresses[0], destination: address) }
            case ("ip", "id"): packet?.identification = UInt32(value).flatMap { $0 == 0 ? nil : $0 }
            case ("ip", "length"): packet?.length = Int(value)
            // Without the header.
            case ("ip6", "length"): packet?.length = Int(value).map { $0 + 40 }
            case ("tcp", "sport"), ("udp", "sport"), ("sctp", "sport"), ("dccp", "sport"), ("udplite", "sport"):
                packet?.sourcePort = UInt16(value)
            case ("tcp", "dport"), ("udp", "dport"), ("sctp", "dport"), ("dccp", "dport"), ("udplite", "dport"):
                packet?.destinationPort = UInt16(value)
            case ("tcp", "flags"):
                guard value == "==", index + 3 < words.count else { break }
                packet?.controlBits = controlBits(words[(index + 3)...])
            case ("icmp", "type"), ("icmpv6", "type"):
                isEcho = value.hasPrefix("echo-")
            case ("icmp", "id"): identifier = UInt32(value)
            case ("icmp", "sequence"):
                if isEcho, let high = identifier, let low = UInt32(value) { packet?.echo = high << 16 | low }
            // That is what nft calls the second word of every message.
            case ("icmpv6", "parameter-problem"): if isEcho { packet?.echo = UInt32(value) }
            default: break
            }
        }
        return packet
    }

    /// `syn`, `psh | ack`, `0x12`.
    private static func controlBits(_ words: ArraySlice<Substring>) -> UInt8? {
        let names: [Substring: UInt8] = ["fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32]
        var bits: UInt8 = 0
        for word in words {
            if word == "|" { continue }
            if word.hasPrefix("0x"), let value = UInt8(word.dropFirst(2), radix: 16) {
                bits |= value & 0x3F
            } else if word == "ecn" || word == "cwr" {
                continue
            } else if let bit = names[word] {
                bits |= bit
            } else {
                break
            }
        }
        return bits
    }
}
