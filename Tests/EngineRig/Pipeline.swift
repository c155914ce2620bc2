import Engine
import Forwarding
import Wire

/// A worker over memory: frames in, frames out, per interface.
package final class Pipeline {
    package var worker: Worker<MemoryFrameIO>
    private let memory: UnsafeMutableRawPointer
    package let counters: UnsafeMutableRawPointer
    package let layout: CounterLayout
    package let neighbours: NeighbourTable
    package let published: PublishedTable
    private let neighbourMemory: UnsafeMutableRawPointer
    private var reader = CounterReader()

    package init(
        _ table: ForwardingTable = FourInterfaces.table, tuning: EngineTuning = EngineTuning()
    ) throws {
        let bytes = try TableCompiler.compile(table, generation: 7)
        memory = .allocate(byteCount: bytes.count, alignment: 64)
        UnsafeMutableRawBufferPointer(start: memory, count: bytes.count).copyBytes(from: bytes)
        let snapshot = try Snapshot(validating: UnsafeRawBufferPointer(start: memory, count: bytes.count))
        layout = CounterLayout(
            workers: 1, interfaces: table.interfaces.count, entries: snapshot.counterCount,
            rules: snapshot.ruleCounterCount)
        counters = .allocate(byteCount: layout.size, alignment: 4_096)
        counters.initializeMemory(as: UInt8.self, repeating: 0, count: layout.size)
        layout.initialize(counters)
        neighbourMemory = .allocate(byteCount: NeighbourTable.memorySize, alignment: 64)
        neighbourMemory.initializeMemory(as: UInt8.self, repeating: 0, count: NeighbourTable.memorySize)
        neighbours = NeighbourTable(memory: neighbourMemory)
        neighbours.initialize()
        published = try PublishedTable(snapshot: snapshot, counters: counters, layout: layout)
        worker = Worker(
            io: MemoryFrameIO(), table: published, neighbours: neighbours, worker: 0, tuning: tuning)
        reader.add(memory: counters, layout: layout)
    }

    deinit {
        memory.deallocate()
        counters.deallocate()
        neighbourMemory.deallocate()
    }

    /// One frame in; all that comes out.
    @discardableResult
    package func send(
        _ frame: [UInt8], on interface: Int, offload: [UInt8] = [UInt8](repeating: 0, count: 10)
    ) -> [MemoryFrameIO.Frame] {
        worker.io.input.append(.init(interface: interface, bytes: offload + frame))
        return turn()
    }

    /// Turns until there is no input left.
    @discardableResult
    package func turn(after seconds: Double = 0) -> [MemoryFrameIO.Frame] {
        worker.io.time += .nanoseconds(Int64(seconds * 1e9))
        repeat { worker.turn(wait: false) } while !worker.io.input.isEmpty
        return worker.io.takeOutput()
    }

    /// The counters of its worker.
    package var block: CounterBlock { CounterBlock(memory: counters, layout: layout, worker: 0) }

    package func drops(_ reason: DropReason) -> UInt64 { reader.drops(reason) }

    package func lastDrop(_ reason: DropReason) -> DroppedFrame? { reader.lastDrop(reason) }

    /// All drops, as `reason:count` in the order of the reasons.
    package var allDrops: String { reader.drops().map { "\($0.reason.name):\($0.frames)" }.joined(separator: " ") }

    package func entry(_ counter: Int) -> TrafficCount { reader.entry(counter) }

    package func rule(_ counter: Int) -> TrafficCount { reader.rule(counter) }

    package func interface(_ index: Int) -> InterfaceCount { reader.interface(index) }

    package var coalesced: UInt64 { reader.coalesced() }

    package var heartbeats: UInt64 { reader.heartbeats() }
}

