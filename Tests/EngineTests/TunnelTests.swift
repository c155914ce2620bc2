import Engine
import EngineRig
import Forwarding
import Testing
import Wire

/// A worker over memory, one of whose interfaces is the underlay of tunnels: what goes in and out of the devices, octet by octet.
final class TunnelPipeline {
    typealias F = TestFrame
    static let underlay = F.mac(0xE0)
    static let router = F.mac(0xEF)
    static let web = F.mac(0x3B)
    static let servers = 1
    static let locals = [F.address("198.18.64.1"), F.address("2001:db8:64::1"), F.address("198.18.64.1")]
    static let peers = [F.address("198.51.100.7"), F.address("2001:db8:100::7"), F.address("198.51.100.9")]

    /// The tunnels to alice's sites, and which of the outer addresses they have. The last has the identifier of the first.
    static let tunnels: [(encapsulation: TunnelEncapsulation, family: Int)] = [
        (TunnelEncapsulation(kind: .vxlan, identifier: 10, port: 4789), 0),
        (TunnelEncapsulation(kind: .vxlan, identifier: 11, port: 4789), 1),
        (TunnelEncapsulation(kind: .geneve, identifier: 12, port: 6081), 0),
        (TunnelEncapsulation(kind: .genericVXLAN, identifier: 13, port: 4790, path: 42, index: 255), 0),
        (TunnelEncapsulation(kind: .ethernet, port: 0, path: 43, index: 2), 0),
        (TunnelEncapsulation(kind: .vxlan, identifier: 10, port: 4789), 2),
    ]

    static func engine(_ tunnel: Int) -> MACAddress { F.mac(0xC0 + UInt64(tunnel)) }
    static func alice(_ tunnel: Int) -> MACAddress { F.mac(0xA0 + UInt64(tunnel)) }
    static func address(_ tunnel: Int) -> String { "192.0.2.\(tunnel * 8 + 2)" }
    static func gateway(_ tunnel: Int) -> String { "192.0.2.\(tunnel * 8 + 1)" }
    static let shop = "203.0.113.80"

    static let table: ForwardingTable = {
        var table = ForwardingTable()
        table.interfaces = [
            TableInterface(
                name: "underlay", mac: underlay,
                addresses: [InterfaceAddress("198.18.64.1/24")!, InterfaceAddress("2001:db8:64::1/64")!]),
            TableInterface(name: "servers", mac: F.mac(0xE1), addresses: [InterfaceAddress("198.18.4.1/24")!]),
        ]
        let prefix = IPPrefix(host: F.address(shop))
        let port = ServicePort(protocolNumber: 6, ports: 80...80)
        table.sources = [KnownSource(interface: servers, mac: web, node: "web", system: .terminalApplication)]
        for (number, (encapsulation, family)) in tunnels.enumerated() {
            let interface = table.interfaces.count
            let isBare = encapsulation.kind == .ethernet
            table.interfaces.append(
                TableInterface(
                    name: family == 2 ? "south" : "\(encapsulation)", mac: engine(number), mtu: 1400,
                    addresses: [InterfaceAddress("\(gateway(number))/29")!],
                    tunnel: TableTunnel(
                        carrier: 0, encapsulation: encapsulation,
                        local: isBare ? IPAddress(ipv4: 0) : locals[family],
                        peer: isBare ? IPAddress(ipv4: 0) : peers[family], nextHop: router)))
            table.claimed.append(ClaimedAddress(interface: interface, prefix: prefix))
            table.neighbours.append(
                StaticNeighbour(interface: interface, address: F.address(address(number)), mac: alice(number)))
            table.sources.append(
                KnownSource(interface: interface, mac: alice(number), node: "alice\(number)", system: .customer))
            table.entries += [
                Entry(
                    name: "request\(number)", kind: .distribution, direction: .request, receivedInterface: interface,
                    sourceMAC: nil, source: nil, destination: prefix, servicePort: port, rewriteSource: nil,
                    targets: [SendTarget(interface: servers, address: .mac(web), system: .terminalApplication)],
                    counter: 2 * number),
                Entry(
                    name: "response\(number)", kind: .sequencing, direction: .response, receivedInterface: servers,
                    sourceMAC: web, source: prefix, destination: IPPrefix(host: F.address(address(number))),
                    servicePort: port, rewriteSource: nil,
                    targets: [SendTarget(interface: interface, address: .neighbour(via: nil), system: .customer)],
                    counter: 2 * number + 1),
            ]
        }
        return table
    }()

    var worker: Worker<TunnelFrameIO<MemoryFrameIO>>
    private var memories: [UnsafeMutableRawPointer] = []
    var reader = CounterReader()

