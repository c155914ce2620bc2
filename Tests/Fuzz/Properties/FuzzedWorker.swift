import Engine
import Forwarding
import Plan
import Planning
import TopologyFiles
import Wire

/// A worker over memory, with the table of a topology that has one of everything.
final class FuzzedWorker {
    private static let topology = """
        name: fuzz
        interfaces:
          outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inner:   { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          behind:  { address: [198.18.3.1/24, "2001:db8:13::1/64"], mtu: 1300 }
          servers: { address: [198.18.4.1/24, "2001:db8:14::1/64"], mtu: 1280 }
        customers:
          alice: { interface: outside, address: [192.0.2.10, "2001:db8:2::10"] }
        applications:
          ids: { passive: true, attach: inner }
          fw:  { attach: { in: inner, out: behind } }
          web: { attach: servers }
          dns: { send: network, attach: { in: { interface: servers, address: [198.18.4.53, "2001:db8:14::53"] } } }
        routers:
          exit: { interface: servers }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], ports: tcp/80, distribute: [ids, fw], sequence: [fw, web] }
          names: { address: [203.0.113.53, "2001:db8:cb::53"], ports: [udp/53, udplite/53, dccp/53], sequence: dns }
          all: { address: [0.0.0.0/0, "::/0"], distribute: ids, sequence: exit }
        entries:
          distribution:
            - { name: far, received-interface: outside, destination: 198.18.4.64/26, to: { interface: servers, neighbour: true } }
        """

    let table: ForwardingTable
    var worker: Worker<MemoryFrameIO>
    let snapshot: Snapshot
    var reader = CounterReader()
    private let neighbours: NeighbourTable
    private let neighbourMemory = ExactOctets(count: NeighbourTable.memorySize)
    private let counters: ExactOctets
    private let layout: CounterLayout
    private let memory: ExactOctets

    init(_ tuning: EngineTuning) {
        do {
            table = try Planner.plan(TopologyFile.parse(Self.topology, path: "fuzz.yaml")).table
            memory = ExactOctets(try TableCompiler.compile(table, generation: 1))
            snapshot = try Snapshot(validating: UnsafeRawBufferPointer(memory.bytes))
            layout = CounterLayout(
                workers: 1, interfaces: table.interfaces.count, entries: snapshot.counterCount,
                rules: snapshot.ruleCounterCount)
            counters = ExactOctets(count: layout.size)
            guard let base = counters.bytes.baseAddress, let known = neighbourMemory.bytes.baseAddress else {
                preconditionFailure("no memory")
            }
            counters.bytes.initializeMemory(as: UInt8.self, repeating: 0)
            layout.initialize(base)
            neighbours = NeighbourTable(memory: known)
            let published = try PublishedTable(snapshot: snapshot, counters: base, layout: layout)
            worker = Worker(
                io: MemoryFrameIO(), table: published, neighbours: neighbours, worker: 0, tuning: tuning)
            reader.add(memory: base, layout: layout)
        } catch {
            preconditionFailure("the fuzzed topology: \(error)")
        }
    }

    /// Begins anew: nothing waits, no neighbour is known, messages may be sent again.
    func restart() {
        worker.io.time += .nanoseconds(100_000_000_000)
        settle()
        neighbourMemory.bytes.initializeMemory(as: UInt8.self, repeating: 0)
        neighbours.initialize()
    }

    /// Lets time pass until nothing waits any more; what was sent meanwhile.
    @discardableResult
    func settle() -> [MemoryFrameIO.Frame] {
        for _ in 0..<5 {
            worker.io.time += .nanoseconds(1_100_000_000)
            worker.turn(wait: false)
        }
        return worker.io.takeOutput()
    }
}
