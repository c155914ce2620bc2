import Wire

/// How the values of a counted part go on from one copy to the next.
enum Counting {
    /// The next address: of a node.
    case hosts
    /// The next network of the same length; of an address without a length the next address.
    case networks
    /// The next port, where the text ends in `+`: `tcp/8000+`, also on both sides of an arrow: `tcp/8000+ -> 9000+`.
    case ports

    /// The text of the copy that comes `offset` copies after the first.
    ///
    /// - Returns: The text as it is if it is no such value, which the reader reports; nil if there are no more such values.
    func text(_ text: String, advancedBy offset: Int) -> String? {
        switch self {
        case .ports: port(text, offset)
        case .hosts, .networks: address(text, offset)
        }
    }

    /// Where the values of a text end, for messages: "the network 192.0.2.0/28 ends at 192.0.2.14".
    func end(of text: String) -> String {
        if self == .ports { return "ports end at 65535" }
        guard self == .hosts, text.contains("/"), let written = InterfaceAddress(text) else {
            return "the addresses end there"
        }
        return "the network \(written.prefix) ends at \(Self.last(of: written))"
    }

    /// The last address that a host can have in a network.
    private static func last(of written: InterfaceAddress) -> IPAddress {
        let (prefix, hostBits) = (written.prefix, written.address.family.width - written.length)
        let first = UInt128(prefix.address.high) << 64 | UInt128(prefix.address.low)
        let all = hostBits == 128 ? UInt128.max : (1 << UInt128(hostBits)) - 1
        let last = first + all - (prefix.family == .ipv4 && hostBits > 1 ? 1 : 0)
        return IPAddress(
            family: prefix.family, high: UInt64(truncatingIfNeeded: last >> 64), low: UInt64(truncatingIfNeeded: last))
    }

    private func address(_ text: String, _ offset: Int) -> String? {
        guard let written = InterfaceAddress(text) else { return text }
        let (address, length, width) = (written.address, written.length, written.address.family.width)
        let step = self == .networks ? width - length : 0
        guard step < width, offset > 0 else { return offset == 0 ? text : nil }
        let value = UInt128(address.high) << 64 | UInt128(address.low)
        let (sum, overflows) = value.addingReportingOverflow(UInt128(offset) << UInt128(step))
        guard !overflows, width == 128 || sum <= UInt32.max else { return nil }
        let next = IPAddress(
            family: address.family, high: UInt64(truncatingIfNeeded: sum >> 64), low: UInt64(truncatingIfNeeded: sum))
        let hasLength = text.contains("/")
        // The copies of a node stay on its link, below the broadcast address.
        if self == .hosts, hasLength, !written.prefix.contains(next) || Self.last(of: written) < next { return nil }
        return hasLength ? "\(next)/\(length)" : "\(next)"
    }

    private func port(_ text: String, _ offset: Int) -> String? {
        var counted = ""
        var rest = text[...]
        while let mark = rest.firstIndex(of: "+") {
            let digits = rest[..<mark].reversed().prefix { ("0"..."9").contains($0) }
            let start = rest.index(mark, offsetBy: -digits.count)
            guard let port = Int(rest[start..<mark]) else { return text }
            guard port + offset <= 65_535 else { return nil }
            counted += "\(rest[..<start])\(port + offset)"
            rest = rest[rest.index(after: mark)...]
        }
        return counted + rest
    }
}
