import Engine
import EngineRig
import Forwarding
import Testing
import Wire

/// A worker over memory whose interfaces carry circuits: what goes in and out of the devices, octet by octet.
private final class CircuitPipeline {
    typealias F = TestFrame
    static let access = F.mac(0xE0)
    static let web = F.mac(0x3B)
    static let servers = 1

    /// The encapsulations of alice's circuits, each on one of the devices: 0 Ethernet, 2 frame relay, 3 ATM.
    static let circuits: [(carrier: Int, encapsulation: Encapsulation)] = {
        func make(_ edit: (inout Encapsulation) -> Void) -> Encapsulation {
            var encapsulation = Encapsulation()
            edit(&encapsulation)
            return encapsulation
        }
        func labels(_ label: Int, _ payload: Encapsulation.Payload) -> Encapsulation {
            make {
                $0.labelsIn = LabelStack([label])!
                $0.labelsOut = LabelStack([label])!
                $0.payload = payload
            }
        }
        return [
            (0, make { $0.tags = [100] }), (0, make { $0.tags = [100, 200] }), (0, labels(16001, .packets)),
            (0, labels(16002, .ethernet)), (0, labels(16003, .frameRelay)), (0, labels(16004, .llc)),
            (0, labels(16005, .multiplexed)),
            (2, make { ($0.payload, $0.dlci) = (.frameRelay, 100) }),
            (3, make { ($0.payload, $0.path, $0.channel) = (.llc, 1, 100) }),
            (3, make { ($0.payload, $0.path, $0.channel) = (.multiplexed, 1, 101) }),
        ]
    }()

    static func engine(_ circuit: Int) -> MACAddress { F.mac(0xC0 + UInt64(circuit)) }
    static func alice(_ circuit: Int) -> MACAddress { F.mac(0xA0 + UInt64(circuit)) }
    static func address(_ circuit: Int) -> String { "192.0.2.\(circuit * 8 + 2)" }
    static func gateway(_ circuit: Int) -> String { "192.0.2.\(circuit * 8 + 1)" }
    static let shop = "203.0.113.80"

    static let table: ForwardingTable = {
        var table = ForwardingTable()
        table.interfaces = [
            TableInterface(name: "access", mac: access),
            TableInterface(name: "servers", mac: F.mac(0xE1), addresses: [InterfaceAddress("198.18.4.1/24")!]),
            TableInterface(name: "serial", mac: F.mac(0xE2)), TableInterface(name: "cells", mac: F.mac(0xE3)),
        ]
        let prefix = IPPrefix(host: F.address(shop))
        let port = ServicePort(protocolNumber: 6, ports: 80...80)
        table.sources = [KnownSource(interface: servers, mac: web, node: "web", system: .terminalApplication)]
        for (number, (carrier, encapsulation)) in circuits.enumerated() {
            let interface = table.interfaces.count
            table.interfaces.append(
                TableInterface(
                    name: "\(encapsulation)", mac: engine(number),
                    addresses: [InterfaceAddress("\(gateway(number))/29")!],
                    circuit: TableCircuit(carrier: carrier, encapsulation: encapsulation, peer: alice(number))))
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

    var worker: Worker<CircuitFrameIO<MemoryFrameIO>>
    private var memories: [UnsafeMutableRawPointer] = []
    var reader = CounterReader()

    init() throws {
        let bytes = try TableCompiler.compile(Self.table, generation: 7)
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
            io: CircuitFrameIO(MemoryFrameIO(), table: snapshot), table: published, neighbours: neighbours, worker: 0)
        reader.add(memory: counters, layout: layout)
        self.memories = memories
    }

    deinit { for memory in memories { memory.deallocate() } }

    /// Frames with the octets before them that their device gives; all that comes out.
    func send(_ frames: [[UInt8]], on interface: Int) -> [MemoryFrameIO.Frame] {
        worker.io.base.input += frames.map { .init(interface: interface, bytes: $0) }
        repeat { worker.turn(wait: false) } while !worker.io.base.input.isEmpty
        return worker.io.base.takeOutput()
    }

    var drops: String { reader.drops().map { "\($0.reason.name):\($0.frames)" }.joined(separator: " ") }

    /// What a device has for a frame of a circuit.
    static func wrapped(_ number: Int, _ frame: [UInt8], from peer: Bool = true) -> [UInt8] {
        // The customer's end: the same headers with the ends exchanged.
        let circuit = Circuit(
            circuits[number].encapsulation, engine: peer ? alice(number) : engine(number),
            peer: peer ? engine(number) : alice(number))
        var room = [UInt8](repeating: 0, count: Circuit.mostOctets)
        let done = room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            return circuit.write(&target, before: frame.span.bytes, length: frame.count)
        }
        let (written, replaced) = done!
        let offload = circuit.link == .ethernet ? [UInt8](repeating: 0, count: 10) : []
        return offload + room[..<written] + frame[replaced...]
    }

