import ControlAPI
import EventLoop
import Glibc
import Synchronization

/// Reads what the processes of a topology use, from /proc.
///
/// One pass over the machine's processes serves all nodes, so the cost does not grow with the nodes. A node cannot mislead
/// it: it asks the machine's /proc, where no node writes.
final class ProcessMeter: Sendable {
    /// The processes that are asked for.
    struct Subjects: Sendable {
        /// The control process.
        var control: Int32
        /// Each engine's process.
        var engines: [(number: Int, pid: Int32?)]
        /// Each node's init, and the first process of its container: one process of each of its PID namespaces.
        var nodes: [(name: String, pids: [Int32])]
    }

    /// What they use.
    struct Uses: Sendable {
        var control: Sample.ProcessUse?
        /// By number.
        var engines: [Int: Sample.ProcessUse] = [:]
        /// By name.
        var nodes: [String: Sample.ProcessUse] = [:]
    }

    /// What is summed up, over its successive processes.
    private enum Account: Hashable { case control, engine(Int), node(String) }

    /// The processor time of one account, in clock ticks.
    private struct Meter {
        /// Of processes that have ended and that no process of the account has waited for.
        var ended: UInt64 = 0
        /// The last reading of each process whose parent is not of the account: nobody else takes over its time.
        var outer: [Identity: UInt64] = [:]
        /// The largest sum until now.
        var total: UInt64 = 0
    }

    /// A process that is told from a later one of the same number.
    private struct Identity: Hashable {
        var pid: Int32
        /// In clock ticks since boot.
        var start: UInt64
    }

    /// One process in one reading.
    private struct Reading {
        var identity: Identity
        var parent: Int32
        /// With those of children that it has waited for.
        var ticks: UInt64
        /// Of its resident memory.
        var pages: UInt64
    }

    /// The most processes of a machine that are looked at for one sample.
    private static let most = 32_768
    private static let ticksPerSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    private static let pageSize = UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))

    private let meters = Mutex<[Account: Meter]>([:])

    /// Reads them all.
    func read(_ subjects: Subjects) -> Uses {
        meters.withLock { meters in
            let engines = subjects.engines.map { Account.engine($0.number) }
            let wanted = Set([.control] + engines + subjects.nodes.map { .node($0.name) })
            meters = meters.filter { wanted.contains($0.key) }
            var uses = Uses()
            uses.control = Self.reading(subjects.control).map {
                Self.add([$0], to: &meters[.control, default: Meter()])
            }
            for (number, pid) in subjects.engines {
                guard let one = pid.flatMap(Self.reading) else { continue }
                uses.engines[number] = Self.add([one], to: &meters[.engine(number), default: Meter()])
            }
            let found = Self.processes(below: subjects.nodes.flatMap(\.pids))
            for (name, pids) in subjects.nodes {
                let own = pids.flatMap { found[$0] ?? [] }
                uses.nodes[name] = Self.add(own, to: &meters[.node(name), default: Meter()])
            }
            return uses
        }
    }

    /// Adds the processes of an account as they are now.
    private static func add(_ processes: [Reading], to meter: inout Meter) -> Sample.ProcessUse {
        let pids = Set(processes.map(\.identity.pid))
        let outer = Dictionary(
            processes.filter { !pids.contains($0.parent) }.map { ($0.identity, $0.ticks) }
        ) { first, _ in first }
        // One whose parent ended may have one of the account now, and goes on.
        let living = Set(processes.map(\.identity))
        for (identity, ticks) in meter.outer where !living.contains(identity) { meter.ended &+= ticks }
        meter.outer = outer
        // A process that nobody waits for takes its time with it: less than before is none.
        meter.total = max(meter.total, processes.reduce(meter.ended) { $0 &+ $1.ticks })
        return Sample.ProcessUse(
            processorMilliseconds: meter.total * 1000 / ticksPerSecond,
            memoryBytes: processes.reduce(0) { $0 + $1.pages } * pageSize, processes: processes.count)
    }

    // MARK: - /proc

    /// One process; nil if it is gone.
    private static func reading(_ pid: Int32) -> Reading? {
        guard let bytes = readFile("/proc/\(pid)/stat", limit: 4096) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        // After the name: state is field 3, ppid 4; utime, stime, cutime and cstime are 14 to 17; starttime is 22, and rss
        // 24 (proc(5)).
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 21, let parent = Int32(fields[1]), let start = UInt64(fields[19]) else { return nil }
        return Reading(
            identity: Identity(pid: pid, start: start), parent: parent,
            ticks: fields[11...14].reduce(0) { $0 &+ (UInt64($1) ?? 0) }, pages: UInt64(fields[21]) ?? 0)
    }

    /// The processes in the PID namespaces of these processes.
    private static func processes(below inits: [Int32]) -> [Int32: [Reading]] {
        var owners: [String: Int32] = [:]
        for pid in inits { if let namespace = namespace(of: pid) { owners[namespace] = pid } }
        guard !owners.isEmpty else { return [:] }
        var found: [Int32: [Reading]] = [:]
        for pid in namesInFolder("/proc").lazy.compactMap({ Int32($0) }).prefix(most) {
            guard let namespace = namespace(of: pid), let owner = owners[namespace], let one = reading(pid) else {
                continue
            }
            found[owner, default: []].append(one)
        }
        return found
    }

    private static func namespace(of pid: Int32) -> String? {
        var target = [UInt8](repeating: 0, count: 64)
        let count = readlink("/proc/\(pid)/ns/pid", &target, target.count)
        return count > 0 ? String(decoding: target.prefix(count), as: UTF8.self) : nil
    }
}