    init(_ table: ForwardingTable = TunnelPipeline.table) throws {
        let bytes = try TableCompiler.compile(table, generation: 7)
        var memories: [UnsafeMutableRawPointer] = []
        func allocate(_ count: Int) -> UnsafeMutableRawPointer {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4_096)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            memories.append(memory)
            return memory
        }
        let memory = allocate(bytes.count)
        UnsafeMutableRawBufferPointer(start: memory, count: bytes.count).copyBytes(from: bytes)
        let snapshot = try Snapshot(validating: UnsafeRawBufferPointer(start: memory, count: bytes.count))
        let layout = CounterLayout(
            workers: 1, interfaces: Self.table.interfaces.count, entries: snapshot.counterCount,
            rules: snapshot.ruleCounterCount)
        let counters = allocate(layout.size)
        layout.initialize(counters)
        let neighbours = NeighbourTable(memory: allocate(NeighbourTable.memorySize))
        neighbours.initialize()
        let published = try PublishedTable(snapshot: snapshot, counters: counters, layout: layout)
        worker = Worker(
            io: TunnelFrameIO(MemoryFrameIO(), table: snapshot), table: published, neighbours: neighbours, worker: 0)
        reader.add(memory: counters, layout: layout)
        self.memories = memories
    }

    deinit { for memory in memories { memory.deallocate() } }

    /// Frames without offload headers; all that comes out.
    func send(_ frames: [[UInt8]], on interface: Int, offload: [UInt8] = none) -> [MemoryFrameIO.Frame] {
        worker.io.base.input += frames.map { .init(interface: interface, bytes: offload + $0) }
        repeat { worker.turn(wait: false) } while !worker.io.base.input.isEmpty
        return worker.io.base.takeOutput()
    }

    static let none = [UInt8](repeating: 0, count: 10)

    var drops: String { reader.drops().map { "\($0.reason.name):\($0.frames)" }.joined(separator: " ") }

    /// What is on the underlay for an inner frame.
    static func wrapped(_ number: Int, _ frame: [UInt8], fromSite: Bool = true) -> [UInt8] {
        let (encapsulation, family) = tunnels[number]
        var sent = encapsulation
        // The far end takes one off the service index.
        if fromSite, sent.hasNSH { sent.index -= 1 }
        let isBare = encapsulation.kind == .ethernet
        let (local, peer) = isBare ? (IPAddress(ipv4: 0), IPAddress(ipv4: 0)) : (locals[family], peers[family])
        let tunnel = Tunnel(
            sent, from: fromSite ? peer : local, to: fromSite ? local : peer, engine: fromSite ? router : underlay,
            nextHop: fromSite ? underlay : router)
        var room = [UInt8](repeating: 0, count: Tunnel.mostOctets)
        let count = room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            return tunnel.write(&target, before: frame.span.bytes, length: frame.count)
        }
        var whole = Array(room[..<count!]) + frame
        whole.withUnsafeMutableBytes { raw in
            var bytes = raw.mutableBytes
            Tunnel.complete(&bytes)
        }
        return whole
    }

    static func ethernet(_ to: MACAddress, _ from: MACAddress, _ packet: [UInt8], type: Int = 0x0800) -> [UInt8] {
        to.octets + from.octets + F.big16(type) + packet
    }

    static func request(_ number: Int, payload: Int = 20) -> [UInt8] {
        ethernet(
            engine(number), alice(number),
            F.tcp(address(number), 4_000, shop, 80, payload: [UInt8](repeating: 7, count: payload)))
    }
}

@Suite struct TunnelTests {
    private typealias P = TunnelPipeline
    private typealias F = TestFrame

    @Test(arguments: TunnelPipeline.tunnels.indices)
    func aRequestLeavesWithoutItsHeadersAndTheAnswerHasThem(_ number: Int) throws {
        let pipeline = try P()
        let request = P.request(number)
        let sent = pipeline.send([P.wrapped(number, request)], on: 0)
        #expect(pipeline.drops == "")
        #expect(sent.map(\.interface) == [P.servers])
        #expect(sent.first.map { Array($0.bytes.dropFirst(24)) } == Array(request[14...]))
        let answer = F.tcp(P.shop, 80, P.address(number), 4_000, payload: [1, 2, 3])
        let back = pipeline.send([P.ethernet(F.mac(0xE1), P.web, answer)], on: P.servers)
        #expect(pipeline.drops == "")
        let inner = P.ethernet(P.alice(number), P.engine(number), answer)
        #expect(back == [.init(interface: 0, bytes: P.none + P.wrapped(number, inner, fromSite: false))])
    }

