import CLinux
import CNetlink
import Foundation
import Synchronization
import Testing
import Wire

@testable import LinuxNetwork

/// Changes addresses of lo while they are listed: one change for each `permit`, a moment after it.
private final class AddressChurn: Sendable {
    private let namespace: NetworkNamespace
    private let isPermitted = Mutex(false)
    private let isOver = Mutex(false)
    private let hasEnded = DispatchSemaphore(value: 0)

    init(in namespace: NetworkNamespace) throws {
        self.namespace = namespace
        let netlink = try namespace.perform { () throws(SystemError) in try NetlinkSocket() }
        Thread.detachNewThread { [self] in
            let address = LinkAddress(IPAddress("203.0.113.1")!, length: 32)
            while !isOver.withLock({ $0 }) {
                guard isPermitted.withLock({ permitted in exchange(&permitted, with: false) }) else {
                    usleep(20)
                    continue
                }
                usleep(.random(in: 0..<3_000))
                try? netlink.addAddress(address, link: 1)
                try? netlink.deleteAddress(address, link: 1)
            }
            hasEnded.signal()
        }
    }

    func permit() { isPermitted.withLock { $0 = true } }

    func end() {
        isOver.withLock { $0 = true }
        hasEnded.wait()
        hasEnded.signal()
    }
}

private func exchange<Value>(_ value: inout Value, with new: Value) -> Value {
    defer { value = new }
    return value
}

/// Octets of this process that are in memory.
private func residentOctets() throws -> Int {
    let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")[1]
    return Int(pages)! * Int(getpagesize())
}

extension LinuxTests {
    /// 3,000 addresses take several of the kernel's messages, so a change comes between two of them.
    private func withManyAddresses(_ body: (NetworkNamespace, [IPAddress], AddressChurn) throws -> Void) throws {
        try withNamespaces(1) { namespaces, _ in
            let netlink = try namespaces[0].netlink
            let addresses = (1...3_000).map { IPAddress("10.0.0.0")!.advanced(by: $0) }
            for address in addresses { try netlink.addAddress(LinkAddress(address, length: 32), link: 1) }
            let churn = try AddressChurn(in: namespaces[0])
            defer { churn.end() }
            try body(namespaces[0], addresses, churn)
        }
    }

    @Test func anInterruptedDumpIsRepeated() throws {
        try withManyAddresses { namespace, addresses, churn in
            let netlink = try namespace.perform { () throws(SystemError) in try NetlinkSocket() }
            for _ in 0..<3_000 where netlink.repeatedDumps == 0 {
                churn.permit()
                let listed = try netlink.addresses().map(\.address.address).filter { $0.description.hasPrefix("10.") }
                #expect(listed == addresses)
            }
            #expect(netlink.repeatedDumps > 0)
        }
    }

    @Test func aDumpIsNotRepeatedForEver() throws {
        try withManyAddresses { namespace, _, churn in
            let netlink = try namespace.perform { () throws(SystemError) in try NetlinkSocket(dumpAttempts: 1) }
            var failure: SystemError?
            for _ in 0..<3_000 where failure == nil {
                churn.permit()
                failure = systemError { _ = try netlink.addresses() }
            }
            #expect(failure?.description == "cannot list the addresses: Interrupted system call")
            // The socket goes on: what was left of that dump is no answer to the next request.
            churn.end()
            #expect(try netlink.links().map(\.name) == ["lo"])
            #expect(try netlink.addresses().count > 3_000)
        }
    }

    @Test func theKernelsWordsAboutADumpAreInTheError() throws {
        try withNamespaces(1) { namespaces, _ in
            let netlink = try namespaces[0].netlink
            let refused = systemError {
                try netlink.request(
                    "list the addresses", "of a scope",
                    { () throws(NetlinkFailure) in
                        var header = ifaddrmsg()
                        (header.ifa_family, header.ifa_scope) = (UInt8(AF_INET), 5)
                        return try .dump(Int(RTM_GETADDR), header)
                    })
            }
            #expect(refused?.errno == EINVAL)
            #expect(refused?.kernelMessage?.contains("Invalid values in header") == true)
            #expect(try netlink.addresses().allSatisfy { $0.link == 1 })
        }
    }

