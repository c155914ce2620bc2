import Engine
import EngineRig
import Forwarding
import Testing
import Wire

/// A worker over memory whose interfaces carry circuits: what goes in and out of the devices, octet by octet.
private final class CircuitPipeline {
    var worker: Worker<CircuitFrameIO<MemoryFrameIO>>
    private var memories: [UnsafeMutableRawPointer] = []
    var reader = CounterReader()

    init() throws {
        let bytes = try TableCompiler.compile(CircuitRig.table, generation: 7)
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
            workers: 1, interfaces: CircuitRig.table.interfaces.count, entries: snapshot.counterCount,
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
}

@Suite struct CircuitTests {
    private typealias P = CircuitPipeline
    private typealias R = CircuitRig
    private typealias F = TestFrame

    @Test(arguments: CircuitRig.circuits.indices)
    func aRequestLeavesWithoutItsHeadersAndTheAnswerHasThem(_ number: Int) throws {
        let pipeline = try P()
        let carrier = R.circuits[number].carrier
        let request = R.request(number)
        let sent = pipeline.send(
            [R.wrapped(number, R.ethernet(R.engine(number), R.alice(number), request))], on: carrier)
        #expect(pipeline.drops == "")
        #expect(sent.map(\.interface) == [R.servers])
        #expect(sent.first.map { Array($0.bytes.dropFirst(24)) } == request)
        let answer = F.tcp(R.shop, 80, R.address(number), 4_000, payload: [1, 2, 3])
        let frame = R.ethernet(R.webGateway, R.web, answer)
        let back = pipeline.send([[UInt8](repeating: 0, count: 10) + frame], on: R.servers)
        #expect(pipeline.drops == "")
        let expected = R.wrapped(number, R.ethernet(R.alice(number), R.engine(number), answer), from: false)
        #expect(back == [.init(interface: carrier, bytes: expected)])
    }

    /// What an offload header leaves to a device is done before the headers are written: each frame is whole, and has no more
    /// than the circuit's MTU.
    @Test(arguments: CircuitRig.circuits.indices) func superframesAreCutAndChecksumsCompleted(_ number: Int) throws {
        let pipeline = try P()
        let payload = (0..<4_000).map { UInt8(truncatingIfNeeded: $0) }
        let answer = F.tcp(R.shop, 80, R.address(number), 4_000, payload: payload, partial: true)
        let frame = R.ethernet(R.webGateway, R.web, answer)
        // NEEDS_CSUM, TCPv4, 54 octets of headers, 1,400 of payload, from octet 34, field at 16.
        let offload: [UInt8] = [1, 1, 54, 0, 0x78, 5, 34, 0, 16, 0]
        let back = pipeline.send([offload + frame], on: R.servers)
        #expect(pipeline.drops == "")
        #expect(back.count == 3)
        var received: [UInt8] = []
        for (place, piece) in back.enumerated() {
            #expect(piece.interface == R.circuits[number].carrier)
            let size = min(1_400, 4_000 - place * 1_400)
            let packet = Array(piece.bytes.suffix(40 + size))
            let inner = R.ethernet(R.alice(number), R.engine(number), packet)
            #expect(piece.bytes == R.wrapped(number, inner, from: false))
            #expect(F.sum(Array(packet[..<20])) == 0xFFFF)
            let segment = Array(packet[20...])
            let pseudo = F.pseudo(F.address(R.shop), F.address(R.address(number)), 6, segment.count)
            #expect(F.sum(pseudo + segment) == 0xFFFF)
            received += segment[20...]
        }
        #expect(received == payload)
        let one = F.tcp(R.shop, 80, R.address(number), 4_000, payload: [9], partial: true)
        let single = pipeline.send(
            [[1, 0, 0, 0, 0, 0, 34, 0, 16, 0] + R.ethernet(R.webGateway, R.web, one)], on: R.servers)
        let whole = F.tcp(R.shop, 80, R.address(number), 4_000, payload: [9])
        let inner = R.ethernet(R.alice(number), R.engine(number), whole)
        #expect(single.map(\.bytes) == [R.wrapped(number, inner, from: false)])
    }

