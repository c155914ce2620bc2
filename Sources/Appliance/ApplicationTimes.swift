import ControlAPI
import EventLoop
import Glibc
import LinuxNetwork
import Reporting
import Tracing
import Wire

/// The times that packets spend in applications, measured while somebody asks for them. On the loop's thread.
///
/// A process of its own reads frames and counts; this process reads no frame, only counts. They never go back: what an
/// earlier measuring process has counted is kept.
final class ApplicationTimes {
    private struct Measuring {
        var process: Pidfd
        var output: Int32
        var oneIn: Int
        var input: [UInt8] = []
        var latest: [NodeTimes] = []
    }

    private let loop: EventLoop
    private let topology: String
    private var measuring: Measuring?
    private var earlier: [String: NodeTimes] = [:]
    private var timer: Int?
    private var hasStopped = false
    /// When counting began, in microseconds since 1970.
    private(set) var began = 0

    /// How long measuring goes on after it was last asked for: two or three scrapes may fail.
    static let lease = Duration.seconds(300)
    /// Octets of a line: thousands of nodes.
    private static let longestLine = 4 << 20

    init(loop: EventLoop, topology: String) {
        self.loop = loop
        self.topology = topology
    }

    /// What was counted, by node.
    var counts: [String: NodeTimes] {
        var counts = earlier
        for times in measuring?.latest ?? [] { counts[times.node, default: NodeTimes(node: times.node)].add(times) }
        return counts
    }

    /// Measures for a while, one flow in `oneIn`. If more flows are measured already, it stays at that.
    func want(oneIn: Int) {
        loop.preconditionCurrent()
        guard !hasStopped else { return }
        if let timer { loop.cancel(timer) }
        timer = loop.after(Self.lease) { [weak self] in self?.end() }
        if let measuring, measuring.oneIn <= oneIn { return }
        end(keepsLease: true)
        begin(oneIn)
    }

    /// Ends measuring for good.
    func stop() {
        hasStopped = true
        end()
    }

    private func begin(_ oneIn: Int) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        defer { close(ends[1]) }
        guard
            let process = try? DetachedStart.spawn(
                ["measure", topology, "--sample", "1/\(oneIn)"], descriptors: [1: ends[1]], diesWithParent: true)
        else {
            close(ends[0])
            return
        }
        if began == 0 { began = wallClockMicroseconds() }
        measuring = Measuring(process: process, output: ends[0], oneIn: oneIn)
        loop.watch(ends[0]) { [weak self] _ in self?.read() }
    }

    private func read() {
        guard var now = measuring else { return }
        let bytes = readOnce(now.output)
        // It has ended: the next one who asks starts another one.
        guard let bytes, !bytes.isEmpty else {
            if bytes == nil, errno == EAGAIN { return }
            return end(keepsLease: true)
        }
        now.input += bytes
        if let last = now.input.lastIndex(of: 10) {
            let line = now.input[..<last].split(separator: 10).last ?? []
            if let times = try? JSONLine.decode([NodeTimes].self, line) {
                now.latest = times.filter { $0.counts.count == NodeTimes.bounds.count + 1 }
            }
            now.input.removeFirst(last + 1)
        }
        if now.input.count > Self.longestLine { now.input = [] }
        measuring = now
    }

    private func end(keepsLease: Bool = false) {
        if !keepsLease, let timer {
            loop.cancel(timer)
            self.timer = nil
        }
        guard let ended = measuring else { return }
        earlier = counts
        measuring = nil
        loop.unwatch(ended.output)
        close(ended.output)
        let process = ended.process
        try? process.signal(SIGKILL)
        do throws(ApplianceError) { try startThread { _ = try? process.wait() } } catch { _ = error }
    }
}