    static func ethernet(_ to: MACAddress, _ from: MACAddress, _ packet: [UInt8], type: Int = 0x0800) -> [UInt8] {
        to.octets + from.octets + F.big16(type) + packet
    }

    static func request(_ number: Int, payload: Int = 20) -> [UInt8] {
        F.tcp(address(number), 4_000, shop, 80, payload: [UInt8](repeating: 7, count: payload))
    }
}

@Suite struct CircuitTests {
    private typealias P = CircuitPipeline
    private typealias F = TestFrame

    @Test(arguments: CircuitPipeline.circuits.indices)
    func aRequestLeavesWithoutItsHeadersAndTheAnswerHasThem(_ number: Int) throws {
        let pipeline = try P()
        let carrier = P.circuits[number].carrier
        let request = P.request(number)
        let sent = pipeline.send(
            [P.wrapped(number, P.ethernet(P.engine(number), P.alice(number), request))], on: carrier)
        #expect(pipeline.drops == "")
        #expect(sent.map(\.interface) == [P.servers])
        #expect(sent.first.map { Array($0.bytes.dropFirst(24)) } == request)
        let answer = F.tcp(P.shop, 80, P.address(number), 4_000, payload: [1, 2, 3])
        let frame = P.ethernet(F.mac(0xE1), P.web, answer)
        let back = pipeline.send([[UInt8](repeating: 0, count: 10) + frame], on: P.servers)
        #expect(pipeline.drops == "")
        let expected = P.wrapped(number, P.ethernet(P.alice(number), P.engine(number), answer), from: false)
        #expect(back == [.init(interface: carrier, bytes: expected)])
    }

    /// What an offload header leaves to a device is done before the headers are written: each frame is whole, and has no more
    /// than the circuit's MTU.
    @Test(arguments: CircuitPipeline.circuits.indices) func superframesAreCutAndChecksumsCompleted(_ number: Int) throws
    {
        let pipeline = try P()
        let payload = (0..<4_000).map { UInt8(truncatingIfNeeded: $0) }
        let answer = F.tcp(P.shop, 80, P.address(number), 4_000, payload: payload, partial: true)
        let frame = P.ethernet(F.mac(0xE1), P.web, answer)
        // NEEDS_CSUM, TCPv4, 54 octets of headers, 1,400 of payload, from octet 34, field at 16.
        let offload: [UInt8] = [1, 1, 54, 0, 0x78, 5, 34, 0, 16, 0]
        let back = pipeline.send([offload + frame], on: P.servers)
        #expect(pipeline.drops == "")
        #expect(back.count == 3)
        var received: [UInt8] = []
        for (place, piece) in back.enumerated() {
            #expect(piece.interface == P.circuits[number].carrier)
            let size = min(1_400, 4_000 - place * 1_400)
            let packet = Array(piece.bytes.suffix(40 + size))
            let inner = P.ethernet(P.alice(number), P.engine(number), packet)
            #expect(piece.bytes == P.wrapped(number, inner, from: false))
            #expect(F.sum(Array(packet[..<20])) == 0xFFFF)
            let segment = Array(packet[20...])
            let pseudo = F.pseudo(F.address(P.shop), F.address(P.address(number)), 6, segment.count)
            #expect(F.sum(pseudo + segment) == 0xFFFF)
            received += segment[20...]
        }
        #expect(received == payload)
        let one = F.tcp(P.shop, 80, P.address(number), 4_000, payload: [9], partial: true)
        let single = pipeline.send(
            [[1, 0, 0, 0, 0, 0, 34, 0, 16, 0] + P.ethernet(F.mac(0xE1), P.web, one)], on: P.servers)
        let whole = F.tcp(P.shop, 80, P.address(number), 4_000, payload: [9])
        let inner = P.ethernet(P.alice(number), P.engine(number), whole)
        #expect(single.map(\.bytes) == [P.wrapped(number, inner, from: false)])
    }

