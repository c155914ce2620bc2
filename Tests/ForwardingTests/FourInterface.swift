import Forwarding
import Wire

/// The picture that every example comes back to, by hand: two customers, an IDS and a firewall that two services
/// share, and a server for each.
enum FourInterface {
    static let customers = 0
    static let inspection = 1
    static let inspected = 2
    static let servers = 3

    static let alice = mac("02:00:00:00:00:0a")
    static let bob = mac("02:00:00:00:00:0b")
    static let stranger = mac("02:00:00:00:00:ee")
    static let ids = mac("02:00:00:00:01:01")
    static let firewallIn = mac("02:00:00:00:01:02")
    static let firewallOut = mac("02:00:00:00:02:02")
    static let web = mac("02:00:00:00:03:01")
    static let mail = mac("02:00:00:00:03:02")

    static let shop4 = "203.0.113.80"
    static let shop6 = "2001:db8:80::1"
    static let post4 = "203.0.113.25"

    static let interfaces = [
        TableInterface(
            name: "customers", mac: mac("02:00:00:00:00:f0"), mtu: 1500,
            addresses: [InterfaceAddress("192.0.2.1/24")!, InterfaceAddress("2001:db8:2::1/64")!]),
        TableInterface(
            name: "inspection", mac: mac("02:00:00:00:00:f1"), mtu: 9000,
            addresses: [InterfaceAddress("198.18.2.1/24")!]),
        TableInterface(
            name: "inspected", mac: mac("02:00:00:00:00:f2"), aliases: [mac("02:00:00:00:02:fe")], mtu: 9000,
            addresses: [InterfaceAddress("198.18.3.1/24")!]),
        TableInterface(
            name: "servers", mac: mac("02:00:00:00:00:f3"), mtu: 9000,
            addresses: [InterfaceAddress("198.18.4.1/24")!]),
    ]

    /// The four entries of a service, once for each service port: request and response, on both sides of the firewall.
    static func service(
        _ name: String, _ serviceAddress: String, _ ports: [ServicePort], server: MACAddress, counter: Int
    ) -> [Entry] {
        let service = IPPrefix(host: address(serviceAddress))
        var entries: [Entry] = []
        for port in ports {
            let first = counter + entries.count
            entries += [
                Entry(
                    name: "\(name).request.customers", kind: .distribution, direction: .request,
                    receivedInterface: customers, destination: service, servicePort: port,
                    targets: [
                        SendTarget(interface: inspection, address: .mac(ids), system: .passiveApplication),
                        SendTarget(interface: inspection, address: .mac(firewallIn), system: .inlineApplication),
                    ], counter: first),
                Entry(
                    name: "\(name).request.firewall", kind: .sequencing, direction: .request,
                    receivedInterface: inspected, sourceMAC: firewallOut, destination: service, servicePort: port,
                    targets: [SendTarget(interface: servers, address: .mac(server), system: .terminalApplication)],
                    counter: first + 1),
                Entry(
                    name: "\(name).response.server", kind: .sequencing, direction: .response,
                    receivedInterface: servers, sourceMAC: server, source: service, servicePort: port,
                    targets: [SendTarget(interface: inspected, address: .mac(firewallOut), system: .inlineApplication)],
                    counter: first + 2),
                Entry(
                    name: "\(name).response.firewall", kind: .sequencing, direction: .response,
                    receivedInterface: inspection, sourceMAC: firewallIn, source: service, servicePort: port,
                    targets: [
                        SendTarget(interface: customers, address: .neighbour(via: nil), system: .customer),
                        SendTarget(interface: inspection, address: .mac(ids), system: .passiveApplication),
                    ], counter: first + 3),
            ]
        }
        return entries
    }

    static let table: ForwardingTable = {
        var entries = service("shop", shop4, [.tcp(80), ServicePort(protocolNumber: icmp)], server: web, counter: 0)
        entries += service(
            "shop6", shop6, [.tcp(80), ServicePort(protocolNumber: icmp6)], server: web, counter: entries.count)
        entries += service(
            "post", post4, [.tcp(25), ServicePort(protocolNumber: icmp)], server: mail, counter: entries.count)
        return ForwardingTable(
            interfaces: interfaces, entries: entries,
            neighbours: [
                StaticNeighbour(interface: customers, address: address("192.0.2.10"), mac: alice),
                StaticNeighbour(interface: customers, address: address("2001:db8:2::10"), mac: alice),
            ],
            sources: [
                KnownSource(interface: customers, mac: alice, node: "alice", system: .customer),
                KnownSource(interface: customers, mac: bob, node: "bob", system: .customer),
                KnownSource(interface: inspection, mac: ids, node: "ids", system: .passiveApplication),
                KnownSource(interface: inspection, mac: firewallIn, node: "firewall", system: .inlineApplication),
                KnownSource(interface: inspected, mac: firewallOut, node: "firewall", system: .inlineApplication),
                KnownSource(interface: servers, mac: web, node: "web", system: .terminalApplication),
                KnownSource(interface: servers, mac: mail, node: "mail", system: .terminalApplication),
            ],
            claimed: [shop4, shop6, post4].map {
                ClaimedAddress(interface: customers, prefix: IPPrefix(host: address($0)))
            })
    }()
}