    @Test func framesOfSeveralCircuitsInOneBatchKeepTheirOrderInEach() throws {
        let pipeline = try P()
        let order = [0, 2, 0, 1, 2, 0, 3]
        let frames = order.enumerated().map { place, number in
            R.wrapped(
                number, R.ethernet(R.engine(number), R.alice(number), R.request(number, payload: 20 + place)))
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
            let question = R.ethernet(
                MACAddress(bits: 0xFFFF_FFFF_FFFF), R.alice(number),
                arp(1, R.alice(number), R.address(number), nil, R.gateway(number)), type: 0x0806)
            let answer = pipeline.send([R.wrapped(number, question)], on: 0)
            let expected = R.ethernet(
                R.alice(number), R.engine(number),
                arp(2, R.engine(number), R.gateway(number), R.alice(number), R.address(number)), type: 0x0806)
            #expect(
                answer.map { $0.bytes.prefix(R.wrapped(number, expected, from: false).count) }
                    .map { Array($0) } == [R.wrapped(number, expected, from: false)], "\(number)")
        }
        #expect(pipeline.drops == "")
    }

    @Test func aFrameOfNoCircuitIsDroppedWithItsReason() throws {
        let pipeline = try P()
        let frame = R.ethernet(R.engine(0), R.alice(0), R.request(0))
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
            (.badFrameRelayStatus, 2, [0, 0, 0, 0x19, 0, 1, 3, 9]),
            (.badFrameRelayProtocol, 2, [0, 0, 0, 0x19, 0x18, 0x41, 3, 9]),
            (.badLLC, 3, [0, 0, 0x88, 0x84, 2, 1, 0, 100, 0xFE, 0xFE, 3, 0xCC, 0, 0, 0, 0] + frame[14...]),
            (.truncatedFrame, 3, [0, 0, 0x88, 0x84]),
            (.unsupportedEthertype, 0, none + R.access.octets + addresses[6...] + [0x88, 0x48] + frame[14...]),
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
        var other = R.wrapped(2, R.ethernet(R.engine(2), R.alice(2), R.request(2)))
        other[15] ^= 1
        #expect(pipeline.send([other], on: 0) == [])
        #expect(pipeline.reader.drops(.notForUs) == 1, "\(pipeline.drops)")
        other.replaceSubrange(10..<16, with: Circuit.pointToPoint.octets)
        #expect(pipeline.send([other], on: 0).count == 1)
    }

    /// Whatever is cut off inside the headers of a circuit, exactly one drop says so.
    @Test(arguments: CircuitRig.circuits.indices) func aFrameThatIsCutInItsHeadersIsDropped(_ number: Int) throws {
        let pipeline = try P()
        let carrier = R.circuits[number].carrier
        let link = R.circuits[number].encapsulation.link
        let whole = R.wrapped(number, R.ethernet(R.engine(number), R.alice(number), R.request(number)))
        let headers = whole.count - R.request(number).count
        let first = link == .ethernet ? 10 + 14 : Circuit.tunLength
        var reasons: Set<DropReason> = []
        for length in first..<headers {
            let before = pipeline.reader.drops().map(\.frames).reduce(0, +)
            #expect(pipeline.send([Array(whole[..<length])], on: carrier) == [], "\(length)")
            let drops = pipeline.reader.drops()
            #expect(drops.map(\.frames).reduce(0, +) == before + 1, "\(length): \(pipeline.drops)")
            reasons.formUnion(drops.map(\.reason))
        }
        // The inner frame's own reasons are behind the circuit.
        let inner: Set<DropReason> = [.truncatedFrame, .truncatedNetworkHeader, .unsupportedEthertype]
        let outer: Set<DropReason> = [
            .truncatedTag, .truncatedLabelStack, .notAPacket, .truncatedControlWord, .truncatedPseudoWire,
            .truncatedFrameRelay, .truncatedLLC, .badLLC, .badControlWord, .unknownCircuit,
        ]
        #expect(reasons.subtracting(inner).isSubset(of: outer), "\(reasons)")
        #expect(!reasons.intersection(outer).isEmpty)
    }

