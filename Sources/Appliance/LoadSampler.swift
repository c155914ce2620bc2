import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Redundancy
import Wire

/// Reads the load of instances since the last reading: packets by their links' counters, processor time from /proc.
///
/// In one thread.
struct LoadSampler {
    private struct Reading {
        var packets: UInt64
        var ticks: UInt64
        var time: MonotonicTime
    }
    private var last: [String: Reading] = [:]
    /// Clock ticks per second (sysconf(3)).
    private let ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))

    /// An instance whose load is read.
    struct Subject {
        var node: NodePlan
        var namespace: NetworkNamespace
        /// The process number of its init; nil if nothing runs in it.
        var initProcess: Int32?
    }

    /// The loads of the instances that have been read before; the others are read for the next time.
    ///
    /// - Parameter fabric: The namespace of the bridges' ends of the veths.
    mutating func read(_ subjects: [Subject], fabric: NetworkNamespace?, at now: MonotonicTime) -> [ScaleDecision.Load]
    {
        // One request for all of them: the fabric sees every packet that goes to a bridged node.
        let counters = (try? fabric?.netlink.counters()) ?? [:]
        var loads: [ScaleDecision.Load] = []
        var fresh: [String: Reading] = [:]
        for subject in subjects {
            let reading = Reading(
                packets: Self.packets(of: subject, counters), ticks: subject.initProcess.map(Self.ticks) ?? 0, time: now
            )
            fresh[subject.node.name] = reading
            guard let before = last[subject.node.name], now > before.time else { continue }
            let span = (now - before.time) / .seconds(1)
            // A process that ends without its parent's looking takes its time with it: less than before is none.
            let ticks = reading.ticks >= before.ticks ? reading.ticks - before.ticks : 0
            let packets = reading.packets >= before.packets ? reading.packets - before.packets : 0
            loads.append(
                ScaleDecision.Load(
                    instance: subject.node.name, rate: Double(packets) / span,
                    processor: Double(ticks) / ticksPerSecond / span * 100))
        }
        last = fresh
        return loads
    }

    private static func packets(of subject: Subject, _ fabric: [String: LinkCounters]) -> UInt64 {
        guard let leg = subject.node.legs.first else { return 0 }
        if let device = leg.fabricDevice { return fabric[device]?.sentPackets ?? 0 }
        let inside = try? subject.namespace.netlink.counters()
        return inside?[leg.device]?.receivedPackets ?? 0
    }

    /// The processor time of all processes of a node until now, including ended ones, in clock ticks.
    private static func ticks(in node: Int32) -> UInt64 {
        // The node's own /proc has a folder for each of its processes, and for no other of the machine.
        let folder = "/proc/\(node)/root/proc"
        var sum: UInt64 = 0
        for name in namesInFolder(folder) where name.utf8.allSatisfy({ (48...57).contains($0) }) {
            guard let bytes = readFile("\(folder)/\(name)/stat", limit: 4096) else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.lastIndex(of: ")") else { continue }
            // After the name: state is field 3, and utime, stime, cutime and cstime are 14 to 17 (proc(5)).
            let fields = text[text.index(after: end)...].split(separator: " ")
            guard fields.count > 14 else { continue }
            // Root inside the node can put any file there.
            sum = fields[11...14].reduce(sum) { $0 &+ (UInt64($1) ?? 0) }
        }
        return sum
    }
}
