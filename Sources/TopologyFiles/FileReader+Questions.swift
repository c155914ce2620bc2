import Plan
import Reporting
import Wire
import Yams

/// What is asked inside a node, for `ready` and for `health`.
extension FileReader {
    private static let here = IPAddress(ipv4: 0x7F00_0001)
    /// The most octets of a datagram (RFC 768, RFC 791).
    private static let largestDatagram = 65_507

    /// - Parameter kind: One of `Grammar.questionKinds`, which is a key of `fields`.
    func question(_ kind: String, _ fields: Fields, of what: String) -> NodeQuestion? {
        guard let value = fields[kind] else { return nil }
        switch kind {
        case "udp": return datagram(value, of: what)
        case "log": return logLine(value, of: what)
        case "file": return file(value, of: what)
        default: return dns(value, of: what)
        }
    }

    private func datagram(_ node: Node, of what: String) -> NodeQuestion? {
        let fields = nodes.fields(node, "`udp` of \(what)", Grammar.datagram)
        for key in ["port", "send"] where fields.isMapping && fields[key] == nil {
            diagnostics.error(
                node.origin, "`udp` of \(what) has no `\(key)`",
                hint: "write { port: 123, send: { hex: \"…\" }, expect: … }, for example")
        }
        let pattern = fields["expect"].flatMap { self.pattern($0, "`expect`", Grammar.datagramPattern) }
        guard let port = nodes.integer(fields["port"], "the port of `udp`", in: 1...65535),
            let send = fields["send"].flatMap(octets)
        else { return nil }
        if send.count > Self.largestDatagram {
            diagnostics.error(
                fields.origin(of: "send"), "`send` has \(send.count) octets, and a datagram at most 65,507",
                hint: "write less")
        }
        return .datagram(
            address: address(fields, of: "`udp`"), port: UInt16(port.value), send: send, expect: pattern)
    }

    private func address(_ fields: Fields, of what: String) -> IPAddress {
        nodes.address(fields["address"], "the address of \(what)")?.value.value.address ?? Self.here
    }

    /// The octets of a text, or those that hexadecimal digits stand for.
    private func octets(_ node: Node) -> [UInt8]? {
        guard node.mapping != nil else { return nodes.text(node, "`send`").map { Array($0.value.utf8) } }
        let fields = nodes.fields(node, "`send`", Grammar.octets)
        guard fields["hex"] != nil else {
            diagnostics.error(node.origin, "`send` has no `hex`", hint: "write a text, or { hex: \"0a 00 ff\" }")
            return nil
        }
        return hexadecimal(fields["hex"])
    }

    private func hexadecimal(_ node: Node?) -> [UInt8]? {
        guard let written = nodes.text(node, "`hex`") else { return nil }
        let digits = written.value.filter { !$0.isWhitespace && $0 != ":" }
        let values = digits.compactMap { $0.isASCII ? $0.hexDigitValue : nil }
        guard values.count == digits.count, values.count % 2 == 0 else {
            diagnostics.error(
                written.origin, "`hex` is \(quoted(written.value))",
                hint: "write pairs of hexadecimal digits, in quotes: \"0a 00 ff\"")
            return nil
        }
        return stride(from: 0, to: values.count, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    }

    /// A text, or a mapping that says how it is meant.
    private func pattern(_ node: Node, _ what: String, _ grammar: MappingGrammar) -> TextPattern? {
        guard node.mapping != nil else { return nodes.text(node, what).map { .contains($0.value) } }
        let fields = nodes.fields(node, what, grammar)
        guard let kind = nodes.kind(of: fields, grammar) else {
            diagnostics.error(
                node.origin, "\(what) must have one of \(grammar.kinds.map { "`\($0)`" }.joined(separator: ", "))",
                hint: "write a text, or { matches: 'a regular expression' }")
            return nil
        }
        switch kind {
        case "matches": return fields[kind].flatMap { regularExpression($0, "`matches`") }.map { .matches($0) }
        case "hex": return hexadecimal(fields[kind]).map { .octets($0) }
        default: return nodes.text(fields[kind], "`contains`").map { .contains($0.value) }
        }
    }

    private func logLine(_ node: Node, of what: String) -> NodeQuestion? {
        pattern(node, "`log` of \(what)", Grammar.logLine).map { .log($0, program: nil) }
    }

    private func file(_ node: Node, of what: String) -> NodeQuestion? {
        guard let path = nodes.text(node, "`file` of \(what)") else { return nil }
        if path.value.utf8.count > 4_000 {
            diagnostics.error(path.origin, "the path of `file` is too long", hint: "write a shorter path")
            return nil
        }
        return .file(path.value)
    }

    private func dns(_ node: Node, of what: String) -> NodeQuestion? {
        guard node.mapping != nil else {
            return domain(node, "`dns` of \(what)", .a).map {
                .dns(server: Self.here, port: 53, question: $0, expect: nil)
            }
        }
        let fields = nodes.fields(node, "`dns` of \(what)", Grammar.dns)
        guard fields["name"] != nil else {
            diagnostics.error(
                node.origin, "`dns` of \(what) has no `name`", hint: "write { name: www.example.test, type: A }")
            return nil
        }
        let type: Located<DNSQuestion.RecordType>? = nodes.choice(
            fields["type"], "`type`", among: DNSQuestion.RecordType.allCases.map { ($0.word, $0) })
        let port = nodes.integer(fields["port"], "the port of `dns`", in: 1...65535)?.value ?? 53
        let expect = nodes.text(fields["expect"], "`expect`")
        if let expect, let family = family(of: type?.value ?? .a), IPAddress(expect.value)?.family != family,
            !DNSAnswer.codeNames.contains(expect.value.uppercased())
        {
            diagnostics.error(
                expect.origin, "`expect` is \(quoted(expect.value)), which no record of this type has",
                hint: "write an \(family == .ipv4 ? "IPv4" : "IPv6") address, or an error such as NXDOMAIN")
        }
        let server = address(fields, of: "`dns`")
        return domain(fields["name"], "the name of `dns`", type?.value ?? .a).map {
            .dns(server: server, port: UInt16(port), question: $0, expect: expect?.value)
        }
    }

    private func family(of type: DNSQuestion.RecordType) -> AddressFamily? {
        switch type {
        case .a: .ipv4
        case .aaaa: .ipv6
        default: nil
        }
    }

    private func domain(_ node: Node?, _ what: String, _ type: DNSQuestion.RecordType) -> DNSQuestion? {
        guard let name = nodes.text(node, what) else { return nil }
        guard let question = DNSQuestion(name: name.value, type: type) else {
            diagnostics.error(
                name.origin, "\(what): \(quoted(name.value)) is no name of a domain",
                hint: "write labels of 1 to 63 letters, digits and hyphens, with dots between them")
            return nil
        }
        return question
    }
}
