import Foundation
import Wire

/// Makes MAC addresses and device names that are the same each time the same file is planned under the same name.
package struct GeneratedNames: Sendable {
    private var macs: Set<MACAddress> = []
    private var macOf: [[String]: MACAddress] = [:]
    private var fabricDevices: Set<String> = []
    private var fabricDeviceOf: [[String]: String] = [:]

    /// No names yet.
    package init() {}

    /// 64-bit FNV-1a.
    package static func hash(_ parts: [String]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for part in parts {
            for octet in Array(part.utf8) + [0] {
                hash = (hash ^ UInt64(octet)) &* 0x0000_0100_0000_01B3
            }
        }
        return hash
    }

    /// A MAC address 02:…, locally administered, that no other part of the plan has.
    package mutating func mac(_ parts: [String]) -> MACAddress {
        if let known = macOf[parts] { return known }
        var round = 0
        while true {
            let hash = Self.hash(round == 0 ? parts : parts + [String(round)])
            let mac = MACAddress(bits: 0x0200_0000_0000 | (hash ^ hash >> 40) & 0xFF_FFFF_FFFF)
            if macs.insert(mac).inserted {
                macOf[parts] = mac
                return mac
            }
            round += 1
        }
    }

    /// Device names that every new namespace has, or that mean something else to the kernel.
    private static let reserved: Set<String> = [
        "lo", "all", "default", "bonding_masters", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0",
        "ip6tnl0", "ip6gre0",
    ]

    /// The name of an interface as a device inside a node. It is the name itself if the kernel takes it. Else it is
    /// letters and digits from its beginning, and four digits that stand for all of it.
    ///
    /// - Parameter others: The devices that the node has already.
    package static func device(_ interface: String, besides others: [String] = []) -> String {
        let isOwn =
            (1...15).contains(interface.utf8.count) && reduced(interface) == interface && !reserved.contains(interface)
            && interface.utf8.contains { !(0x30...0x39).contains($0) }
        if isOwn, !others.contains(interface) { return interface }
        var round = 0
        while true {
            let canonical = interface.precomposedStringWithCanonicalMapping
            let digits = String(hash(round == 0 ? [canonical] : [canonical, String(round)]) & 0xFFFF, radix: 16)
            let readable = reduced(interface).prefix(10)
            let device =
                (readable.contains { $0.isLetter } ? readable : "if" + readable.prefix(8)) + "-"
                + String(repeating: "0", count: 4 - digits.count) + digits
            if !others.contains(device) { return device }
            round += 1
        }
    }

    /// The letters, digits, `-` and `_` of ASCII in a text; `-` and `_` not first.
    private static func reduced(_ text: String) -> String {
        let octets = text.utf8.filter {
            DerivedNames.isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
        return String(decoding: octets.drop { !DerivedNames.isAlphanumeric($0) }, as: UTF8.self)
    }

    /// The name of a device in the fabric namespace: its kind, nine digits that stand for its owner, and a readable
    /// name as far as it fits. The rest of the plan does not change it.
    ///
    /// - Parameters:
    ///   - kind: One letter.
    ///   - parts: The names of its owner, the readable one first.
    package mutating func fabricDevice(_ kind: String, _ parts: [String]) -> String {
        let key = [kind] + parts
        if let known = fabricDeviceOf[key] { return known }
        var round = 0
        while true {
            let digits = String(Self.hash(round == 0 ? key : key + [String(round)]), radix: 36).suffix(9)
            let readable = Self.reduced(parts.first ?? "").prefix(4)
            let device =
                kind + String(repeating: "0", count: 9 - digits.count) + digits
                + (readable.isEmpty ? "" : "-\(readable)")
            if fabricDevices.insert(device).inserted {
                fabricDeviceOf[key] = device
                return device
            }
            round += 1
        }
    }

    /// Takes a MAC address over from an earlier plan.
    package mutating func keep(_ mac: MACAddress, _ parts: [String]) {
        if macs.insert(mac).inserted { macOf[parts] = mac }
    }

    /// Takes a device of the fabric namespace over from an earlier plan.
    package mutating func keep(fabricDevice device: String, _ kind: String, _ parts: [String]) {
        if fabricDevices.insert(device).inserted { fabricDeviceOf[[kind] + parts] = device }
    }

    /// The link-local address that the kernel forms from a MAC address (RFC 4291, appendix A).
    package static func linkLocal(_ mac: MACAddress) -> IPAddress {
        let octets = mac.octets.map { UInt64($0) }
        let high = (octets[0] ^ 2) << 56 | octets[1] << 48 | octets[2] << 40
        return IPAddress(
            ipv6High: 0xFE80_0000_0000_0000,
            low: high | 0xFF << 32 | 0xFE << 24 | octets[3] << 16 | octets[4] << 8 | octets[5])
    }
}
