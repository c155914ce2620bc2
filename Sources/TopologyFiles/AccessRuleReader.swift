import Forwarding
import Plan
import Reporting
import Wire

/// Reads one rule of an access list.
struct AccessRuleReader {
    private let rule: AccessRecord.Rule
    private let record: AccessRecord
    /// The place of the rule in the record.
    private let place: String
    /// The tenant's addresses.
    private let addresses: [IPPrefix]
    private let diagnostics: Diagnostics
    /// True for a rule that was right when it was written: it stays in force for what the tenant still has of its own side.
    var isKept = false

    init(
        _ rule: AccessRecord.Rule, _ record: AccessRecord, _ place: String, _ addresses: [IPPrefix],
        _ diagnostics: Diagnostics
    ) {
        self.rule = rule
        self.record = record
        self.place = place
        self.addresses = addresses
        self.diagnostics = diagnostics
    }

    /// The rules that it is, one for each of the tenant's addresses, each pair of ranges of ports and each type; none if
    /// something is wrong with it.
    ///
    /// - Parameter fault: Becomes `forbidden` if the rule has a right form, and is about others' packets.
    func rules(_ fault: inout RecordReader.Fault) -> [AccessRule] {
        let before = diagnostics.count
        let action = Self.action(rule.verdict, record, place, diagnostics)
        let upper = upperProtocol()
        let own = prefix(rule.own, "own")
        let remote = prefix(rule.remote, "remote")
        let (ownPorts, remotePorts) = (ports(rule.ownPorts, "own-ports"), ports(rule.remotePorts, "remote-ports"))
        guard diagnostics.count == before, let action, let upper else { return [] }
        check(upper)
        guard diagnostics.count == before else { return [] }
        let left = own.map { own in
            addresses.contains { $0.contains(own) } ? [own] : isKept ? addresses.filter { own.contains($0) } : []
        }
        if let own, left?.isEmpty == true {
            let isFirst = diagnostics.count == 0
            error(
                "own", "\(own) is none of \(isKept ? "the tenant's addresses any more" : "your addresses")",
                hint: "yours are \(addresses.map { "\($0)" }.joined(separator: ", "))")
            if isFirst { fault = .forbidden }
            return []
        }
        if let own, let remote, own.family != remote.family {
            error(
                "remote", "\(remote) and \(own) are of different families",
                hint: "name addresses of IPv4 alone, or of IPv6 alone")
            return []
        }
        let sides = (left ?? addresses).filter { side in
            (remote.map { $0.family == side.family } ?? true) && upper.has(side.family)
        }
        guard !sides.isEmpty else {
            error(
                remote == nil ? "protocol" : "remote",
                "no address \(isKept ? "that the tenant has now" : "of yours") is of the family that the rule is about",
                hint: "yours are \(addresses.map { "\($0)" }.joined(separator: ", "))")
            return []
        }
        return sides.flatMap { side in
            matters(upper, side.family, ownPorts, remotePorts).map {
                AccessRule(action: action, own: side, remote: remote, matter: $0, counter: 0)
            }
        }
    }

    private func error(_ key: String, _ message: String, hint: String) {
        diagnostics.error(record.origin("\(place)/\(key)"), message, hint: hint)
    }

    // MARK: - Values

    /// What a rule, or the default, does.
    static func action(
        _ verdict: AccessRecord.Verdict, _ record: AccessRecord, _ place: String, _ diagnostics: Diagnostics
    ) -> AccessRule.Action? {
        switch verdict.action {
        case "allow":
            guard let answer = verdict.answer else { return .allow }
            diagnostics.error(
                record.origin("\(place)/answer"), "what is allowed has no answer \(quoted(answer, seen: true))",
                hint: "remove `answer`, or write deny")
        case "deny":
            let answer = verdict.answer ?? "drop"
            if let denial = AccessDenial(word: answer) { return .deny(denial) }
            diagnostics.error(
                record.origin("\(place)/answer"), "\(quoted(answer, seen: true)) is no answer to a denied packet",
                hint: "write drop, icmp or reset")
        default:
            diagnostics.error(
                record.origin("\(place)/action"), "\(quoted(verdict.action, seen: true)) is no action",
                hint: "write allow or deny")
        }
        return nil
    }

    private func prefix(_ text: String?, _ key: String) -> IPPrefix? {
        guard let text else { return nil }
        guard let written = InterfaceAddress(text) else {
            error(
                key, "\(quoted(text, seen: true)) is no address",
                hint: "write 203.0.113.80 or 2001:db8::80, or a prefix")
            return nil
        }
        guard written.prefix.address == written.address else {
            error(
                key, "\(written) has bits set beyond its length",
                hint: "write \(written.prefix.address)/\(written.prefix.length)")
            return nil
        }
        return written.prefix
    }

