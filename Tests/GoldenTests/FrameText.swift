import Wire

/// A frame for a person who looks for a difference: what it is, and its octets.
enum FrameText {
    /// One line on what the frame is.
    static func summary(_ bytes: [UInt8]) -> String {
        let frame = Array(bytes.dropFirst(VirtioNetHeader.length))
        var fields = PacketFields()
        let verdict = frame.withUnsafeBytes { fields.parse($0.bytes) }
        let stations = "\(fields.sourceMAC) > \(fields.destinationMAC)"
        var text = "\(frame.count) octets, \(stations)"
        switch verdict {
        case .packet:
            let flow = fields.flow
            let ports = flow.hasPorts ? (":\(flow.sourcePort)", ":\(flow.destinationPort)") : ("", "")
            text += ", protocol \(flow.protocolNumber), \(flow.source)\(ports.0) > \(flow.destination)\(ports.1)"
            if fields.message != .none { text += ", type \(fields.icmpType) code \(fields.icmpCode)" }
            if fields.hasQuoted { text += " about \(fields.quoted.source) > \(fields.quoted.destination)" }
            if fields.fragment != .whole { text += ", \(fields.fragment) fragment" }
        case .arp: text += ", ARP"
        case .unsupported: text += ", EtherType 0x" + String(fields.etherType, radix: 16)
        case .malformed(let reason): text += ", \(reason)"
        }
        let offload = bytes.prefix(VirtioNetHeader.length)
        if offload.contains(where: { $0 != 0 }) { text += ", offload " + hex(offload) }
        return text
    }

    /// Every row of sixteen octets that differs, with the field that its first difference lies in.
    static func difference(expected: [UInt8], actual: [UInt8]) -> String {
        var lines = ["expected \(summary(expected))", "     got \(summary(actual))"]
        let names = fieldNames(expected)
        for start in stride(from: 0, to: max(expected.count, actual.count), by: 16) {
            let left = Array(expected.dropFirst(start).prefix(16))
            let right = Array(actual.dropFirst(start).prefix(16))
            guard left != right else { continue }
            let first = (0..<16).first { $0 >= left.count || $0 >= right.count || left[$0] != right[$0] } ?? 0
            let field = names.last { $0.start <= start + first }?.name ?? "?"
            lines.append("  octet \(start + first - VirtioNetHeader.length), \(field):")
            lines.append("    expected \(hex(left))")
            lines.append("         got \(hex(right))")
        }
        return lines.joined(separator: "\n")
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }

    /// The fields of a frame with its offload header, each with where it starts.
    private static func fieldNames(_ bytes: [UInt8]) -> [(start: Int, name: String)] {
        let base = VirtioNetHeader.length
        let frame = Array(bytes.dropFirst(base))
        var fields = PacketFields()
        let verdict = frame.withUnsafeBytes { fields.parse($0.bytes) }
        var names = [
            (0, "offload header"), (base, "Ethernet destination"), (base + 6, "Ethernet source"),
            (base + 12, "EtherType"),
            (base + 14, "Ethernet payload"),
        ]
        guard verdict == .packet else { return names }
        func header(_ start: Int, _ what: String) -> [(Int, String)] {
            let fields4 = [
                (0, "version"), (2, "total length"), (4, "identification"), (6, "fragment"), (8, "TTL"),
                (9, "protocol"),
                (10, "header checksum"), (12, "source"), (16, "destination"), (20, "options"),
            ]
            let fields6 = [
                (0, "version"), (4, "payload length"), (6, "next header"), (7, "hop limit"), (8, "source"),
                (24, "destination"), (40, "extension headers"),
            ]
            return (fields.family == .ipv4 ? fields4 : fields6).map { (base + start + $0.0, "\(what) \($0.1)") }
        }
        func transport(_ start: Int, _ number: UInt8, _ what: String) -> [(Int, String)] {
            var names = [(base + start, "\(what) transport header")]
            if let place = IPProtocol.pseudoHeaderChecksumOffset(number, fields.family) {
                names += [(base + start + place, "\(what) checksum"), (base + start + place + 2, "\(what) rest")]
            } else if number == IPProtocol.icmp {
                names += [(base + start + 2, "\(what) checksum"), (base + start + 4, "\(what) rest")]
            }
            return names
        }
        names += header(14, "IP") + transport(fields.transportOffset, fields.transportProtocol, "the")
        if fields.hasQuoted {
            names += header(fields.quotedNetworkOffset, "quoted IP")
            names += transport(fields.quotedTransportOffset, fields.quotedTransportProtocol, "quoted")
        }
        return names
    }
}
