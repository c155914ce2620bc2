import Wire

/// The naive one's complement sum of RFC 1071, word by word, which everything fast is judged by.
func naiveSum(_ bytes: some Sequence<UInt8>) -> UInt16 {
    var sum: UInt32 = 0
    var high: UInt8?
    for octet in bytes {
        if let first = high {
            sum += UInt32(first) << 8 | UInt32(octet)
            sum = (sum & 0xFFFF) + (sum >> 16)
            high = nil
        } else {
            high = octet
        }
    }
    if let high {
        sum += UInt32(high) << 8
        sum = (sum & 0xFFFF) + (sum >> 16)
    }
    return UInt16(sum)
}

func big16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

func octets(_ address: IPAddress) -> [UInt8] {
    let low = (0..<8).map { UInt8(truncatingIfNeeded: address.low >> (56 - 8 * UInt64($0))) }
    let high = (0..<8).map { UInt8(truncatingIfNeeded: address.high >> (56 - 8 * UInt64($0))) }
    return address.family == .ipv4 ? Array(low[4...]) : high + low
}

func ip(_ text: String) -> IPAddress { IPAddress(text)! }
func mac(_ text: String) -> MACAddress { MACAddress(text)! }

/// Reads "45 00 …" or "4500…".
func hex(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// Frames written octet by octet, with naive checksums and none of the code under test.
enum TestFrames {
    static let alice = mac("02:00:00:00:00:0a")
    static let engine = mac("02:00:00:00:00:01")

    static func ethernet(_ type: Int, _ payload: [UInt8], padding: Int = 0) -> [UInt8] {
        engine.octets + alice.octets + big16(type) + payload + [UInt8](repeating: 0xEE, count: padding)
    }

    static func ipv4(
        _ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ payload: [UInt8], ttl: UInt8 = 64,
        options: [UInt8] = [], fragmentWord: Int = 0, id: Int = 7, totalLength: Int? = nil
    ) -> [UInt8] {
        let length = 20 + options.count
        var header: [UInt8] = [UInt8(0x40 | length / 4), 0]
        header += big16(totalLength ?? length + payload.count) + big16(id) + big16(fragmentWord)
        header += [ttl, number, 0, 0] + octets(source) + octets(destination) + options
        header.replaceSubrange(10..<12, with: big16(Int(~naiveSum(header))))
        return header + payload
    }

    static func ipv6(
        _ source: IPAddress, _ destination: IPAddress, _ next: UInt8, _ payload: [UInt8], hopLimit: UInt8 = 64,
        payloadLength: Int? = nil
    ) -> [UInt8] {
        [0x60, 0, 0, 0] + big16(payloadLength ?? payload.count) + [next, hopLimit] + octets(source)
            + octets(destination) + payload
    }

    /// The packet of the addresses' family.
    static func packet(
        _ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ payload: [UInt8]
    ) -> [UInt8] {
        source.family == .ipv4 ? ipv4(source, destination, number, payload) : ipv6(source, destination, number, payload)
    }

    static func frame(
        _ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ payload: [UInt8], padding: Int = 0
    ) -> [UInt8] {
        ethernet(
            source.family == .ipv4 ? 0x0800 : 0x86DD, packet(source, destination, number, payload), padding: padding)
    }

    static func pseudo(_ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ length: Int) -> [UInt8] {
        octets(source) + octets(destination) + [0, number] + big16(length >> 16) + big16(length & 0xFFFF)
    }

    /// The transport segment with its checksum filled in: full, or the pseudo-header's sum.
    static func summed(
        _ segment: [UInt8], at offset: Int, _ number: UInt8, _ source: IPAddress, _ destination: IPAddress,
        _ state: ChecksumState = .full
    ) -> [UInt8] {
        var segment = segment
        segment.replaceSubrange(offset..<offset + 2, with: [0, 0])
        let head = number == 1 ? [] : pseudo(source, destination, number, segment.count)
        var value = state == .full ? ~naiveSum(head + segment) : naiveSum(head)
        if state == .full, value == 0, number == 17 || number == 136 { value = 0xFFFF }
        segment.replaceSubrange(offset..<offset + 2, with: big16(Int(value)))
        return segment
    }

    /// A segment of `number` with the ports and data, checksum filled in where its protocol has one over addresses.
    static func segment(
        _ number: UInt8, _ source: IPAddress, _ destination: IPAddress, ports: (Int, Int) = (40_000, 80),
        data: [UInt8] = [1, 2, 3, 4, 5], _ state: ChecksumState = .full
    ) -> [UInt8] {
        let head = big16(ports.0) + big16(ports.1)
        switch number {
        case 6:
            let rest: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]
            return summed(head + rest + data, at: 16, number, source, destination, state)
        case 17:
            return summed(head + big16(8 + data.count) + [0, 0] + data, at: 6, number, source, destination, state)
        case 136:
            return summed(head + [0, 0, 0, 0] + data, at: 6, number, source, destination, state)
        case 33:
            return summed(head + [3, 0, 0, 0, 0, 0, 0, 1] + data, at: 6, number, source, destination, state)
        case 132:
            return head + [1, 2, 3, 4, 5, 6, 7, 8] + data
        case 1:
            return summed([8, 0, 0, 0, 0x12, 0x34, 0, 1] + data, at: 2, number, source, destination, state)
        case 58:
            return summed([128, 0, 0, 0, 0x12, 0x34, 0, 1] + data, at: 2, number, source, destination, state)
        default:
            return data
        }
    }

    /// A whole frame of one segment.
    static func transport(
        _ number: UInt8, _ source: IPAddress, _ destination: IPAddress, ports: (Int, Int) = (40_000, 80),
        data: [UInt8] = [1, 2, 3, 4, 5], _ state: ChecksumState = .full, padding: Int = 0
    ) -> [UInt8] {
        frame(
            source, destination, number,
            segment(number, source, destination, ports: ports, data: data, state), padding: padding)
    }

    /// An ICMP error frame from `source` to `destination` that quotes the first octets of `quoted`.
    static func error(
        _ source: IPAddress, _ destination: IPAddress, quoting quoted: [UInt8], limit: Int = .max
    ) -> [UInt8] {
        let number: UInt8 = source.family == .ipv4 ? 1 : 58
        let message: [UInt8] = [source.family == .ipv4 ? 3 : 1, 3, 0, 0, 0, 0, 0, 0] + quoted.prefix(limit)
        return frame(
            source, destination, number, summed(message, at: 2, number, source, destination))
    }
}

/// Parses octets that live in an array.
func parsed(_ frame: [UInt8]) -> (ParseVerdict, PacketFields) {
    var fields = PacketFields()
    let verdict = fields.parse(frame.span.bytes)
    return (verdict, fields)
}