    /// What an offload header leaves to a device is done before the headers are written.
    @Test(arguments: TunnelPipeline.tunnels.indices) func superframesAreCutAndChecksumsCompleted(_ number: Int) throws {
        let pipeline = try P()
        let payload = (0..<4_000).map { UInt8(truncatingIfNeeded: $0) }
        let answer = F.tcp(P.shop, 80, P.address(number), 4_000, payload: payload, partial: true)
        // NEEDS_CSUM, TCPv4, 54 octets of headers, 1,300 of payload, from octet 34, field at 16.
        let offload: [UInt8] = [1, 1, 54, 0, 0x14, 5, 34, 0, 16, 0]
        let back = pipeline.send(
            [P.ethernet(F.mac(0xE1), P.web, answer)], on: P.servers, offload: offload)
        #expect(pipeline.drops == "")
        #expect(back.count == 4)
        var received: [UInt8] = []
        for (place, piece) in back.enumerated() {
            let size = min(1_300, 4_000 - place * 1_300)
            let packet = Array(piece.bytes.suffix(40 + size))
            let inner = P.ethernet(P.alice(number), P.engine(number), packet)
            #expect(piece == .init(interface: 0, bytes: P.none + P.wrapped(number, inner, fromSite: false)))
            let segment = Array(packet[20...])
            let pseudo = F.pseudo(F.address(P.shop), F.address(P.address(number)), 6, segment.count)
            #expect(F.sum(Array(packet[..<20])) == 0xFFFF && F.sum(pseudo + segment) == 0xFFFF)
            received += segment[20...]
        }
        #expect(received == payload)
    }

    @Test func framesOfSeveralTunnelsInOneBatchKeepTheirOrderInEach() throws {
        let pipeline = try P()
        let order = [0, 2, 0, 1, 2, 0, 3, 4]
        let frames = order.enumerated().map { P.wrapped($1, P.request($1, payload: 20 + $0)) }
        let sent = pipeline.send(frames, on: 0)
        #expect(pipeline.drops == "")
        #expect(sent.map { $0.bytes.count - 10 - 54 - 20 } == [0, 2, 5, 1, 4, 3, 6, 7])
        for (number, packets) in [(0, 3), (1, 1), (2, 2), (3, 1), (4, 1)] {
            #expect(pipeline.reader.interface(2 + number).received.packets == UInt64(packets))
        }
    }

    @Test func whatIsForTheUnderlayItselfIsAnsweredThere() throws {
        let pipeline = try P()
        let echo = F.packet("198.18.64.2", "198.18.64.1", 1, [8, 0, 0xF7, 0xFD, 0, 1, 0, 1])
        let answer = pipeline.send([P.ethernet(P.underlay, P.router, echo)], on: 0)
        #expect(answer.map(\.interface) == [0] && pipeline.drops == "")
    }

    @Test func aFrameOfNoTunnelIsDroppedWithItsReason() throws {
        let pipeline = try P()
        func edited(_ number: Int, _ edit: (inout [UInt8]) -> Void) -> [UInt8] {
            var frame = P.wrapped(number, P.request(number))
            edit(&frame)
            return frame
        }
        /// An IPv4 header's sum after an edit.
        func summed(_ frame: inout [UInt8]) {
            frame[24...25] = [0, 0]
            frame[24...25] = F.big16(~F.sum(Array(frame[14..<34])))[...]
        }
        let nested = P.wrapped(0, P.ethernet(P.engine(0), P.alice(0), Array(P.wrapped(2, P.request(2))[14...])))
        let cases: [(reason: DropReason, frame: [UInt8])] = [
            (.unknownTunnel, edited(0) { $0[48] = 99 }),
            (.unknownTunnel, edited(2) { $0[48] = 99 }),
            (
                .wrongTunnelPeer,
                edited(0) {
                    $0[29] ^= 1; summed(&$0)
                }
            ),
            // The identifier of another tunnel, from a far end that is not its.
            (.wrongTunnelPeer, edited(0) { $0[48] = 11 }),
            (.wrongTunnelPeer, edited(4) { $0[11] ^= 1 }),
            (.badTunnelHeader, edited(0) { $0[42] = 0 }),
            (.badTunnelHeader, edited(2) { $0[43] = 0x40 }),
            (.servicePathEnded, edited(3) { $0[57] = 0 }),
            (.servicePathEnded, edited(4) { $0[21] = 0 }),
            (.wrongServicePath, edited(3) { $0[57] = 255 }),
            (.wrongServicePath, edited(3) { $0[56] = 44 }),
            (.unknownTunnel, edited(4) { $0[20] = 44 }),
            (.badTunnelChecksum, edited(0) { $0[24] ^= 1 }),
            (.badTunnelChecksum, edited(1) { $0[80] ^= 1 }),
            (
                .tunnelFragment,
                edited(0) {
                    $0[20] = 0x20; summed(&$0)
                }
            ),
            (.truncatedTunnel, edited(0) { $0.removeLast(8) }),
            (.truncatedTunnel, edited(4) { $0.removeLast($0.count - 30) }),
            (.nestedTunnel, nested),
            (
                .tunnelCongestion,
                edited(0) {
                    $0[15] = 3; summed(&$0)
                }
            ),
            (.notForUs, edited(0) { $0[5] ^= 1 }),
        ]
        var expected: [DropReason: UInt64] = [:]
        for (place, (reason, frame)) in cases.enumerated() {
            expected[reason, default: 0] += 1
            #expect(pipeline.send([frame], on: 0) == [], "\(place)")
            #expect(pipeline.reader.drops(reason) == expected[reason], "\(place) \(reason): \(pipeline.drops)")
        }
        #expect(pipeline.send([P.wrapped(0, P.request(0))], on: 0, offload: [1, 0, 0, 0, 0, 0, 20, 0, 6, 0]) == [])
        #expect(pipeline.reader.drops(.badOffloadHeader) == 1)
    }

