// Addresses as people write them: dotted quads, and RFC 4291 section 2.2 read and RFC 5952 written.

extension IPAddress: CustomStringConvertible, LosslessStringConvertible {
    /// The dotted quad, or the canonical text of RFC 5952.
    public var description: String {
        switch family {
        case .ipv4:
            return (0..<4).map { String(low >> (24 - 8 * UInt64($0)) & 0xFF) }.joined(separator: ".")
        case .ipv6:
            let groups = (0..<8).map { index in
                UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> (48 - 16 * UInt64(index % 4)))
            }
            let gap = Self.longestZeroRun(groups)
            let text = { (groups: ArraySlice<UInt16>) in
                groups.map { String($0, radix: 16) }.joined(separator: ":")
            }
            guard let gap else { return text(groups[...]) }
            return text(groups[..<gap.lowerBound]) + "::" + text(groups[gap.upperBound...])
        }
    }

    /// The first of the longest runs of two or more zero groups, which "::" stands for.
    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
        var best: Range<Int>?
        var start = 0
        while start < groups.count {
            guard groups[start] == 0 else {
                start += 1
                continue
            }
            let end = groups[start...].firstIndex { $0 != 0 } ?? groups.count
            if end - start >= 2, end - start > (best?.count ?? 0) { best = start..<end }
            start = end
        }
        return best
    }

    /// Reads a dotted quad or any form of IPv6 text, without a zone.
    public init?(_ text: String) {
        if text.contains(":") {
            self.init(ipv6Text: text)
        } else {
            guard let bits = Self.dottedQuad(text[...]) else { return nil }
            self.init(ipv4: bits)
        }
    }

    private init?(ipv6Text text: String) {
        var head: [UInt16] = []
        var tail: [UInt16]?
        let halves = text.components(separatedByPair: "::")
        guard halves.count <= 2, halves.count == 1 || !halves[0].contains("."), let first = Self.groups(halves[0])
        else { return nil }
        head = first
        if halves.count == 2 {
            guard let second = Self.groups(halves[1]) else { return nil }
            tail = second
        }
        let written = head.count + (tail?.count ?? 0)
        guard tail == nil ? written == 8 : written <= 7 else { return nil }
        let groups = head + Array(repeating: 0, count: 8 - written) + (tail ?? [])
        let half = { (range: Range<Int>) in groups[range].reduce(UInt64(0)) { $0 << 16 | UInt64($1) } }
        self.init(ipv6High: half(0..<4), low: half(4..<8))
    }

    /// The groups between colons; a dotted quad may stand as the last two.
    private static func groups(_ text: Substring) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains(".") {
                guard let bits = dottedQuad(part) else { return nil }
                groups += [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
            } else {
                guard (1...4).contains(part.utf8.count), part.first != "+", part.first != "-",
                    let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups
    }

    private static func dottedQuad(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
                part.utf8.count == 1 || part.first != "0", let octet = UInt8(part)
            else { return nil }
            bits = bits << 8 | UInt32(octet)
        }
        return bits
    }
}

extension IPPrefix: CustomStringConvertible, LosslessStringConvertible {
    /// The address alone where the prefix is one address, else the address, a slash and the length.
    public var description: String {
        isHost ? address.description : "\(address)/\(length)"
    }

    /// Reads `address` or `address/length`; bits beyond the length must be zero.
    public init?(_ text: String) {
        guard let written = InterfaceAddress(text), written.prefix.address == written.address else { return nil }
        self = written.prefix
    }
}

/// An address together with the prefix of the link that it is on, as in 192.0.2.1/24.
public struct InterfaceAddress: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    /// The host's own address.
    public let address: IPAddress
    /// The number of bits that all hosts of the link share.
    public let length: Int

    /// - Parameter length: 0…32 or 0…128; the whole address where it is left out.
    public init(_ address: IPAddress, length: Int? = nil) {
        self.address = address
        self.length = max(0, min(length ?? address.family.width, address.family.width))
    }

    /// The prefix of the link.
    public var prefix: IPPrefix { IPPrefix(address, length: length) }

    /// The address, a slash and the length.
    public var description: String { "\(address)/\(length)" }

    /// Reads `address/length`, or an address alone, which then is a prefix of its own.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { return nil }
        guard parts.count == 2 else {
            self.init(address)
            return
        }
        guard parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let length = Int(parts[1]),
            length <= address.family.width
        else { return nil }
        self.init(address, length: length)
    }
}

extension String {
    /// The parts around each occurrence of a two-character separator.
    fileprivate func components(separatedByPair separator: String) -> [Substring] {
        var parts: [Substring] = []
        var start = startIndex
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(separator) {
                parts.append(self[start..<index])
                index = self.index(index, offsetBy: 2)
                start = index
            } else {
                index = self.index(after: index)
            }
        }
        return parts + [self[start...]]
    }
}