/// DESIGN's picture: customers, inspection, inspected, servers.
package enum FourInterfaces {
    package static let engine = (0..<4).map { TestFrame.mac(0xE0 + UInt64($0)) }
    package static let alice = TestFrame.mac(0xA1)
    package static let ids = TestFrame.mac(0x1D)
    package static let firewallIn = TestFrame.mac(0xF1)
    package static let firewallOut = TestFrame.mac(0xF2)
    package static let web = TestFrame.mac(0x3B)
    package static let dns = TestFrame.mac(0x53)

    package static let offloadTCPPartial4: [UInt8] = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0]
    package static let offloadTCPPartial6: [UInt8] = [1, 0, 0, 0, 0, 0, 54, 0, 16, 0]
    package static let offloadUDPPartial4: [UInt8] = [1, 0, 0, 0, 0, 0, 34, 0, 6, 0]
    package static let offloadUDPPartial6: [UInt8] = [1, 0, 0, 0, 0, 0, 54, 0, 6, 0]

    package static var table: ForwardingTable {
        let address = TestFrame.address
        let addresses = [
            ["192.0.2.1/24", "2001:db8:2::1/64"], ["198.18.2.1/24"], ["198.18.3.1/24"],
            ["198.18.4.1/24", "2001:db8:4::1/64"],
        ]
        var table = ForwardingTable()
        table.interfaces = (0..<4).map { index in
            TableInterface(
                name: ["customers", "inspection", "inspected", "servers"][index], mac: engine[index],
                mtu: index == 3 ? 1_300 : 1_500, addresses: addresses[index].map { InterfaceAddress($0)! })
        }
        table.sources = [
            KnownSource(interface: 1, mac: ids, node: "ids", system: .passiveApplication),
            KnownSource(interface: 1, mac: firewallIn, node: "fw", system: .inlineApplication),
            KnownSource(interface: 2, mac: firewallOut, node: "fw", system: .inlineApplication),
            KnownSource(interface: 3, mac: web, node: "web", system: .terminalApplication),
            KnownSource(interface: 3, mac: dns, node: "dns", system: .terminalApplication),
        ]
        let ids = SendTarget(interface: 1, address: .mac(ids), system: .passiveApplication)
        var counter = 0
        func add(
            _ name: String, _ kind: EntryKind, _ direction: ChainDirection, on interface: Int, mac: MACAddress? = nil,
            source: IPAddress? = nil, destination: IPAddress? = nil, port: ServicePort = .any,
            rewrite: IPAddress? = nil, to targets: [SendTarget]
        ) {
            table.entries.append(
                Entry(
                    name: name, kind: kind, direction: direction, receivedInterface: interface, sourceMAC: mac,
                    source: source.map { IPPrefix(host: $0) }, destination: destination.map { IPPrefix(host: $0) },
                    servicePort: port, rewriteSource: rewrite, targets: targets, counter: counter))
            counter += 1
        }
        let customer = SendTarget(interface: 0, address: .neighbour(via: nil), system: .customer)
        // Two families beside each other: counters 0…3 and 4…7 for the chain, 8, 9 and 10, 11 for the rewrite.
        for shop in [address("203.0.113.80"), address("2001:db8:cb::80")] {
            let port = ServicePort(protocolNumber: 6, ports: 80...80)
            add(
                "shop.request.customers", .distribution, .request, on: 0, destination: shop, port: port,
                to: [
                    ids, SendTarget(interface: 1, address: .mac(firewallIn), system: .inlineApplication),
                ])
            add(
                "shop.request.fw", .sequencing, .request, on: 2, mac: firewallOut, destination: shop, port: port,
                to: [
                    SendTarget(interface: 3, address: .mac(web), system: .terminalApplication)
                ])
            add(
                "shop.response.web", .sequencing, .response, on: 3, mac: web, source: shop, port: port,
                to: [
                    SendTarget(interface: 2, address: .mac(firewallOut), system: .inlineApplication)
                ])
            add(
                "shop.response.fw", .sequencing, .response, on: 1, mac: firewallIn, source: shop, port: port,
                to: [customer, ids])
            table.claimed.append(ClaimedAddress(interface: 0, prefix: IPPrefix(host: shop)))
        }
        for (service, server) in [("203.0.113.53", "198.18.4.53"), ("2001:db8:cb::53", "2001:db8:4::53")] {
            let port = ServicePort(protocolNumber: nil, ports: 0...65535)
            add(
                "dns.request.customers", .distribution, .request, on: 0, destination: address(service), port: port,
                to: [
                    SendTarget(interface: 3, address: .network(address(server)), system: .terminalApplication)
                ])
            add(
                "dns.response.dns", .sequencing, .response, on: 3, mac: dns, source: address(server), port: port,
                rewrite: address(service), to: [customer])
            table.claimed.append(ClaimedAddress(interface: 0, prefix: IPPrefix(host: address(service))))
            table.neighbours.append(StaticNeighbour(interface: 3, address: address(server), mac: dns))
        }
        // The same server at another port than its services': by its MAC address, and by its own address.
        for (service, server) in [
            ("203.0.113.70", nil), ("2001:db8:cb::70", nil), ("203.0.113.71", "198.18.4.53"),
            ("2001:db8:cb::71", "2001:db8:4::53"),
        ] {
            for number: UInt8 in [6, 17] {
                let shift = PortShift(from: 80, to: 8080)
                add(
                    "moved.request.customers", .distribution, .request, on: 0, destination: address(service),
                    port: ServicePort(protocolNumber: number, ports: 80...80),
                    to: [
                        SendTarget(
                            interface: 3, address: server.map { .network(address($0)) } ?? .mac(dns),
                            system: .terminalApplication, portShift: shift)
                    ])
            }
            table.claimed.append(ClaimedAddress(interface: 0, prefix: IPPrefix(host: address(service))))
        }
        for alice in ["192.0.2.10", "2001:db8:2::10"] {
            table.neighbours.append(StaticNeighbour(interface: 0, address: address(alice), mac: self.alice))
        }
        return table
    }
}
