import Engine
import EngineRig
import Forwarding
import Glibc
import Tracing
import Wire

/// Prints what the reader of a trace does with the records of a chain of three hops: one line of JSON for each kind of packets.
///
/// `nanoseconds` are processor time for each packet that was traced, the least of several rounds. `rate` is what that comes to: the
/// packets of one processor in a second. `grown` is how much the process grew in the last three quarters of the packets, in KiB:
/// nothing of what is followed may stay.
///
/// - Parameter words: Only kinds whose names contain this; nil: all.
func measureTrace(_ words: String?) throws {
    for kind in TraceKind.all where words.map(kind.name.contains) ?? true { try measure(kind) }
}

private func measure(_ kind: TraceKind) throws {
    let chain = TracedChain()
    let records = chain.records(kind)
    var best = UInt64.max
    var traces: UInt64 = 0
    for _ in 0..<kind.rounds {
        let start = processorTime()
        let session = try followed(chain, records, times: 1)
        best = min(best, processorTime() - start)
        traces = session.report.traces
    }
    precondition(traces == UInt64(kind.packets), "\(traces) of \(kind.packets) packets were followed")
    // The same again and again, as one trace: what stays of it would be seen.
    var session = try followed(chain, records, times: 4)
    let before = residentOctets()
    for turn in 4..<16 { chain.add(records, to: &session, turn: turn) }
    let grown = Int(residentOctets()) - Int(before)
    let each = Double(best) / Double(kind.packets)
    print(
        #"{"kind":"\#(kind.name)","records":\#(short(Double(records.count) / Double(kind.packets), 2)),"#
            + #""nanoseconds":\#(short(each)),"rate":\#(Int(1e9 / each)),"grown":\#(max(0, grown) / 1_024)}"#)
}

private func followed(_ chain: TracedChain, _ records: [CapturedFrame], times: Int) throws -> TraceSession {
    var session = TraceSession()
    try session.take(chain.table, generation: 1, network: chain.network)
    for turn in 0..<times { chain.add(records, to: &session, turn: turn) }
    return session
}

/// Processor time of this thread in nanoseconds.
private func processorTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Octets of memory that this process has.
private func residentOctets() -> UInt64 {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var buffer = [CChar](repeating: 0, count: 128)
    guard fgets(&buffer, Int32(buffer.count), file) != nil else { return 0 }
    let words = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(
        separator: " ")
    return (words.count > 1 ? UInt64(words[1]) ?? 0 : 0) * UInt64(getpagesize())
}

/// What is followed through the chain.
struct TraceKind {
    var name: String
    /// Datagrams of one flow, one after the other.
    var burst: Int
    /// The engine coalesces a burst behind the first hop, as it does under load.
    var coalesces: Bool
    var flows: Int
    var payload: Int
    /// How many bursts are inside of an application at a time.
    var waiting: Int
    var bursts = 2_000
    var rounds = 7
    var packets: Int { burst * bursts }

    static let all = [
        TraceKind(
            name: "1 flow in bursts of 16, coalesced", burst: 16, coalesces: true, flows: 1, payload: 22, waiting: 4),
        TraceKind(
            name: "64 flows in bursts of 16, coalesced", burst: 16, coalesces: true, flows: 64, payload: 22, waiting: 64
        ),
        TraceKind(
            name: "64 flows in turn", burst: 1, coalesces: false, flows: 64, payload: 22, waiting: 64, bursts: 16_000),
    ]
}

/// A customer, two applications and a server, and what a capture at the engine between them shows.
struct TracedChain {
    private static let legs = ["client", "one-in", "one-out", "two-in", "two-out", "server"]
    private static let passes = [(0, 1), (2, 3), (4, 5)]
    let table: ForwardingTable
    let network: TracedNetwork

    init() {
        var table = ForwardingTable()
        table.interfaces = Self.legs.indices.map { index in
            TableInterface(
                name: Self.legs[index], mac: Self.engine(index), mtu: 1_500,
                addresses: [InterfaceAddress(index == 0 ? "192.0.2.1/24" : "198.18.\(index + 1).1/24")!])
        }
        let systems: [DestinationSystemType] = [
            .customer, .inlineApplication, .inlineApplication, .inlineApplication, .inlineApplication,
            .terminalApplication,
        ]
        let nodes = ["client", "one", "one", "two", "two", "server"]
        table.sources = (1..<6).map {
            KnownSource(interface: $0, mac: Self.node($0), node: nodes[$0], system: systems[$0])
        }
        for (number, (from, to)) in Self.passes.enumerated() {
            table.entries.append(
                Entry(
                    name: "bulk.request.\(number)", kind: number == 0 ? .distribution : .sequencing,
                    direction: .request,
                    receivedInterface: from, sourceMAC: number == 0 ? nil : Self.node(from), source: nil,
                    destination: IPPrefix(host: IPAddress("203.0.113.80")!), servicePort: .any, rewriteSource: nil,
                    targets: [SendTarget(interface: to, address: .mac(Self.node(to)), system: systems[to])],
                    counter: number))
        }
        self.table = table
        func leg(_ index: Int) -> TracedNetwork.Leg {
            TracedNetwork.Leg(interface: index, macs: [Self.node(index)])
        }
        network = TracedNetwork(
            interfaces: Self.legs,
            nodes: [
                .init(name: "client", kind: .customer, legs: [leg(0)]),
                .init(name: "one", kind: .inline, legs: [leg(1), leg(2)]),
                .init(name: "two", kind: .inline, legs: [leg(3), leg(4)]),
                .init(name: "server", kind: .terminal, legs: [leg(5)]),
            ],
            entries: Dictionary(
                uniqueKeysWithValues: (0..<3).map {
                    ($0, TracedNetwork.EntryName(name: "bulk.request.\($0)", service: "bulk", line: 10))
                }))
    }

    private static func engine(_ index: Int) -> MACAddress { TestFrame.mac(0xE0 + UInt64(index)) }
    private static func node(_ index: Int) -> MACAddress { TestFrame.mac(0x10 + UInt64(index)) }

    /// The time between two bursts, in nanoseconds.
    private static let step: UInt64 = 16_000

    /// What the engine reads and writes, in the order of its times.
    func records(_ kind: TraceKind) -> [CapturedFrame] {
        var records: [CapturedFrame] = []
        for turn in 0..<kind.bursts + kind.waiting * 2 {
            let time = UInt64(turn) * Self.step
            for (hop, pass) in Self.passes.enumerated() {
                let burst = turn - hop * kind.waiting
                guard (0..<kind.bursts).contains(burst) else { continue }
                let read = frames(kind, burst, hop: hop, isCoalesced: kind.coalesces && hop > 0)
                let written = frames(kind, burst, hop: hop, isCoalesced: kind.coalesces)
                for frame in read {
                    records.append(
                        record(
                            .received, pass.0, from: Self.node(pass.0), to: Self.engine(pass.0), frame,
                            time + UInt64(hop) * 4_000))
                }
                for frame in written {
                    records.append(
                        record(
                            .sent, pass.1, from: Self.engine(pass.1), to: Self.node(pass.1), frame,
                            time + UInt64(hop) * 4_000 + 2_000))
                }
            }
        }
        for index in records.indices { records[index].sequence = UInt64(index) }
        return records
    }

    /// Has a session follow all records, as if they came again later.
    func add(_ records: [CapturedFrame], to session: inout TraceSession, turn: Int) {
        let length = (records.last?.time.nanoseconds ?? 0) + 100_000_000
        var time = MonotonicTime(nanoseconds: 0)
        for (index, record) in records.enumerated() {
            var record = record
            record.time = MonotonicTime(nanoseconds: 1_000_000_000 + UInt64(turn) * length + record.time.nanoseconds)
            record.sequence += UInt64(turn * records.count)
            time = record.time
            session.add(record)
            // The reader takes what is there, and then the traces that have ended.
            if index % 512 == 511 { _ = session.takeTraces() }
        }
        session.advance(to: time + .milliseconds(50))
        _ = session.takeTraces()
    }

    private func frames(_ kind: TraceKind, _ burst: Int, hop: Int, isCoalesced: Bool) -> [[UInt8]] {
        let port = 40_000 + burst % kind.flows
        let first = burst / kind.flows * kind.burst
        func packet(_ number: Int, _ payload: Int) -> [UInt8] {
            TestFrame.packet(
                "192.0.2.10", "203.0.113.80", 17,
                TestFrame.big16(port) + TestFrame.big16(9_000) + TestFrame.big16(8 + payload) + [0, 0]
                    + [UInt8](repeating: 0, count: payload),
                hopLimit: UInt8(64 - hop), identification: number & 0xFFFF)
        }
        guard isCoalesced else {
            return (0..<kind.burst).map { [UInt8](repeating: 0, count: 10) + packet(first + $0, kind.payload) }
        }
        let offload: [UInt8] = [1, 5, 42, 0, UInt8(kind.payload), 0, 34, 0, 6, 0]
        return [offload + packet(first, kind.payload * kind.burst)]
    }

    private func record(
        _ direction: CaptureDirection, _ interface: Int, from source: MACAddress, to destination: MACAddress,
        _ frame: [UInt8], _ time: UInt64
    ) -> CapturedFrame {
        let whole = frame[..<10] + TestFrame.frame(Array(frame[10...]), from: source, to: destination)
        return CapturedFrame(
            direction: direction, interface: interface, time: MonotonicTime(nanoseconds: time), length: whole.count,
            octets: Array(whole.prefix(266)), generation: 1)
    }
}
