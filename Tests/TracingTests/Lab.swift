import EngineControl
import EngineRig
import Forwarding
import Plan
import Planning
import TopologyFiles
import Wire

@testable import Engine
@testable import Tracing

/// Real engines over memory, with the capture point and the ring that a real engine has. What nodes do, a test does.
final class Lab {
    struct Record {
        var frame: CapturedFrame
        var worker: Int
        var sequence: UInt64
    }

    let plan: AppliancePlan
    let network: TracedNetwork
    /// What was captured, in order.
    var records: [Record] = []
    /// Nanoseconds between the read and the write of a frame.
    var engineTime: UInt64 = 3_000
    private var engines: [CapturingEngine] = []
    private var sequences: [UInt64] = []
    private(set) var time: UInt64 = 1_000_000_000

    /// - Parameters:
    ///   - topology: The name of a folder in `Topologies`, or the text of a file.
    ///   - snap: The octets that are captured of each frame.
    ///   - access: The access lists that the engines judge by.
    init(_ topology: String, engines count: Int = 1, snap: Int = 256, access: [AccessPoint] = []) throws {
        let root = "\(#filePath)".split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        let file =
            topology.contains("\n")
            ? try TopologyFile.parse(topology, path: "t.yaml")
            : try TopologyFile.read("\(root)/Topologies/\(topology)/topology.yaml")
        var plan = try Planner.plan(file)
        plan.table.access = access
        self.plan = plan
        network = TracedNetwork(plan)
        for _ in 0..<count {
            engines.append(try CapturingEngine(plan.table, snap: snap))
            sequences.append(0)
        }
    }

    /// Writes to an interface fail from now on, with this errno.
    func fail(_ interface: String, _ code: Int32) { engines[0].fail(self.interface(interface), code) }

    /// A node's first IPv4 address on an interface.
    func address(_ node: String, _ interface: String) -> String {
        let index = self.interface(interface)
        let leg = plan.nodes.first { $0.name == node }?.legs.first { $0.interface == index }
        return leg?.addresses.first { $0.address.family == .ipv4 }?.address.description ?? "0.0.0.0"
    }

    func wait(_ duration: Duration) { time += UInt64(duration.wholeNanoseconds) }

    func interface(_ name: String) -> Int { plan.interfaces.firstIndex { $0.name == name } ?? -1 }

    /// A node's device on an interface.
    func mac(_ node: String, _ interface: String) -> MACAddress {
        let index = self.interface(interface)
        return plan.nodes.first { $0.name == node }?.legs.first { $0.interface == index }?.mac ?? .broadcast
    }

    /// A node sends packets, all in one batch; what the engine writes comes back.
    @discardableResult
    func send(
        _ node: String, _ interface: String, _ packets: [UInt8]..., engine: Int = 0,
        offload: [UInt8] = [UInt8](repeating: 0, count: 10), mac: MACAddress? = nil
    ) -> [Out] {
        let index = self.interface(interface)
        let frames = packets.map { packet in
            offload
                + TestFrame.frame(packet, from: mac ?? self.mac(node, interface), to: plan.table.interfaces[index].mac)
        }
        return take(frames, index, engine)
    }

    /// A node sends on a frame that the engine has written for it, with one hop less.
    @discardableResult
    func forward(_ out: Out, _ node: String, _ interface: String, engine: Int = 0) -> [Out] {
        let index = self.interface(interface)
        var bytes = out.bytes
        bytes.replaceSubrange(10..<16, with: plan.table.interfaces[index].mac.octets)
        bytes.replaceSubrange(16..<22, with: mac(node, interface).octets)
        Lab.age(&bytes)
        return take([bytes], index, engine)
    }

    /// One hop less, and the header's checksum.
    static func age(_ bytes: inout [UInt8]) {
        guard bytes[22] == 8 else {
            bytes[24 + 7] -= 1
            return
        }
        bytes[24 + 8] -= 1
        bytes[24 + 10] = 0
        bytes[24 + 11] = 0
        let sum = ~TestFrame.sum(Array(bytes[24..<44])) & 0xFFFF
        bytes.replaceSubrange(34..<36, with: TestFrame.big16(sum))
    }

    @discardableResult
    func take(_ frames: [[UInt8]], _ interface: Int, _ engine: Int = 0) -> [Out] {
        let sent = engines[engine].take(frames, on: interface, at: time)
        for frame in engines[engine].captured() {
            var frame = frame
            if frame.direction == .sent { frame.time += .nanoseconds(Int64(engineTime)) }
            records.append(Record(frame: frame, worker: engine, sequence: sequences[engine]))
            sequences[engine] += 1
        }
        time += engineTime
        return sent.map { Out(interface: plan.interfaces[$0.interface].name, bytes: $0.bytes) }
    }

    struct Out {
        var interface: String
        var bytes: [UInt8]

        var destination: [UInt8] { Array(bytes[10..<16]) }
        var packet: [UInt8] { Array(bytes[24...]) }
    }

    /// A group that nodes join.
    static let group = """
        name: group
        interfaces:
          lan: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
        customers:
          alice: { interface: lan }
          bob: { interface: lan }
          carol: { interface: lan }
        services:
          music: { between: [alice, bob, carol], address: "ff15::1:2", ports: udp/5004, members: joined }

        """

