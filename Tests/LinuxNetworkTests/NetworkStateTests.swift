import CLinux
import Foundation
import LinuxNetwork
import Testing
import Wire

extension LinuxTests {
    /// Everything that `ip` can change, told and put back; `ip` is the judge.
    @Test func aNamespaceIsRestoredAsItWas() throws {
        try withNamespaces(2) { namespaces, _ in
            let (a, b) = (namespaces[0], namespaces[1])
            let pair = try a.netlink.createVeth(
                near: LinkSettings(name: "left", mac: MACAddress("02:00:00:00:00:01")),
                far: LinkSettings(name: "right", mac: MACAddress("02:00:00:00:00:02")), in: b)
            try a.netlink.addAddress(LinkAddress(IPAddress("192.0.2.1")!, length: 24), link: pair.near)
            try a.netlink.addAddress(LinkAddress(IPAddress("2001:db8::1")!, length: 64), link: pair.near)
            try a.netlink.addRoute(Route(.everything(.ipv4), gateway: IPAddress("192.0.2.2"), link: pair.near))
            try a.netlink.addRoute(Route(.everything(.ipv6), gateway: IPAddress("2001:db8::2"), link: pair.near))
            try output(
                "ip", "-n", a.name, "route", "add", "10.1.0.0/16", "via", "192.0.2.2", "mtu", "1300", "table", "9")
            try output("ip", "-n", a.name, "rule", "add", "from", "10.0.0.0/8", "table", "9", "priority", "77")
            func shown() throws -> String {
                var text = ""
                for words in [
                    ["addr"], ["route", "show", "table", "all"], ["-6", "route", "show", "table", "all"], ["rule"],
                ] {
                    let lines = try output("ip", ["-n", a.name] + words).split(separator: "\n").map { line in
                        // Who made a link-local address, the kernel or its restorer, is all that may differ.
                        line.split(separator: " ").joined(separator: " ")
                            .replacingOccurrences(of: " proto kernel_ll", with: "")
                            // Whether the kernel has already asked for duplicates is its own time, too.
                            .replacingOccurrences(of: " tentative", with: "")
                    }
                    text += lines.sorted().joined(separator: "\n") + "\n"
                }
                return text
            }
            // The link-local address comes in the kernel's own time.
            for _ in 0..<500 where !(try shown().contains("fe80::ff:fe00:1")) { usleep(20_000) }
            let before = try shown()
            let networkState = try a.netlink.networkState()
            #expect(try networkState.changes(to: a.netlink.networkState()) == [])
            let changes: [([[String]], String)] = [
                ([["route", "del", "default"]], "the route default via 192.0.2.2 on left is gone"),
                ([["route", "del", "192.0.2.0/24"]], "the route 192.0.2.0/24 on left is gone"),
                ([["-6", "route", "del", "default"]], "the route default (IPv6) via 2001:db8::2 on left is gone"),
                (
                    [["route", "add", "10.2.0.0/16", "via", "192.0.2.2"]],
                    "there is a new route 10.2.0.0/16 via 192.0.2.2 on left"
                ),
                (
                    [["route", "del", "10.1.0.0/16", "table", "9"]],
                    "the route 10.1.0.0/16 via 192.0.2.2 in table 9 on left is gone"
                ),
                ([["rule", "del", "priority", "77"]], "the IPv4 rule of priority 77 is gone"),
                ([["addr", "flush", "dev", "left"]], "the address 2001:db8::1/64 on left is gone"),
                ([["addr", "add", "192.0.2.9/24", "dev", "left"]], "there is a new address 192.0.2.9/24 on left"),
                ([["link", "set", "left", "down"]], "the device left is down"),
                ([["link", "set", "left", "mtu", "1400"]], "the MTU of left is 1400, not 1500"),
                (
                    [["link", "set", "left", "address", "02:00:00:00:00:09"]],
                    "the MAC address of left is 02:00:00:00:00:09"
                ),
                (
                    [["link", "set", "left", "down"], ["link", "set", "left", "name", "other"]], "left is called other"
                ),
                (
                    [["link", "add", "x", "type", "bridge"], ["link", "set", "left", "master", "x"]],
                    "left is a port of another"
                ),
            ]
            for (commands, summary) in changes {
                for words in commands { try output("ip", ["-n", a.name] + words) }
                let found = try networkState.changes(to: a.netlink.networkState())
                #expect(found.contains { $0.contains(summary) }, "\(found)")
                #expect(try a.netlink.restore(networkState) == [], "\(summary)")
                let after = Set(try shown().split(separator: "\n")), was = Set(before.split(separator: "\n"))
                #expect(after == was, "\(summary): \(after.subtracting(was)) in place of \(was.subtracting(after))")
            }
            try output("ip", "-n", a.name, "link", "del", "left")
            #expect(try a.netlink.restore(networkState).contains { $0.contains("the device left is gone") })
        }
    }

    /// Both directions, the times' order, the filter, and a frame too long for what is kept.
    @Test func framesThatPassADeviceAreSeen() throws {
        try withNamespaces(2) { namespaces, _ in
            let (a, b) = (namespaces[0], namespaces[1])
            let pair = try a.netlink.createVeth(
                near: LinkSettings(name: "left"), far: LinkSettings(name: "right"), in: b)
            let (here, there) = (IPAddress("192.0.2.1")!, IPAddress("192.0.2.2")!)
            try a.netlink.addAddress(LinkAddress(here, length: 24), link: pair.near)
            try b.netlink.addAddress(LinkAddress(there, length: 24), link: pair.far)
            let all = try PacketSocket(on: "right", in: b, frameLength: 60, room: 64 << 10)
            let word = FrameMatch(.ipv4, protocolNumber: 253, offset: 4, value: 0xCAFE_F00D)
            let some = try PacketSocket(on: "left", in: a, matches: [word], frameLength: 2000, room: 64 << 10)
            func packet(_ payload: [UInt8]) -> [UInt8] {
                let length = 20 + payload.count
                return [
                    0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, 0, 0, 0, 64, 253, 0, 0, 192, 0, 2, 1, 192, 0,
                    2, 2,
                ]
                    + payload
            }
            try a.send(packet([0, 0, 0, 0, 0xCA, 0xFE, 0xF0, 0x0D] + Array(repeating: 1, count: 1000)), to: there)
            try a.send(packet([0, 0, 0, 0, 0xCA, 0xFE, 0xF0, 0x0E]), to: there)
            try a.send(packet([0xCA]), to: there)
            var seen: [(length: Int, kept: Int, out: Bool, time: UInt64)] = []
            var matched: [(length: Int, out: Bool)] = []
            func isThere() -> Bool {
                seen.contains { $0.length == 1042 } && seen.contains { $0.out } && !matched.isEmpty
            }
            for _ in 0..<1_000 where !isThere() {
                usleep(10_000)
                all.drain { seen.append(($0.length, $0.bytes.count, $0.isOutgoing, $0.nanoseconds)) }
                some.drain { matched.append(($0.length, $0.isOutgoing)) }
            }
            #expect(matched.map(\.length) == [1042] && matched.map(\.out) == [true])
            #expect(seen.contains { $0.length == 1042 && $0.kept == 60 && !$0.out })
            #expect(seen.contains { $0.out }, "the answers to ARP and the ICMP error leave by the same device")
            #expect(seen.map(\.time) == seen.map(\.time).sorted())
            let error = systemError { try a.send(packet(Array(repeating: 0, count: 2000)), to: there) }
            #expect(error?.errno == EMSGSIZE)
        }
    }
}

/// What a program printed.
@discardableResult
private func output(_ program: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
}
