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
            var table = try Planner.plan(TopologyFile.parse(Self.topology, path: "fuzz.yaml")).table
            table.access = Self.access
            self.table = table
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

    /// Access lists that deny about half of the packets of two services, with every answer.
    private static var access: [AccessPoint] {
        var counter = 0
        func next() -> Int {
            counter += 1
            return counter - 1
        }
        func list(_ tenant: String, _ own: [String], _ protocols: [UInt8]) -> AccessList {
            let own = own.compactMap { IPPrefix($0) }
            let rules = own.flatMap { prefix in
                protocols.flatMap { number in
                    zip(AccessDenial.allCases, [0...9_999, 20_000...29_999, 40_000...49_999]).map { denial, ports in
                        AccessRule(
                            action: .deny(denial), own: prefix,
                            matter: .ports(
                                protocolNumber: number, own: 0...65535,
                                remote: UInt16(ports.lowerBound)...UInt16(ports.upperBound)), counter: next())
                    }
                } + [AccessRule(action: .deny(.icmp), own: prefix, matter: .icmp(type: 8), counter: next())]
            }
            return AccessList(tenant: tenant, own: own, rules: rules, otherwise: .allow, counter: next())
        }
        return [
            AccessPoint(
                application: "fw", nodes: ["fw"],
                lists: [list("alice", ["203.0.113.80/32", "2001:db8:cb::80/128"], [6])]),
            AccessPoint(
                application: "dns", nodes: ["dns"],
                lists: [list("bob", ["203.0.113.53/32", "2001:db8:cb::53/128"], [17, 136, 33])]),
        ]
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