    @Test func whatAMessageCannotHoldIsRefused() throws {
        try withNamespaces(1) { namespaces, _ in
            let netlink = try namespaces[0].netlink
            let mark = try namespaces[0].mark
            // libnl's message has no room for this one, and the kernel no place for the next.
            let endless = systemError { try netlink.setLink(index: 1, mark: String(repeating: "m", count: 5_000)) }
            #expect(endless?.description == "cannot mark the link number 1: Message too long")
            let long = systemError { try netlink.setLink(index: 1, mark: String(repeating: "m", count: 300)) }
            #expect(long?.errno == ERANGE && long?.kernelMessage != nil)
            #expect(try namespaces[0].mark == mark)
            try netlink.setLink(index: 1, mark: String(repeating: "m", count: 254))
            #expect(try namespaces[0].mark?.utf8.count == 254)
            #expect(systemError { try netlink.renameLink(index: 1, to: "a-name-too-long-") }?.errno == ERANGE)

            let message = try NetlinkMessage(Int(RTM_SETLINK), flags: 0)
            var failure: NetlinkFailure?
            for _ in 0..<10_000 where failure == nil {
                do throws(NetlinkFailure) { try message.put(1, UInt32(0)) } catch { failure = error }
            }
            #expect(failure == NetlinkFailure(errno: EMSGSIZE))
        }
    }

    /// libnl reads what kinds say of their devices: none of them is one that it cannot read.
    @Test func devicesOfEveryKindAreListed() throws {
        try withNamespaces(1) { namespaces, _ in
            let name = namespaces[0].name
            try output("ip", "-n", name, "link", "add", "base", "type", "veth", "peer", "name", "other")
            // What this machine's kernel has not is not made.
            for kind in [
                "bridge", "ifb", "dummy", "macvlan", "macvtap", "ipvlan", "vxlan id 7 dstport 4789",
                "gre remote 192.0.2.1", "ipip remote 192.0.2.1", "sit remote 192.0.2.1", "vlan id 9", "vrf table 9",
                "geneve id 7 remote 192.0.2.1", "wireguard", "bond",
            ] {
                let words = kind.split(separator: " ").map(String.init)
                let onBase = ["macvlan", "macvtap", "ipvlan", "vxlan", "vlan"].contains(words[0])
                try output(
                    "sh", "-c",
                    "ip -n \(name) link add \(onBase ? "link base " : "")k-\(words[0]) type \(kind)")
            }
            let listed = try namespaces[0].netlink.links()
            let shown = try output("ip", "-n", name, "-o", "link").split(separator: "\n").map { line in
                String(line.split(separator: ":")[1].split(separator: "@")[0].dropFirst())
            }
            #expect(listed.map(\.name) == shown && listed.contains { $0.kind == "macvlan" })
            print("listed: \(shown.joined(separator: " "))")
        }
    }