    /// A node reports that it is in the group of `group`.
    func report(_ node: String) {
        let record = [4, 0, 0, 0] + IPAddress("ff15::1:2")!.octets
        let packet = TestFrame.icmp(
            "fe80::b", "ff02::16", type: 143, word: [0, 0, 0, 1], data: record, hopLimit: 1)
        take(node, packet, to: IPAddress("ff02::16")!)
    }

    /// A node sends a packet to the group of `group`.
    func sendToGroup(_ node: String) -> [Out] {
        let group = IPAddress("ff15::1:2")!
        return take(node, TestFrame.udp("fe80::a", 4_000, group.description, 5_004), to: group)
    }

    @discardableResult
    private func take(_ node: String, _ packet: [UInt8], to group: IPAddress) -> [Out] {
        let frame = TestFrame.frame(packet, from: mac(node, "lan"), to: .ipv6Multicast(for: group))
        return take([[UInt8](repeating: 0, count: 10) + frame], interface("lan"))
    }

    /// What is for a node.
    func frames(_ out: [Out], for node: String, _ interface: String) -> [Out] {
        out.filter { $0.interface == interface && $0.destination == mac(node, interface).octets }
    }

    /// A tracer that has taken the records.
    ///
    /// - Parameter keeping: Whether a record is given to it.
    func trace(
        _ limits: PacketTracer.Limits = .init(), finish: Bool = true, keeping: (Int) -> Bool = { _ in true }
    ) throws -> (traces: [PacketTrace], counts: PacketTracer.Counts) {
        var tracer = PacketTracer(limits)
        try tracer.take(plan.table, generation: 1, network: network)
        for (index, record) in records.enumerated() where keeping(index) {
            tracer.add(record.frame, worker: record.worker, sequence: record.sequence, generation: 1)
        }
        if finish {
            tracer.advance(to: MonotonicTime(nanoseconds: time + 10_000_000_000))
            tracer.finish()
        } else {
            tracer.advance(to: MonotonicTime(nanoseconds: time + 10_000_000))
        }
        return (tracer.takeFinished(), tracer.totals)
    }
}

/// A worker over memory behind a capture point.
final class CapturingEngine {
    private var worker: Worker<CapturingFrameIO<MemoryFrameIO>>
    private var reader: CaptureReader
    private let memories: [UnsafeMutableRawPointer]

    init(_ table: ForwardingTable, snap: Int) throws {
        func allocate(_ count: Int) -> UnsafeMutableRawPointer {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4_096)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            return memory
        }
        let bytes = try TableCompiler.compile(table, generation: 1)
        let compiled = allocate(bytes.count)
        UnsafeMutableRawBufferPointer(start: compiled, count: bytes.count).copyBytes(from: bytes)
        let snapshot = try Snapshot(validating: UnsafeRawBufferPointer(start: compiled, count: bytes.count))
        let layout = CounterLayout(
            workers: 1, interfaces: table.interfaces.count, entries: snapshot.counterCount,
            rules: snapshot.ruleCounterCount)
        let counters = allocate(layout.size)
        layout.initialize(counters)
        let known = allocate(NeighbourTable.memorySize)
        let neighbours = NeighbourTable(memory: known)
        neighbours.initialize()
        let capacity = 1 << 20
        let ring = allocate(CaptureRing.size(capacity: capacity))
        reader = CaptureReader(memory: UnsafeRawPointer(ring), capacity: capacity)
        let wishes = CaptureObservers.bytes([
            CaptureObserver(number: 0, snapLength: snap - VirtioNetHeader.length)
        ])
        let wish = allocate(wishes.count)
        UnsafeMutableRawBufferPointer(start: wish, count: wishes.count).copyBytes(from: wishes)
        worker = Worker(
            io: CapturingFrameIO(MemoryFrameIO()),
            table: try PublishedTable(snapshot: snapshot, counters: counters, layout: layout), neighbours: neighbours,
            worker: 0)
        memories = [compiled, counters, known, ring, wish]
        worker.io.observe(
            try CaptureObservers(validating: UnsafeRawBufferPointer(start: wish, count: wishes.count)), in: ring,
            capacity: capacity, generation: 1)
    }

    deinit { for memory in memories { memory.deallocate() } }

    func take(_ frames: [[UInt8]], on interface: Int, at time: UInt64) -> [MemoryFrameIO.Frame] {
        worker.io.base.time = MonotonicTime(nanoseconds: time)
        worker.io.base.input = frames.map { MemoryFrameIO.Frame(interface: interface, bytes: $0) }
        repeat { worker.turn(wait: false) } while !worker.io.base.input.isEmpty
        return worker.io.base.takeOutput()
    }

    /// The errno that writes to an interface fail with.
    func fail(_ interface: Int, _ code: Int32?) { worker.io.base.failures[interface] = code }

    func captured() -> [CapturedFrame] {
        var frames: [CapturedFrame] = []
        while let frame = reader.next() { frames.append(frame) }
        return frames
    }
}