    /// A stack without a bottom, of any depth, is dropped as what it is.
    @Test func aLabelStackWithoutBottomIsDropped() throws {
        let pipeline = try P()
        let addresses = R.engine(2).octets + R.alice(2).octets
        let none = [UInt8](repeating: 0, count: 10)
        for depth in 1...400 {
            let entries = (0..<depth).flatMap { _ in [0x03, 0xE8, 0x10, 0xFF] as [UInt8] }
            #expect(pipeline.send([none + addresses + [0x88, 0x47] + entries], on: 0) == [])
        }
        // Three labels mean something; the fourth is one too many.
        #expect(pipeline.reader.drops(.truncatedLabelStack) == 3, "\(pipeline.drops)")
        #expect(pipeline.reader.drops(.labelStackTooDeep) == 397)
    }

    @Test func inverseARPIsAnswered() throws {
        let pipeline = try P()
        let circuit = R.circuits.firstIndex { $0.encapsulation.dlci == 100 && $0.carrier == 2 }!
        let own = F.octets(F.address(R.gateway(circuit)))
        let asks = F.octets(F.address(R.address(circuit)))
        let header: [UInt8] = [0, 0, 0, 0x19, 0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 6, 0, 15, 8, 0, 2, 4]
        let question = header + [0, 8, 0x18, 0x41] + asks + [0, 0, 0, 0, 0, 0]
        #expect(
            pipeline.send([question], on: 2) == [
                .init(interface: 2, bytes: header + [0, 9, 0x18, 0x41] + own + [0x18, 0x41] + asks)
            ])
        #expect(pipeline.drops == "")
        #expect(pipeline.send(Array(repeating: question, count: 100), on: 2).count == 8)
        // A reply that nobody asked for, nobody's question, one of a circuit that is not there.
        for octets in [
            header + [0, 9, 0x18, 0x41] + asks + [0, 0, 0, 0, 0, 0],
            header + [0, 8, 0x18, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Array(question[..<20]),
        ] {
            #expect(pipeline.send([octets], on: 2) == [])
        }
        #expect(pipeline.reader.drops(.badInverseARP) == 3, "\(pipeline.drops)")
        var stranger = question
        stranger[5] = 0x51
        #expect(pipeline.send([stranger], on: 2) == [])
        #expect(pipeline.reader.drops(.unknownCircuit) == 1, "\(pipeline.drops)")
    }

    @Test func ciscosStatusEnquiryIsAnswered() throws {
        let pipeline = try P()
        let enquiry: [UInt8] = [0, 0, 0, 0x19, 0xFC, 0xF1, 3, 9, 0, 0x75, 1, 1, 0, 3, 2, 7, 3]
        let answer: [UInt8] = [
            0, 0, 0, 0x19, 0xFC, 0xF1, 3, 9, 0, 0x7D, 1, 1, 0, 3, 2, 4, 7, 7, 6, 0, 100, 2, 0, 0, 0,
        ]
        #expect(pipeline.send([enquiry], on: 2) == [.init(interface: 2, bytes: answer)])
        #expect(pipeline.drops == "")
        #expect(pipeline.send([[0, 0, 0, 0x19, 0xFC, 0xF1, 3, 9, 0, 0x7D, 1, 1, 0, 3, 2, 4, 7]], on: 2) == [])
        #expect(pipeline.reader.drops(.badFrameRelayStatus) == 1, "\(pipeline.drops)")
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
        let bytes = try TableCompiler.compile(CircuitRig.table, generation: 7)
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
            var table = CircuitRig.table
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
