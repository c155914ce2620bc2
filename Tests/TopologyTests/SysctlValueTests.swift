import Plan
import Testing
import TopologyFiles

/// A sysctl that holds numbers gets numbers that the kernel takes.
@Suite struct SysctlValueTests {
    private func file(_ setting: String) -> String {
        picture.replacing("attach: servers }", with: "attach: servers, sysctls: { \(setting) } }")
    }

    @Test(arguments: [
        "net.ipv4.ip_forward: 1", "net.ipv4.ip_forward: 0x1", "net.ipv4.ip_forward: \" 010 \"",
        "net.ipv4.conf.all.rp_filter: -1", "net.ipv4.ip_default_ttl: 255", "net.ipv4.conf.servers.rp_filter: 2",
        "net.ipv4.tcp_rmem: 4096 131072 33554432", "net.ipv4.tcp_rmem: 4096", "net.ipv4.ping_group_range: 1 0",
        "net.ipv4.ip_local_port_range: \"1024\t65535\"", "net.ipv4.tcp_congestion_control: reno",
        "net.ipv4.ip_local_reserved_ports: \"80,90-100\"", "net.ipv6.icmp.ratemask: \"0-1,3-127\"",
        "net.ipv4.tcp_fin_timeout: 60", "net.ipv4.ipfrag_high_thresh: 4294967296",
    ])
    func isTaken(_ setting: String) {
        #expect(problems(file(setting)).isEmpty, "\(problems(file(setting)).map(\.summary))")
    }

    @Test(arguments: [
        ("net.ipv4.ip_forward: true", "is \"true\", but holds a number"),
        ("net.ipv4.ip_forward: 1.5", "is \"1.5\", but holds a number"),
        ("net.ipv4.ip_forward: 08", "is \"08\", but holds a number"),
        ("net.ipv4.ip_forward: \"+1\"", "is \"+1\", but holds a number"),
        ("net.ipv4.ip_forward: \"1 2\"", "has 2 values, but holds a number"),
        ("net.ipv4.ip_forward: 2147483648", "is 2147483648, but the kernel takes -2147483648 to 2147483647"),
        ("net.ipv4.ip_forward: 99999999999999999999", "is 99999999999999999999, but the kernel takes"),
        ("net.ipv4.conf.all.rp_filter: strict", "is \"strict\", but holds a number"),
        ("net.ipv6.conf.default.mtu: 1279", "is 1279, but the kernel takes 1280 to 2147483647"),
        ("net.ipv4.tcp_syn_retries: 0", "is 0, but the kernel takes 1 to 127"),
        ("net.ipv4.tcp_sack: -1", "is -1, but the kernel takes 0 to 255"),
        ("net.ipv4.tcp_ecn: 256", "is 256, but the kernel takes 0 to 2"),
        ("net.ipv4.tcp_rmem: 4096 many 1", "is \"many\", but holds 3 numbers"),
        ("net.ipv4.tcp_rmem: 1 2 3 4", "has 4 values, but holds 3 numbers"),
        ("net.ipv4.ip_local_port_range: 1024", "is no range of ports"),
        ("net.ipv4.ip_local_port_range: 1024-65535", "is \"1024-65535\", but holds 2 numbers"),
        ("net.netfilter.nf_conntrack_tcp_timeout_established: 1d", "is \"1d\", but holds a number"),
    ])
    func isRefused(_ setting: String, _ message: String) {
        let found = problems(file(setting))
        #expect(found.count == 1 && found.first?.message.contains(message) == true, "\(found.map(\.summary))")
        #expect(found.first?.hint != nil && found.first?.line == 13)
    }

    /// A later kernel may know the number.
    @Test func aNumberBeyondAnEnumerationIsRemarkedOn() throws {
        let remarks = try plan(file("net.ipv4.tcp_ecn: 9")).remarks
        #expect(
            remarks.map(\.message) == ["\"net.ipv4.tcp_ecn\" is 9, but the kernel takes 0 to 2"],
            "\(remarks.map(\.summary))")
    }

    @Test(arguments: [
        ("user: \"-1\"", "`user` is \"-1\""), ("user: 70000000000", "`user` is \"70000000000\""),
        ("user: \"+5\"", "`user` is \"+5\""), ("user: 0x10", "`user` is \"0x10\""), ("user: 1.5", "`user` is \"1.5\""),
        ("user: -proxy", "`user` is \"-proxy\""), ("user: 7, group: \"-1\"", "`group` is \"-1\""),
        ("files: { a: { text: x, owner: 4294967295 } }", "no user is \"4294967295\""),
        ("files: { a: { text: x, owner: \"7:-1\" } }", "no group is \"-1\""),
    ])
    func noAccountIs(_ keys: String, _ message: String) {
        let found = problems(picture.replacing("attach: servers }", with: "attach: servers, run: exec x, \(keys) }"))
        #expect(found.count == 1 && found.first?.message.contains(message) == true, "\(found.map(\.summary))")
        #expect(found.first?.hint?.contains("number") == true)
    }
}
