import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Forwarding
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting

extension CheckSession {
    /// The most lines of one piece of evidence.
    private static let linesShown = 20
    private static let framesShown = 12

    /// Evidence that may explain why the check does not hold: the ends of the logs that were written meanwhile, nodes
    /// whose state has changed, drops and entries that have counted, captures, and the traces of packets.
    func evidence() -> [CheckReport.Evidence] {
        var evidence = traces
        let changes = stateChanges()
        if !changes.isEmpty { evidence.append(CheckReport.Evidence(title: "nodes that changed", lines: changes)) }
        let now = sources.counters()
        let drops = now.dropSummary(since: counters, of: sources.plan)
        if !drops.isEmpty { evidence.append(CheckReport.Evidence(title: "dropped meanwhile", lines: drops)) }
        let passages = passageSummary(now)
        if !passages.isEmpty { evidence.append(CheckReport.Evidence(title: "applications", lines: passages)) }
        let entries = entrySummary(now)
        if !entries.isEmpty { evidence.append(CheckReport.Evidence(title: "entries that counted", lines: entries)) }
        for (place, capture) in captures.sorted(by: { $0.key.node < $1.key.node }) {
            capture.flush()
            let interface = sources.plan.interfaces[place.interface].name
            evidence.append(
                CheckReport.Evidence(
                    title: "capture of \(place.node) on \(interface): \(capture.path)",
                    lines: capture.frameSummary(Self.framesShown)))
        }
        // The nodes of the check come first, then the nodes that the packets passed.
        let others = sources.plan.nodes.map(\.name).filter { !concerned.contains($0) }
        for node in concerned + others {
            for log in sources.plan.nodes.first(where: { $0.name == node })?.logs ?? [] {
                let lines = logLines(log)
                if !lines.isEmpty { evidence.append(CheckReport.Evidence(title: "log of \(log.name)", lines: lines)) }
            }
        }
        return evidence
    }

    private func stateChanges() -> [String] {
        sources.plan.nodes.compactMap { node in
            guard let before = nodeStates[node.name], let runtime = try? sources.node(node.name) else { return nil }
            let (state, application, end) = runtime.glimpse()
            let isOther = applications[node.name] !== application
            guard state != before || isOther else { return nil }
            let now = state == before ? "it was started again" : "it is \(state.rawValue), not \(before.rawValue)"
            return "\(node.name): " + (isOther ? end.map { "its application \($0), and " } ?? "" : "") + now
        }
    }

    /// The packets into and out of each application, by the entries' counters: `2 packets went into fw, none came out`.
    /// No counter tells the instances of one application apart.
    private func passageSummary(_ now: CounterReading) -> [String] {
        Passages(sources.plan).summary { name in
            let (before, after) = (counters.entries[name]?.packets ?? 0, now.entries[name]?.packets ?? 0)
            return after - min(after, before)
        }
    }

    /// The entries of every service with at least one count. The first entry without a count shows where a packet
    /// stopped.
    private func entrySummary(_ now: CounterReading) -> [String] {
        func rise(_ name: String) -> UInt64 {
            (now.entries[name]?.packets ?? 0)
                - min(now.entries[name]?.packets ?? 0, counters.entries[name]?.packets ?? 0)
        }
        func service(_ name: String) -> Substring {
            let mark = name.firstRange(of: ".request.") ?? name.firstRange(of: ".response.")
            return name[..<(mark?.lowerBound ?? name.endIndex)]
        }
        let touched = Set(now.entries.keys.filter { rise($0) > 0 }.map(service))
        let names = now.entries.keys.filter { touched.contains(service($0)) }.sorted()
        return names.prefix(Self.linesShown).map { "\($0): \(Plural.counted(rise($0), "packet"))" }
            + (names.count > Self.linesShown ? ["(and \(names.count - Self.linesShown) more)"] : [])
    }

    /// The end of a log since the check began.
    private func logLines(_ log: LogSource) -> [String] {
        let path = sources.directory.outputPath(log.node, program: log.program)
        let before = logLengths[log] ?? 0
        let length = fileLength(path)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, length != before else {
            if descriptor >= 0 { close(descriptor) }
            return []
        }
        defer { close(descriptor) }
        // A log that was started over meanwhile is shorter than it was.
        let from = max(length > before ? before : 0, length - 65536)
        lseek(descriptor, off_t(from), Int32(SEEK_SET))
        var bytes: [UInt8] = []
        while bytes.count < 1 << 17, let more = readOnce(descriptor), !more.isEmpty { bytes += more }
        return shownLines(bytes, Self.linesShown)
    }
}