    @Test func aNestIsWrittenOnOnlyAtTheEnd() throws {
        let message = try NetlinkMessage.dump(Int(RTM_GETLINK), ifinfomsg())
        try message.nest(Int(IFLA_LINKINFO)) { () throws(NetlinkFailure) in try message.put(1, UInt8(1)) }
        try message.nest(Int(IFLA_LINKINFO)) { () throws(NetlinkFailure) in try message.put(2, UInt8(2)) }
        let reply = NetlinkReply(message.pointer)
        #expect(reply.octet(at: [Int32(IFLA_LINKINFO), 1]) == 1)
        #expect(reply.octet(at: [Int32(IFLA_LINKINFO), 2]) == 2)
        #expect(reply.octet(at: [Int32(IFLA_LINKINFO), 3]) == nil)
        try message.put(Int(IFLA_MTU), UInt32(1_500))
        #expect(throws: NetlinkFailure(errno: EINVAL)) {
            try message.nest(Int(IFLA_LINKINFO)) { () throws(NetlinkFailure) in try message.put(3, UInt8(3)) }
        }
        withExtendedLifetime(message) {}
    }

    /// libnl has port numbers for 1,024 sockets of a process.
    @Test func thereIsNoEndOfSockets() throws {
        var limit = rlimit()
        #expect(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        let before = limit
        limit.rlim_cur = min(limit.rlim_max, 4_096)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        defer {
            limit = before
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        try withNamespaces(1) { namespaces, _ in
            let sockets = try namespaces[0].perform { () throws(SystemError) in
                var sockets: [NetlinkSocket] = []
                for _ in 0..<1_100 { sockets.append(try NetlinkSocket()) }
                return sockets
            }
            #expect(Set(sockets.map(\.port)).count == 1_100)
            for socket in sockets { #expect(try socket.link(index: 1)?.name == "lo") }
        }
    }

    @Test func aWatchHearsOfLinksAndOfWhatItMissed() throws {
        try withNamespaces(1) { namespaces, _ in
            let netlink = try namespaces[0].netlink
            let watch = try LinkWatch(in: namespaces[0])
            var (links, gone, hasLost): ([Link], [Int32], Bool) = ([], [], false)
            func drain() {
                (links, gone, hasLost) = ([], [], false)
                watch.drain { change in
                    switch change {
                    case .present(let link): links.append(link)
                    case .gone(let index): gone.append(index)
                    case .lost: hasLost = true
                    }
                }
            }
            drain()
            #expect(links.isEmpty && gone.isEmpty && !hasLost)
            let bridge = try netlink.createBridge(LinkSettings(name: "br0", mtu: 1_400))
            drain()
            #expect(links.last.map { $0.name == "br0" && $0.mtu == 1_400 && $0.kind == "bridge" } == true)
            try netlink.deleteLink(index: bridge)
            drain()
            #expect(gone.contains(bridge))
            for number in 0..<20_000 { try netlink.setLink(index: 1, mtu: 2_000 + number % 2) }
            drain()
            #expect(hasLost)
            try netlink.setLink(index: 1, mtu: 3_000)
            drain()
            #expect(links.last?.mtu == 3_000 && !hasLost)
        }
    }

    @Test func objectsAndMessagesLeaveNothingInMemory() throws {
        try withNamespaces(2) { namespaces, _ in
            let (near, far) = (namespaces[0], namespaces[1])
            let netlink = try near.netlink
            let bridge = try netlink.createBridge(LinkSettings(name: "br0"))
            let (here, mac) = (IPAddress("192.0.2.1")!, MACAddress("02:00:00:00:00:07")!)
            let route = Route(IPPrefix("198.51.100.0/24")!, gateway: IPAddress("192.0.2.9"), link: bridge)
            func round() throws {
                try netlink.addAddress(LinkAddress(here, length: 24), link: bridge)
                try netlink.addRoute(route)
                try netlink.addNeighbour(IPAddress("192.0.2.9")!, mac: mac, link: bridge)
                #expect(systemError { try netlink.addRoute(route) }?.errno == EEXIST)
                let mark = String(repeating: "m", count: 5_000)
                #expect(systemError { try netlink.setLink(index: 1, mark: mark) }?.errno == EMSGSIZE)
                #expect(try netlink.links().count == 2 && netlink.routes().contains { $0.gateway == route.gateway })
                #expect(try netlink.addresses().contains { $0.address.address == here })
                #expect(try netlink.counters()["br0"] != nil && netlink.counters(index: bridge) != nil)
                #expect(try !netlink.networkState().records.isEmpty && netlink.link(named: "none") == nil)
                try netlink.deleteNeighbour(IPAddress("192.0.2.9")!, link: bridge)
                try netlink.deleteRoute(route)
                try netlink.deleteAddress(LinkAddress(here, length: 24), link: bridge)
            }
            func pair() throws {
                let pair = try netlink.createVeth(
                    near: LinkSettings(name: "near", mark: "m", master: bridge),
                    far: LinkSettings(name: "far", mac: mac, mark: "m"), in: far)
                try netlink.setBridgePort(index: pair.near, BridgePortSettings(isolated: true, learning: false))
                try netlink.addForwardingEntry(mac, port: pair.near)
                #expect(try netlink.isLockedPort(index: pair.near) == false)
                try netlink.deleteLink(index: pair.near)
                _ = try near.perform { () throws(SystemError) in try NetlinkSocket() }.link(index: 1)
            }
            for _ in 0..<100 { try round() }
            for _ in 0..<10 { try pair() }
            let before = try residentOctets()
            for _ in 0..<3_000 { try round() }
            for _ in 0..<60 { try pair() }
            // A message takes up to 4 KiB, a link 1 KiB, an address 64 octets: what each round leaves of a kind shows.
            let more = try residentOctets() - before
            print("memory after 3,000 rounds: \(more / 1024) KiB more")
            #expect(more < 1 << 19)
        }
    }
}
