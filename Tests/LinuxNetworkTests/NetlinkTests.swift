import CLinux
import Foundation
import LinuxNetwork
import Testing
import Wire

extension LinuxTests {
    @Test func vethAddressesRoutesAndNeighbours() throws {
        try withNamespaces(2) { namespaces, _ in
            let (a, b) = (namespaces[0], namespaces[1])
            let pair = try a.netlink.createVeth(
                near: LinkSettings(
                    name: "left", mac: MACAddress("02:00:00:00:00:01"), mtu: 9000, transmitQueueLength: 2000, mark: "m1"
                ),
                far: LinkSettings(name: "right", mac: MACAddress("02:00:00:00:00:02"), mtu: 9000, mark: "m2"), in: b)
            let near = try a.netlink.existingLink(named: "left")
            #expect(
                near.kind == "veth" && near.mtu == 9000 && near.isUp && near.alias == "m1" && near.index == pair.near)
            #expect(near.mac == MACAddress("02:00:00:00:00:01") && near.transmitQueueLength == 2000)
            let right = try output("ip", "-n", b.name, "-d", "link", "show", "right")
            #expect(right.contains("02:00:00:00:00:02") && right.contains("mtu 9000") && right.contains("alias m2"))
            #expect(right.contains("LOWER_UP"))

            let (v4a, v4b) = (IPAddress("192.0.2.1")!, IPAddress("192.0.2.2")!)
            let (v6a, v6b) = (IPAddress("2001:db8::1")!, IPAddress("2001:db8::2")!)
            try a.netlink.addAddress(LinkAddress(v4a, length: 24), link: pair.near)
            try a.netlink.addAddress(LinkAddress(v6a, length: 64), link: pair.near)
            try b.netlink.addAddress(LinkAddress(v4b, length: 24), link: pair.far)
            try b.netlink.addAddress(LinkAddress(v6b, length: 64), link: pair.far)
            let shown = try output("ip", "-n", a.name, "addr", "show", "left")
            #expect(shown.contains("192.0.2.1/24") && shown.contains("2001:db8::1/64 scope global nodad"))
            #expect(!shown.contains("tentative"))
            #expect(try a.netlink.addresses().contains { $0.link == pair.near && $0.address.address == v6a })

            let n = try a.netlink
            try n.addRoute(Route(.everything(.ipv4), gateway: v4b, link: pair.near, preferredSource: v4a))
            try n.addRoute(Route(.everything(.ipv6), gateway: IPAddress("fe80::1"), link: pair.near))
            try n.addRoute(
                Route(
                    IPPrefix("198.51.100.0/24")!, gateway: IPAddress("203.0.113.9"), link: pair.near,
                    gatewayIsOnLink: true))
            try n.addRoute(Route(IPPrefix("198.51.101.0/24")!, gateway: IPAddress("fe80::1"), link: pair.near))
            try n.addRoute(Route(IPPrefix("203.0.113.0/24")!, link: pair.near, metric: 7))
            try n.addRoute(Route(IPPrefix("192.0.2.128/25")!, link: 1, kind: .local))
            let routes = try output("ip", "-n", a.name, "route")
            #expect(routes.contains("default via 192.0.2.2 dev left proto static src 192.0.2.1"))
            #expect(routes.contains("198.51.100.0/24 via 203.0.113.9 dev left proto static onlink"))
            #expect(routes.contains("198.51.101.0/24 via inet6 fe80::1 dev left"))
            #expect(routes.contains("203.0.113.0/24 dev left proto static scope link metric 7"))
            #expect(try output("ip", "-n", a.name, "-6", "route").contains("default via fe80::1 dev left"))
            #expect(try output("ip", "-n", a.name, "route", "show", "table", "local").contains("local 192.0.2.128/25"))
            #expect(
                try n.routes().contains { $0.destination == .everything(.ipv6) && $0.gateway == IPAddress("fe80::1") })
            try n.deleteRoute(Route(.everything(.ipv4), gateway: v4b, link: pair.near))
            #expect(!(try output("ip", "-n", a.name, "route").contains("default")))