    /// A router of the way says that the outer packet is too big; the server learns what is left inside.
    @Test(arguments: [0, 1, 2, 3, 5]) func anErrorOfTheWayBecomesOneOfTheInnerPacket(_ number: Int) throws {
        let pipeline = try P()
        let answer = F.tcp(P.shop, 80, P.address(number), 4_000, payload: [UInt8](repeating: 9, count: 1_360))
        let inner = P.ethernet(P.alice(number), P.engine(number), answer)
        let outer = P.wrapped(number, inner, fromSite: false)
        let isFour = P.tunnels[number].family != 1
        let quote = Array(outer[14..<14 + 520])
        var message: [UInt8] = isFour ? [3, 4, 0, 0, 0, 0, 5, 0x46] : [2, 0, 0, 0, 0, 0, 5, 0x46]
        message += quote
        let router = isFour ? "198.51.100.1" : "2001:db8:100::1"
        let local = isFour ? "198.18.64.1" : "2001:db8:64::1"
        let pseudo = isFour ? [] : F.pseudo(F.address(router), F.address(local), 58, message.count)
        message[2...3] = F.big16(~F.sum(pseudo + message))[...]
        let packet = F.packet(router, local, isFour ? 1 : 58, message)
        let error = P.ethernet(P.underlay, P.router, packet, type: isFour ? 0x0800 : 0x86DD)
        let sent = pipeline.send([error], on: 0)
        #expect(pipeline.drops == "")
        let frame = try #require(sent.first).bytes
        #expect(sent.count == 1 && sent[0].interface == P.servers)
        #expect(Array(frame[10..<16]) == P.web.octets && Array(frame[44..<46]) == [3, 4])
        let left = 1350 - P.tunnels[number].encapsulation.overhead(isFour ? .ipv4 : .ipv6)
        #expect(Array(frame[50..<52]) == F.big16(left))
        #expect(F.sum(Array(frame[44...])) == 0xFFFF && F.sum(Array(frame[24..<44])) == 0xFFFF)
        #expect(Array(frame[52..<80]) == Array(answer[..<28]))
    }

    @Test func aSnapshotOfBrokenTunnelsIsRefused() throws {
        let bytes = try TableCompiler.compile(TunnelPipeline.table, generation: 7)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        defer { memory.deallocate() }
        let section = Int(bytes.withUnsafeBytes { $0.load(fromByteOffset: 64 + 16 * 33, as: UInt64.self) })
        var refused = 0
        for offset in section..<section + 6 * 128 {
            memory.copyBytes(from: bytes)
            memory[offset] ^= 0x80
            if (try? Snapshot(validating: UnsafeRawBufferPointer(memory))) == nil { refused += 1 }
        }
        // Identifiers and addresses may be others.
        #expect(refused > 400)
    }

    @Test func tablesOfContradictingTunnelsAreNotCompiled() {
        func problems(_ edit: (inout ForwardingTable) -> Void) -> [TableProblem] {
            var table = TunnelPipeline.table
            edit(&table)
            do throws(TableError) {
                _ = try TableCompiler.compile(table, generation: 1)
                return []
            } catch {
                return error.problems
            }
        }
        #expect(problems { _ in } == [])
        let twice = problems { $0.interfaces[3].tunnel = $0.interfaces[2].tunnel }
        #expect(twice == [.tunnel(interface: "vxlan 11", "it receives the frames of vxlan 10")])
        #expect(problems { $0.interfaces[2].tunnel?.carrier = 9 }.count == 1)
        #expect(problems { $0.interfaces[2].tunnel?.carrier = 3 }.count == 1)
        #expect(problems { $0.interfaces[2].tunnel?.peer = F.address("198.18.64.1") }.count == 1)
        #expect(problems { $0.interfaces[2].tunnel?.local = F.address("198.18.64.9") }.count == 1)
        #expect(problems { $0.interfaces[2].mtu = 1451 }.count == 1)
        #expect(problems { $0.interfaces[4].tunnel?.encapsulation.port = 4789 }.count == 2)
    }
}
