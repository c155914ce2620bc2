import Foundation
import LinuxNetwork
import Testing
import Wire

extension LinuxTests {
    /// The kernel answers each change that asks for it, and a socket holds about 250 answers.
    @Test func aBatchOfManyRulesIsCarriedOut() throws {
        try withNamespaces(1) { namespaces, _ in
            var rules = BridgeRules(addressesGroups: true)
            for node in 1...50 {
                for (number, prefix) in ["192.0.2.\(node)", "2001:db8::\(node)"].enumerated() {
                    rules.virtual.append(
                        BridgeRules.VirtualMAC(
                            port: "port\(node)", own: MACAddress(bits: 0x0200_0000_0000 | UInt64(node)),
                            mac: MACAddress(bits: 0x0000_5E00_0100 | UInt64(number << 8 | node)),
                            prefix: try #require(IPPrefix(prefix))))
                }
            }
            let broadcast = try #require(IPAddress("192.0.2.255"))
            rules.broadcasts = [BridgeRules.Broadcast(port: "lan", address: broadcast)]
            try namespaces[0].setBridgeRules(rules)
            let listed = try output("ip", "netns", "exec", namespaces[0].name, "nft", "list", "ruleset")
            #expect(listed.contains("port1\"") && listed.contains("port50\""))
            // On another bridge the address may be a host's.
            let rule = try #require(listed.split(separator: "\n").first { $0.contains("192.0.2.255") })
            #expect(rule.contains("\"lan\""))
            try namespaces[0].setBridgeRules(BridgeRules())
            #expect(try output("ip", "netns", "exec", namespaces[0].name, "nft", "list", "ruleset").isEmpty)
        }
    }
}