    @Test func framesOfSeveralCircuitsInOneBatchKeepTheirOrderInEach() throws {
        let pipeline = try P()
        let order = [0, 2, 0, 1, 2, 0, 3]
        let frames = order.enumerated().map { place, number in
            P.wrapped(
                number, P.ethernet(P.engine(number), P.alice(number), P.request(number, payload: 20 + place)))
        }
        let sent = pipeline.send(frames, on: 0)
        #expect(pipeline.drops == "")
        let lengths = sent.map { $0.bytes.count - 10 - 54 - 20 }
        #expect(lengths == [0, 2, 5, 1, 4, 3, 6])
        for (number, packets) in [(0, 3), (1, 1), (2, 2), (3, 1)] {
            #expect(pipeline.reader.interface(4 + number).received.packets == UInt64(packets))
        }
    }

    @Test func askingForTheGatewayIsAnsweredInsideTheVLAN() throws {
        let pipeline = try P()
        func arp(_ operation: Int, _ from: MACAddress, _ source: String, _ to: MACAddress?, _ target: String) -> [UInt8]
        {
            F.big16(1) + F.big16(0x0800) + [6, 4] + F.big16(operation) + from.octets + F.octets(F.address(source))
                + (to?.octets ?? [0, 0, 0, 0, 0, 0]) + F.octets(F.address(target))
        }
        for number in [0, 1, 3] {
            let question = P.ethernet(
                MACAddress(bits: 0xFFFF_FFFF_FFFF), P.alice(number),
                arp(1, P.alice(number), P.address(number), nil, P.gateway(number)), type: 0x0806)
            let answer = pipeline.send([P.wrapped(number, question)], on: 0)
            let expected = P.ethernet(
                P.alice(number), P.engine(number),
                arp(2, P.engine(number), P.gateway(number), P.alice(number), P.address(number)), type: 0x0806)
            #expect(
                answer.map { $0.bytes.prefix(P.wrapped(number, expected, from: false).count) }
                    .map { Array($0) } == [P.wrapped(number, expected, from: false)], "\(number)")
        }
        #expect(pipeline.drops == "")
    }

    @Test func aFrameOfNoCircuitIsDroppedWithItsReason() throws {
        let pipeline = try P()
        let frame = P.ethernet(P.engine(0), P.alice(0), P.request(0))
        let none = [UInt8](repeating: 0, count: 10)
        let addresses = Array(frame[..<12])
        let cases: [(reason: DropReason, interface: Int, octets: [UInt8])] = [
            (.unknownCircuit, 0, none + addresses + [0x81, 0, 0, 101] + frame[12...]),
            (.unknownCircuit, 0, none + addresses + [0x88, 0x47, 0x03, 0xE8, 0x91, 0xFF] + frame[14...]),
            (.unknownCircuit, 2, [0, 0, 0, 0x19, 0x18, 0x51, 3, 0xCC] + frame[14...]),
            (.unknownCircuit, 3, [0, 0, 0x88, 0x84, 2, 1, 0, 102] + frame[14...]),
            (
                .labelStackTooDeep, 0,
                none + addresses + [0x88, 0x47] + (0..<9).flatMap { _ in [0, 0, 0, 64] as [UInt8] }
            ),
            (.labelExpired, 0, none + addresses + [0x88, 0x47, 0x03, 0xE8, 0x11, 1] + frame[14...]),
            (.reservedVLAN, 0, none + addresses + [0x81, 0, 0, 0] + frame[12...]),
            (.badFrameRelayAddress, 2, [0, 0, 0, 0x19, 0x19, 0x41, 3, 0xCC] + frame[14...]),
            (.badFrameRelayProtocol, 2, [0, 0, 0, 0x19, 0, 1, 3, 9]),
            (.badLLC, 3, [0, 0, 0x88, 0x84, 2, 1, 0, 100, 0xFE, 0xFE, 3, 0xCC, 0, 0, 0, 0] + frame[14...]),
            (.truncatedFrame, 3, [0, 0, 0x88, 0x84]),
            (.unsupportedEthertype, 0, none + P.access.octets + addresses[6...] + [0x88, 0x48] + frame[14...]),
            // An offload header whose offsets are those of the outer frame.
            (.badOffloadHeader, 0, [1, 0, 0, 0, 0, 0, 38, 0, 16, 0] + addresses + [0x81, 0, 0, 100] + frame[12...]),
        ]
        var expected: [DropReason: UInt64] = [:]
        for (reason, interface, octets) in cases {
            expected[reason, default: 0] += 1
            #expect(pipeline.send([octets], on: interface) == [], "\(reason)")
            #expect(pipeline.reader.drops(reason) == expected[reason], "\(reason): \(pipeline.drops)")
        }
        // A frame of labels for somebody else, and one to both ends' common address.
        var other = P.wrapped(2, P.ethernet(P.engine(2), P.alice(2), P.request(2)))
        other[15] ^= 1
        #expect(pipeline.send([other], on: 0) == [])
        #expect(pipeline.reader.drops(.notForUs) == 1, "\(pipeline.drops)")
        other.replaceSubrange(10..<16, with: Circuit.pointToPoint.octets)
        #expect(pipeline.send([other], on: 0).count == 1)
    }

    @Test func aStatusEnquiryOfFrameRelayIsAnswered() throws {
        let pipeline = try P()
        let enquiry: [UInt8] = [0, 0, 0, 0x19, 0, 1, 3, 8, 0, 0x75, 0x51, 1, 0, 0x53, 2, 7, 3]
        let answer = pipeline.send([enquiry], on: 2)
        #expect(
            answer == [
                .init(
                    interface: 2,
                    bytes: [
                        0, 0, 0, 0x19, 0, 1, 3, 8, 0, 0x7D, 0x51, 1, 0, 0x53, 2, 4, 7, 0x57, 3, 6, 0xA0, 0x82,
                    ])
            ])
        #expect(pipeline.drops == "")
        // Of a flood, the first of each batch.
        #expect(pipeline.send(Array(repeating: enquiry, count: 100), on: 2).count == 8)
    }

    @Test func aSnapshotOfBrokenCircuitsIsRefused() throws {
        let bytes = try TableCompiler.compile(CircuitPipeline.table, generation: 7)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        defer { memory.deallocate() }
        let section = Int(bytes.withUnsafeBytes { $0.load(fromByteOffset: 64 + 16 * 31, as: UInt64.self) })
        #expect(bytes.count > section)
        var refused = 0
        for offset in section..<section + 10 * 64 {
            memory.copyBytes(from: bytes)
            memory[offset] ^= 0x80
            if (try? Snapshot(validating: UnsafeRawBufferPointer(memory))) == nil { refused += 1 }
        }
        // The numbers of VLANs and labels, and MAC addresses, may be others.
        #expect(refused > 200)
    }

    @Test func tablesOfContradictingCircuitsAreNotCompiled() {
        func problems(_ edit: (inout ForwardingTable) -> Void) -> [TableProblem] {
            var table = CircuitPipeline.table
            edit(&table)
            do throws(TableError) {
                _ = try TableCompiler.compile(table, generation: 1)
                return []
            } catch {
                return error.problems
            }
        }
        #expect(problems { _ in } == [])
        let twice = problems { $0.interfaces[5].circuit = $0.interfaces[4].circuit }
        #expect(twice == [.circuit(interface: "qinq 100.200", "it receives the frames of vlan 100")])
        #expect(problems { $0.interfaces[4].circuit?.carrier = 9 }.count == 1)
        #expect(problems { $0.interfaces[4].circuit?.encapsulation = Encapsulation() }.count == 1)
        #expect(problems { $0.interfaces[4].circuit = nil }.contains { "\($0)".contains("behind a circuit") } == false)
    }
}
