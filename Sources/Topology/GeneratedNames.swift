import Wire

/// Makes MAC addresses and device names that are the same each time the same file is planned under the same name.
struct GeneratedNames {
    private var macs: Set<MACAddress> = []

    /// 64-bit FNV-1a.
    static func hash(_ parts: [String]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for part in parts {
            for octet in Array(part.utf8) + [0] {
                hash = (hash ^ UInt64(octet)) &* 0x0000_0100_0000_01B3
            }
        }
        return hash
    }

    /// A MAC address 02:…, locally administered, that no other part of the plan has.
    mutating func mac(_ parts: [String]) -> MACAddress {
        var round = 0
        while true {
            let hash = Self.hash(round == 0 ? parts : parts + [String(round)])
            let mac = MACAddress(bits: 0x0200_0000_0000 | (hash ^ hash >> 40) & 0xFF_FFFF_FFFF)
            if macs.insert(mac).inserted { return mac }
            round += 1
        }
    }

    /// The name of an interface as a device inside a node: the name itself where it is short enough, else its beginning
    /// and four digits that stand for the rest.
    static func device(_ interface: String) -> String {
        let reserved = ["lo", "all", "default"]
        guard interface.utf8.count > 15 || reserved.contains(interface) else { return interface }
        let digits = String(hash([interface]) & 0xFFFF, radix: 16)
        let padded = String(repeating: "0", count: 4 - digits.count) + digits
        return interface.prefix(10) + "-" + padded
    }

    /// A device in the fabric namespace: a short tag that is unique, and as much of a readable name as fits.
    static func fabricDevice(_ tag: String, _ readable: String) -> String {
        String("\(tag)-\(readable)".prefix(15))
    }

    /// The link-local address that the kernel forms from a MAC address (RFC 4291, appendix A).
    static func linkLocal(_ mac: MACAddress) -> IPAddress {
        let octets = mac.octets.map { UInt64($0) }
        let high = (octets[0] ^ 2) << 56 | octets[1] << 48 | octets[2] << 40
        return IPAddress(
            ipv6High: 0xFE80_0000_0000_0000,
            low: high | 0xFF << 32 | 0xFE << 24 | octets[3] << 16 | octets[4] << 8 | octets[5])
    }
}
