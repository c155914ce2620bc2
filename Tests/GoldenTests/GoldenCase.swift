import Engine
import Forwarding
import Glibc
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// One golden case: a folder with a topology, captures of what comes in, and captures of what must go out.
struct GoldenCase: CustomTestStringConvertible {
    /// The folder.
    let path: String

    var name: String { String(path.split(separator: "/").last ?? "") }
    var testDescription: String { name }

    private static var folder: String {
        "\(#filePath)".split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/Cases"
    }

    /// Every case, by name.
    static let all: [GoldenCase] = {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted().map { GoldenCase(path: "\(folder)/\($0)") }
    }()

    /// The plan of the case's topology; `topology` names another folder's file in place of a file of its own.
    func plan() throws -> AppliancePlan {
        let reference = "\(path)/topology"
        guard access(reference, F_OK) == 0, let file = fopen(reference, "r") else {
            return try Planner.plan(TopologyFile.read("\(path)/topology.yaml"))
        }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        fgets(&line, Int32(line.count), file)
        let name = String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let root = path.split(separator: "/").dropLast(4).map { "/\($0)" }.joined()
        return try Planner.plan(TopologyFile.read("\(root)/Topologies/\(name)/topology.yaml"))
    }

    func inputPath(_ interface: String) -> String { "\(path)/in-\(interface).pcap" }
    func outputPath(_ interface: String) -> String { "\(path)/out-\(interface).pcap" }
    func actualPath(_ interface: String) -> String { "\(path)/actual-\(interface).pcap" }

    /// What a worker that has just started makes of the captures, in the order of their times: a capture for each
    /// interface, and the drops by reason.
    func run(_ plan: AppliancePlan) throws -> (captures: [Capture], drops: [String]) {
        var inputs: [(time: UInt64, frame: MemoryFrameIO.Frame)] = []
        for (index, interface) in plan.interfaces.enumerated() {
            for frame in try Capture(path: inputPath(interface.name), interface.link ?? .ethernet).frames {
                inputs.append((frame.time, .init(interface: index, bytes: frame.bytes)))
            }
        }
        inputs.sort { ($0.time, $0.frame.interface) < ($1.time, $1.frame.interface) }
        var captures = plan.interfaces.map { Capture([], $0.link ?? .ethernet) }
        let engine = try MemoryEngine(plan.table)
        for input in inputs {
            for frame in engine.send(input.frame, at: input.time) {
                captures[frame.interface].frames.append(.init(time: input.time, bytes: frame.bytes))
            }
        }
        return (captures, engine.drops)
    }
}

/// A worker over memory with a table of its own.
private final class MemoryEngine {
    private var worker: Worker<CircuitFrameIO<MemoryFrameIO>>
    private let memories: [UnsafeMutableRawPointer]
    private var reader = CounterReader()

    init(_ table: ForwardingTable) throws {
        let snapshotBytes = try TableCompiler.compile(table, generation: 1)
        func allocate(_ count: Int) -> UnsafeMutableRawPointer {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4_096)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            return memory
        }
        let tableMemory = allocate(snapshotBytes.count)
        UnsafeMutableRawBufferPointer(start: tableMemory, count: snapshotBytes.count).copyBytes(from: snapshotBytes)
        let snapshot = try Snapshot(validating: UnsafeRawBufferPointer(start: tableMemory, count: snapshotBytes.count))
        let layout = CounterLayout(
            workers: 1, interfaces: table.interfaces.count, entries: snapshot.counterCount,
            rules: snapshot.ruleCounterCount)
        let counters = allocate(layout.size)
        layout.initialize(counters)
        let known = allocate(NeighbourTable.memorySize)
        let neighbours = NeighbourTable(memory: known)
        neighbours.initialize()
        let published = try PublishedTable(snapshot: snapshot, counters: counters, layout: layout)
        worker = Worker(
            io: CircuitFrameIO(MemoryFrameIO(), table: snapshot), table: published, neighbours: neighbours, worker: 0)
        reader.add(memory: counters, layout: layout)
        memories = [tableMemory, counters, known]
    }

    deinit { for memory in memories { memory.deallocate() } }

    /// What goes out when a frame has come in at a time in nanoseconds.
    func send(_ frame: MemoryFrameIO.Frame, at time: UInt64) -> [MemoryFrameIO.Frame] {
        worker.io.base.time = max(worker.io.base.time, MonotonicTime(nanoseconds: time))
        worker.io.base.input = [frame]
        worker.turn(wait: false)
        return worker.io.base.takeOutput()
    }

    /// `reason frames`, in the order of the reasons.
    var drops: [String] { reader.drops().map { "\($0.reason.name) \($0.frames)" } }
}

extension GoldenCase {
    private var dropsPath: String { "\(path)/drops" }

    /// The drops that are expected, one to a line.
    func expectedDrops() throws -> [String] {
        guard let file = fopen(dropsPath, "r") else { return [] }
        defer { fclose(file) }
        var lines: [String] = []
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            lines.append(
                String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return lines
    }

    /// Writes what was dropped as what is expected.
    func write(drops: [String]) throws {
        guard !drops.isEmpty else {
            guard unlink(dropsPath) == 0 || errno == ENOENT else {
                throw Capture.Unreadable(description: "\(dropsPath) stays")
            }
            return
        }
        guard let file = fopen(dropsPath, "w") else {
            throw Capture.Unreadable(description: "\(dropsPath) cannot be written")
        }
        defer { fclose(file) }
        fputs(drops.joined(separator: "\n") + "\n", file)
    }
}
