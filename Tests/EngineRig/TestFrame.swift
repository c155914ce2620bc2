import Engine
import Wire

/// Builds frames octet by octet, and judges them.
package enum TestFrame {
    package static func mac(_ low: UInt64) -> MACAddress { MACAddress(bits: 0x02_0000_0000_00 | low) }

    package static func address(_ text: String) -> IPAddress { IPAddress(text)! }

    package static func big16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

    package static func octets(_ address: IPAddress) -> [UInt8] {
        let count = address.family == .ipv4 ? 4 : 16
        var bytes: [UInt8] = []
        for index in 0..<count {
            let shift = UInt64(8 * (count - 1 - index))
            bytes.append(UInt8(truncatingIfNeeded: shift >= 64 ? address.high >> (shift - 64) : address.low >> shift))
        }
        return bytes
    }

    /// The plain one's complement sum, two octets at a time.
    package static func sum(_ bytes: [UInt8]) -> Int {
        var total = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            total += Int(bytes[index]) << 8 | (index + 1 < bytes.count ? Int(bytes[index + 1]) : 0)
        }
        while total >> 16 != 0 { total = (total & 0xFFFF) + (total >> 16) }
        return total
    }

    package static func pseudo(_ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ length: Int) -> [UInt8]
    {
        octets(source) + octets(destination) + big16(length >> 16) + big16(length) + [0, number]
    }

    /// An IP packet with its header checksum.
    package static func packet(
        _ source: String, _ destination: String, _ number: UInt8, _ payload: [UInt8], fragmentWord: Int = 0x4000,
        hopLimit: UInt8 = 64, identification: Int = 0x1234
    ) -> [UInt8] {
        let from = address(source)
        let to = address(destination)
        if from.family == .ipv6 {
            return [0x60, 0, 0, 0] + big16(payload.count) + [number, hopLimit] + octets(from) + octets(to) + payload
        }
        var header: [UInt8] =
            [0x45, 0] + big16(20 + payload.count) + big16(identification) + big16(fragmentWord) + [
                hopLimit, number, 0, 0,
            ]
        header += octets(from) + octets(to)
        let checksum = ~sum(header) & 0xFFFF
        header.replaceSubrange(10..<12, with: big16(checksum))
        return header + payload
    }

    /// A transport segment with its checksum filled in, in full or in part.
    package static func transport(
        _ source: String, _ destination: String, _ number: UInt8, _ segment: [UInt8], at field: Int, partial: Bool
    ) -> [UInt8] {
        var segment = segment
        let pseudo = pseudo(address(source), address(destination), number, segment.count)
        segment.replaceSubrange(field..<field + 2, with: [0, 0])
        let checksum = partial ? sum(pseudo) : ~sum(pseudo + segment) & 0xFFFF
        segment.replaceSubrange(field..<field + 2, with: big16(checksum))
        return segment
    }

    package static func udp(
        _ source: String, _ sourcePort: Int, _ destination: String, _ destinationPort: Int,
        payload: [UInt8] = Array("hello".utf8), partial: Bool = false, fragmentWord: Int = 0x4000,
        identification: Int = 0x1234
    ) -> [UInt8] {
        let segment = big16(sourcePort) + big16(destinationPort) + big16(8 + payload.count) + [0, 0] + payload
        return packet(
            source, destination, 17, transport(source, destination, 17, segment, at: 6, partial: partial),
            fragmentWord: fragmentWord, identification: identification)
    }

    package static func tcp(
        _ source: String, _ sourcePort: Int, _ destination: String, _ destinationPort: Int,
        payload: [UInt8] = Array("GET /".utf8), partial: Bool = false, flags: UInt8 = 0x18, sequence: Int = 1,
        identification: Int = 0x1234
    ) -> [UInt8] {
        let numbers = big16(sequence >> 16) + big16(sequence) + [0, 0, 0, 2]
        let segment =
            big16(sourcePort) + big16(destinationPort) + numbers + [0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0] + payload
        return packet(
            source, destination, 6, transport(source, destination, 6, segment, at: 16, partial: partial),
            identification: identification)
    }

    package static func icmp(
        _ source: String, _ destination: String, type: UInt8, code: UInt8 = 0, word: [UInt8] = [0, 1, 0, 1],
        data: [UInt8] = Array("ping".utf8), hopLimit: UInt8 = 64
    ) -> [UInt8] {
        var message = [type, code, 0, 0] + word + data
        let six = address(source).family == .ipv6
        if six {
            message = transport(source, destination, 58, message, at: 2, partial: false)
        } else {
            message.replaceSubrange(2..<4, with: big16(~sum(message) & 0xFFFF))
        }
        return packet(source, destination, six ? 58 : 1, message, hopLimit: hopLimit)
    }

    /// The Ethernet header before a packet.
    package static func frame(_ packet: [UInt8], from source: MACAddress, to destination: MACAddress) -> [UInt8] {
        destination.octets + source.octets + (packet[0] >> 4 == 6 ? [0x86, 0xDD] : [0x08, 0x00]) + packet
    }

    package static func arp(
        _ operation: Int, from source: MACAddress, _ sender: String, to destination: MACAddress, _ target: String,
        senderMAC: MACAddress? = nil
    ) -> [UInt8] {
        var bytes = destination.octets + source.octets + [0x08, 0x06, 0, 1, 8, 0, 6, 4] + big16(operation)
        bytes += (senderMAC ?? source).octets + octets(address(sender))
        return bytes + (operation == 1 ? [0, 0, 0, 0, 0, 0] : destination.octets) + octets(address(target))
    }

    /// The fields of a frame behind its `virtio_net_hdr`.
    package static func read(_ bytes: [UInt8]) -> PacketFields? {
        var fields = PacketFields()
        let verdict = Array(bytes.dropFirst(10)).withUnsafeBytes { fields.parse($0.bytes) }
        return verdict == .packet ? fields : nil
    }

    /// True where the IPv4 header's checksum and the transport's, full or partial as the `virtio_net_hdr` says, are
    /// right; for ICMP errors those of the quoted packet too, where it is quoted whole.
    package static func checksumsAreRight(_ bytes: [UInt8]) -> Bool {
        guard let fields = read(bytes) else { return false }
        let frame = Array(bytes.dropFirst(10))
        return packetIsRight(Array(frame[14..<fields.end]), partial: bytes[0] & 1 == 1)
    }

    private static func packetIsRight(_ packet: [UInt8], partial: Bool) -> Bool {
        let six = packet[0] >> 4 == 6
        let header = six ? 40 : Int(packet[0] & 15) * 4
        if !six {
            guard sum(Array(packet[..<header])) == 0xFFFF else { return false }
            if packet[6] & 0x3F != 0 || packet[7] != 0 { return true }
        }
        let number = six ? packet[6] : packet[9]
        let upper = Array(packet[header...])
        let addresses = six ? Array(packet[8..<40]) : Array(packet[12..<20])
        let pseudo = addresses + big16(upper.count >> 16) + big16(upper.count) + [0, number]
        guard let field = [6: 16, 17: 6, 58: 2, 1: 2][number] else { return true }
        if partial { return Int(upper[field]) << 8 | Int(upper[field + 1]) == sum(pseudo) }
        guard sum((number == 1 ? [] : pseudo) + upper) == 0xFFFF else { return false }
        let isError = number == 1 ? upper[0] == 3 : number == 58 && upper[0] < 128
        guard isError else { return true }
        let quoted = Array(upper[8...])
        let whole =
            quoted[0] >> 4 == 6 ? 40 + Int(quoted[4]) << 8 + Int(quoted[5]) : Int(quoted[2]) << 8 + Int(quoted[3])
        return whole > quoted.count || packetIsRight(Array(quoted[..<whole]), partial: false)
    }
}