            try n.addNeighbour(v4b, mac: MACAddress("02:00:00:00:00:02")!, link: pair.near)
            try n.addNeighbour(v6b, mac: MACAddress("02:00:00:00:00:02")!, link: pair.near)
            let neighbours = try output("ip", "-n", a.name, "neigh")
            #expect(neighbours.contains("192.0.2.2 dev left lladdr 02:00:00:00:00:02 PERMANENT"))
            #expect(neighbours.contains("2001:db8::2 dev left lladdr 02:00:00:00:00:02 PERMANENT"))
            #expect(
                try output("ip", "netns", "exec", a.name, "ping", "-c1", "-W20", "192.0.2.2").contains("1 received"))
            #expect(
                try output("ip", "netns", "exec", a.name, "ping", "-c1", "-W20", "2001:db8::2").contains("1 received"))

            try n.deleteNeighbour(v4b, link: pair.near)
            try n.deleteAddress(LinkAddress(v4a, length: 24), link: pair.near)
            try n.setLink(index: pair.near, up: false)
            try n.renameLink(index: pair.near, to: "moved")
            try n.moveLink(index: pair.near, to: b, name: "there")
            #expect(try b.netlink.links().contains { $0.name == "there" })
            try b.netlink.deleteLink(index: pair.far)
            #expect(try b.netlink.links().map(\.name) == ["lo"])
        }
    }

    @Test func theKernelsOwnWordsAreInTheError() throws {
        try withNamespaces(1) { namespaces, _ in
            let n = try namespaces[0].netlink
            let address = LinkAddress(IPAddress("192.0.2.1")!, length: 24)
            try n.addAddress(address, link: 1)
            let twice = systemError { try n.addAddress(address, link: 1) }
            #expect(twice?.errno == EEXIST)
            #expect(
                twice?.description
                    == "cannot add the address 192.0.2.1/24 on link 1: File exists (kernel: ipv4: Address already assigned)"
            )
            let far = systemError { try n.addRoute(Route(.everything(.ipv4), gateway: IPAddress("198.51.100.1"))) }
            #expect(far?.errno == ENETUNREACH)
            #expect(far?.kernelMessage == "Nexthop has invalid gateway")
            #expect(
                far?.description
                    == "cannot add the route default via 198.51.100.1: Network is unreachable (kernel: Nexthop has invalid gateway)"
            )
            #expect(systemError { _ = try n.existingLink(named: "none") }?.errno == ENODEV)
            #expect(systemError { _ = try n.createBridge(LinkSettings(name: "a-name-far-too-long")) }?.errno == EINVAL)
            #expect(
                systemError {
                    try n.setLink(index: 1, mtu: 10); try n.setLink(index: 999, mtu: 1)
                }?.errno == ENODEV)
        }
    }

    @Test func aBridgeKeepsItsPortsApart() throws {
        try withNamespaces(3) { namespaces, _ in
            let fabric = namespaces[0]
            let n = try fabric.netlink
            let bridge = try n.createBridge(
                LinkSettings(name: "br0", mac: MACAddress("02:00:00:00:01:00"), mark: "tapline"))
            var pairs: [VethPair] = []
            for number in 1...2 {
                let mac = MACAddress(bits: 0x0200_0000_0000 + UInt64(number))
                let pair = try n.createVeth(
                    near: LinkSettings(name: "port\(number)", master: bridge),
                    far: LinkSettings(name: "eth0", mac: mac), in: namespaces[number])
                try n.setBridgePort(
                    index: pair.near,
                    BridgePortSettings(
                        isolated: true, learning: false, unicastFlood: false, multicastFlood: true, broadcastFlood: true
                    ))
                try n.addForwardingEntry(mac, port: pair.near)
                try namespaces[number].netlink.addAddress(
                    LinkAddress(IPAddress("192.0.2.\(number)")!, length: 24), link: pair.far)
                pairs.append(pair)
            }
            let port = try output("bridge", "-n", fabric.name, "-d", "link", "show", "dev", "port1")
            #expect(port.contains("isolated on") && port.contains("learning off") && port.contains(" flood off"))
            let fdb = try output("bridge", "-n", fabric.name, "fdb", "show", "dev", "port1")
            #expect(fdb.contains("02:00:00:00:00:01 master br0 static"))
            #expect(try output("ip", "-n", fabric.name, "-d", "link", "show", "br0").contains("forward_delay 0"))

            func received(_ count: Int) throws -> Bool {
                try output(
                    "ip", "netns", "exec", namespaces[1].name, "ping", "-c1", count == 0 ? "-W1" : "-W20", "192.0.2.2"
                ).contains("\(count) received")
            }
            #expect(try received(0))
            for pair in pairs { try n.setBridgePort(index: pair.near, BridgePortSettings(isolated: false)) }
            try output("ip", "-n", namespaces[1].name, "neigh", "flush", "all")
            #expect(try received(1))
            // A locked port takes frames from the MAC address behind it, and from no other.
            #expect(try !n.isLockedPort(index: pairs[0].near))
            try n.setBridgePort(index: pairs[0].near, BridgePortSettings(locked: true))
            #expect(try n.isLockedPort(index: pairs[0].near))
            #expect(try received(1))
            try output("ip", "-n", namespaces[1].name, "link", "set", "eth0", "address", "02:00:00:00:00:77")
            try n.addForwardingEntry(MACAddress("02:00:00:00:00:77")!, port: pairs[1].near)
            #expect(try received(0))
            try n.deleteForwardingEntry(MACAddress("02:00:00:00:00:01")!, port: pairs[0].near)
        }
    }

    /// Prints how long 200 nodes take; asserts that they are there.
    @Test func twoHundredNodes() throws {
        try withNamespaces(1) { namespaces, suffix in
            let fabric = namespaces[0]
            let n = try fabric.netlink
            let bridge = try n.createBridge(LinkSettings(name: "br0"))
            var nodes: [NetworkNamespace] = []
            defer { for node in nodes { try? NetworkNamespace.delete(node.name) } }
            let clock = ContinuousClock()
            let time = try clock.measure {
                for number in 0..<200 {
                    let node = try NetworkNamespace.create(
                        "n\(number)-\(suffix)", mark: "tapline many",
                        sysctls: [("net.ipv6.conf.default.accept_dad", "0")])
                    nodes.append(node)
                    let mac = MACAddress(bits: 0x0200_0000_1000 + UInt64(number))
                    let pair = try n.createVeth(
                        near: LinkSettings(name: "p\(number)", mark: "tapline", master: bridge),
                        far: LinkSettings(name: "eth0", mac: mac, mark: "tapline"), in: node)
                    try n.setBridgePort(
                        index: pair.near, BridgePortSettings(isolated: true, learning: false, unicastFlood: false))
                    try n.addForwardingEntry(mac, port: pair.near)
                    let inside = try node.netlink
                    let v4 = IPAddress("10.0.0.2")!.advanced(by: UInt64(number))
                    let v6 = IPAddress("2001:db8::2")!.advanced(by: UInt64(number))
                    try inside.addAddress(LinkAddress(v4, length: 16), link: pair.far)
                    try inside.addAddress(LinkAddress(v6, length: 64), link: pair.far)
                    try inside.addRoute(Route(.everything(.ipv4), gateway: IPAddress("10.0.0.1"), link: pair.far))
                    try inside.addRoute(Route(.everything(.ipv6), gateway: IPAddress("2001:db8::1"), link: pair.far))
                }
            }
            print("200 nodes with veth, addresses and routes: \(time)")
            #expect(try n.links().count == 202)
            #expect(try nodes[199].netlink.routes().contains { $0.destination == .everything(.ipv6) })
        }
    }
}