    private func ports(_ texts: [String], _ key: String) -> [ClosedRange<UInt16>] {
        guard texts.count <= AccessReader.mostValues else {
            error(key, "a rule has at most \(AccessReader.mostValues) ranges of ports", hint: "make several rules")
            return []
        }
        return texts.enumerated().compactMap { index, text in
            let ends = text.split(separator: "-", omittingEmptySubsequences: false)
            if ends.count <= 2, ends.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }),
                let low = ends.first.flatMap({ UInt16($0) }), let high = ends.last.flatMap({ UInt16($0) }), low <= high
            {
                return low...high
            }
            error(
                "\(key)/\(index)", "\(quoted(text, seen: true)) is no port, and no range of ports",
                hint: "write 443 or 5000-5100")
            return nil
        }
    }

    // MARK: - Protocols

    private enum UpperProtocol {
        case any
        /// ICMP and ICMPv6.
        case icmp
        /// ICMPv6 alone.
        case icmpv6
        case number(UInt8)

        func has(_ family: AddressFamily) -> Bool {
            if case .icmpv6 = self { family == .ipv6 } else { true }
        }
    }

    private static let numbers: [String: UInt8] = [
        "tcp": 6, "udp": 17, "sctp": 132, "dccp": 33, "udplite": 136, "gre": 47, "esp": 50, "ah": 51,
    ]

    private func upperProtocol() -> UpperProtocol? {
        let text = rule.protocolName?.lowercased() ?? "any"
        if let number = Self.numbers[text] { return .number(number) }
        switch text {
        case "any": return .any
        case "icmp": return .icmp
        case "icmpv6": return .icmpv6
        default:
            if let number = Self.octet(text) { return .number(number) }
            error(
                "protocol", "\(quoted(text, seen: true)) is no protocol",
                hint: "write any, icmp, \(Self.numbers.keys.sorted().joined(separator: ", ")), or a number")
            return nil
        }
    }

    /// Ports and types belong to some protocols alone.
    private func check(_ upper: UpperProtocol) {
        let hasPorts = if case .number(let number) = upper { IPProtocol.hasPorts(number) } else { false }
        let isICMP =
            switch upper {
            case .icmp, .icmpv6: true
            case .any, .number: false
            }
        for (key, texts) in [("own-ports", rule.ownPorts), ("remote-ports", rule.remotePorts)]
        where !texts.isEmpty && !hasPorts {
            error(key, "the protocol of the rule has no ports", hint: "name one that has: `protocol` tcp, udp or sctp")
        }
        guard !rule.icmpTypes.isEmpty else { return }
        guard isICMP else {
            return error("icmp-types", "the protocol of the rule is not icmp", hint: "write `protocol` icmp")
        }
        for (index, text) in rule.icmpTypes.enumerated() where Self.type(text, .ipv4) == nil {
            guard Self.type(text, .ipv6) == nil else { continue }
            error(
                "icmp-types/\(index)", "\(quoted(text, seen: true)) is no type of ICMP",
                hint: "write a number from 0 to 255, or \(Self.types.map(\.word).joined(separator: ", "))")
        }
    }

    /// Types that have the same meaning in both families, and others that people filter.
    private static let types: [(word: String, ipv4: UInt8?, ipv6: UInt8?)] = [
        ("echo-request", 8, 128), ("destination-unreachable", 3, 1), ("packet-too-big", nil, 2),
        ("time-exceeded", 11, 3), ("parameter-problem", 12, 4), ("redirect", 5, 137), ("timestamp-request", 13, nil),
    ]

    private static func type(_ text: String, _ family: AddressFamily) -> UInt8? {
        if let known = types.first(where: { $0.word == text }) { return family == .ipv4 ? known.ipv4 : known.ipv6 }
        return octet(text)
    }

    private static func octet(_ text: String) -> UInt8? {
        text.utf8.allSatisfy { (48...57).contains($0) } ? UInt8(text) : nil
    }

    private func matters(
        _ upper: UpperProtocol, _ family: AddressFamily, _ own: [ClosedRange<UInt16>], _ remote: [ClosedRange<UInt16>]
    ) -> [AccessRule.Matter] {
        let number: UInt8
        switch upper {
        case .any: return [.any]
        case .icmp, .icmpv6:
            number = family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6
            if !rule.icmpTypes.isEmpty {
                return rule.icmpTypes.compactMap { Self.type($0, family) }.map { .icmp(type: $0) }
            }
        case .number(let one): number = one
        }
        guard !own.isEmpty || !remote.isEmpty else { return [.protocolNumber(number)] }
        let everyPort: [ClosedRange<UInt16>] = [0...65535]
        return (own.isEmpty ? everyPort : own).flatMap { own in
            (remote.isEmpty ? everyPort : remote).map { .ports(protocolNumber: number, own: own, remote: $0) }
        }
    }
}

extension AccessDenial {
    /// As lists write it.
    package init?(word: String) {
        guard let found = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = found
    }

    /// As lists write it.
    package var word: String {
        switch self {
        case .drop: "drop"
        case .icmp: "icmp"
        case .reset: "reset"
        }
    }
}
