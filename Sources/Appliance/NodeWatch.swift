import Glibc
import LinuxNetwork
import Synchronization

/// Watches a node's network while a check runs, and tells what the check's own processes changed from what others did:
/// its application, a daemon, somebody who came in by `exec`, the kernel.
///
/// When: each process of the check's waits, before it sends the kernel a request that changes the network, for a look at
/// the network, so that all until then is others'. While none of them makes such a request, all is others', too. Who:
/// while one does, the kernel names the socket by which most changes came; the rest (the state of links, IPv6 addresses)
/// is taken for the check's. So what a running application made is neither told nor taken away.
///
/// `baseline` is the picture to go back to: how the node was when the check began, with all that others have changed since.
/// `tolerated` has in it what commands that may alter the node have changed, too: what differs from it is told.
final class NodeWatch: @unchecked Sendable {
    private let node: NodeRuntime
    private let notes: NetworkNotes
    /// What the check's commands in this node carry.
    private let marks = Mutex<Set<ProcessMark>>([])
    private let state: Mutex<State>

    private struct State {
        var baseline: NetworkPicture
        var tolerated: NetworkPicture
        /// How the network was at the last look.
        var seen: NetworkPicture
        /// The requests of the check's that may be under way, by their threads.
        var requests: [Int32: Request] = [:]
        /// The numbers by which the kernel names their requests, each with whether its command may alter the node.
        var ports: [UInt32: Bool] = [:]
        /// How many commands of the check run in the node: those that may alter it, and those that may not.
        var running = [true: 0, false: 0]
        /// True where a process of the check has sent a signal to one that is none.
        var hasSignalled = false
    }

    /// A request to change the network.
    private struct Request {
        var process: Pidfd
        /// The number of its system call.
        var call: Int32
        /// True where its command may alter the node.
        var mayAlter: Bool
        var what: NetworkRequest
    }

    init(_ node: NodeRuntime) throws(ApplianceError) {
        self.node = node
        do throws(SystemError) {
            notes = try NetworkNotes(in: node.namespace)
            let picture = try node.namespace.netlink.picture()
            state = Mutex(State(baseline: picture, tolerated: picture, seen: picture))
        } catch {
            throw ApplianceError(.failed, "\(node.place): \(error)")
        }
    }

    // MARK: - What the check does

    /// A command of the check begins.
    func began(_ mark: ProcessMark, mayAlter: Bool) {
        marks.withLock { _ = $0.insert(mark) }
        look { $0.running[mayAlter]! += 1 }
    }

    /// A command of the check has ended; what it has left in the background may live on.
    func ended(mayAlter: Bool) {
        look { _ in }
        state.withLock { $0.running[mayAlter]! -= 1 }
    }

    /// Hears what a command that has begun does, and all that it has started, as long as any of them lives; nil: nothing
    /// can be heard.
    func follow(_ witness: Witness?, mayAlter: Bool) {
        guard let witness else { return state.withLock { $0.hasSignalled = true } }
        let body: @Sendable () -> Void = { [self] in
            while witness.hear(or: [notes.descriptor], milliseconds: isWatchful ? Self.pause : -1, { act, actor in
                witnessed(act, by: actor, mayAlter)
            }) { look() }
            look()
        }
        // Without a thread its listener goes, and the command is refused what it would have had to ask for.
        do throws(ApplianceError) { try startThread(body) } catch { _ = error }
    }

    /// In milliseconds: how long is waited for what is seen to be told.
    private static let patience = 200
    /// In milliseconds: how soon it is seen that a request has come to its end.
    private static let pause: Int32 = 5

    /// True where a request is under way.
    private var isWatchful: Bool { state.withLock { !$0.requests.isEmpty } }

    /// One of the check's processes is about to do something, and waits for that.
    private func witnessed(_ act: Witness.Act, by actor: Witness.Actor, _ mayAlter: Bool) {
        if case .signals(let target) = act {
            if !isOwn(target) { state.withLock { $0.hasSignalled = true } }
            return
        }
        guard let numbers = Self.numbers(of: actor.thread), let process = try? Pidfd(pid: numbers.process) else { return }
        var (port, what) = (UInt32?.none, NetworkRequest.unknown)
        switch act {
        case .sends(let descriptor, let request):
            port = process.routePort(of: descriptor)
            what = request
            guard what.changes, port != nil else { return }
        case .opensNetlink:
            // What it sends by means of which nothing is heard is named by its number.
            return state.withLock { $0.ports[UInt32(numbers.inNode)] = mayAlter }
        case .callsDevice, .signals: break
        }
        look { state in
            state.requests[actor.thread] = Request(
                process: process, call: actor.call, mayAlter: mayAlter, what: what)
            if let port, port != 0 { state.ports[port] = mayAlter }
        }
    }

    /// Looks once more, so that what a process of the check did is told before it is forgotten.
    func look() { look { _ in } }

    /// Changes a device on the check's behalf.
    func change<Value: Sendable>(
        device: Int32, _ body: (NetlinkSocket) throws(SystemError) -> Value
    ) throws(SystemError) -> Value {
        let netlink = try node.namespace.netlink
        return try whileNobodyLooks([.link(device)]) { (_) throws(SystemError) in try body(netlink) }
    }

    /// Settles all that has changed until now, does something, and settles what has changed with it.
    ///
    /// - Parameter ours: What is done on the check's behalf.
    private func whileNobodyLooks<Value: Sendable>(
        _ ours: [NetworkRequest], _ body: (State) throws(SystemError) -> Value
    ) throws(SystemError) -> Value {
        try state.withLock { (state) throws(SystemError) in
            if notes.hear() { settle(&state) }
            defer {
                _ = notes.hear()
                settle(&state, ours)
            }
            return try body(state)
        }
    }

    // MARK: - What came of it

    /// What commands have changed until now that may not, as sentences.
    var changes: [String] {
        look { _ in }
        return state.withLock { $0.tolerated.changes(to: $0.seen) }
    }

    /// True where a process of the check has sent a signal to one that is not the check's, or none could have been heard.
    var hasSignalled: Bool { state.withLock { $0.hasSignalled } }

    /// Notes that signals may have been sent which nobody has heard.
    func mayHaveSignalled() { state.withLock { $0.hasSignalled = true } }

    /// Takes back what the check has changed.
    ///
    /// - Parameter except: Devices that are left as they are.
    /// - Returns: What could not be put back, as sentences.
    func putBack(except: Set<Int32> = []) throws(SystemError) -> [String] {
        let netlink = try node.namespace.netlink
        // What is put back is so in the baseline already; all else that changes meanwhile is others'.
        return try whileNobodyLooks([]) { (state) throws(SystemError) in
            // Where the check has changed nothing, nothing is touched.
            guard !state.baseline.changes(to: state.seen, except: except).isEmpty else { return [] }
            return try netlink.restore(state.baseline, seen: state.seen, except: except)
        }
    }

    // MARK: - Looking

    /// Settles whose all is that has changed until now; then lets `after` change who can do something from here on.
    private func look(_ after: (inout State) -> Void) {
        state.withLock { state in
            // Those that have come to their end by now did so before what is heard now.
            let ended = state.requests.filter { Self.hasEnded($1, thread: $0) }.keys
            if notes.hear() { settle(&state) }
            for thread in ended { state.requests[thread] = nil }
            after(&state)
        }
    }

    /// True where a request is under way no more.
    private static func hasEnded(_ request: Request, thread: Int32) -> Bool {
        guard !request.process.hasEnded, let bytes = readFile("/proc/\(thread)/syscall", limit: 256) else { return true }
        let call = String(decoding: bytes.prefix { $0 != 32 && $0 != 10 }, as: UTF8.self)
        // One that runs may be anywhere.
        return call != "running" && Int32(call) != request.call
    }

    private func settle(_ state: inout State, _ ours: [NetworkRequest] = []) {
        let earlier = state.seen
        guard let now = try? node.namespace.netlink.picture() else { return }
        // A change can be seen before it is told, on a busy machine a while; whose it is counts where the check's could be.
        for _ in 0..<(state.requests.isEmpty && ours.isEmpty ? 1 : Self.patience) {
            _ = notes.hear()
            if notes.tells(from: earlier, to: now) { break }
            usleep(1000)
        }
        state.seen = now
        guard now != earlier else { return notes.settled() }
        let authorship = Authorship(self, state, ours)
        let requests = authorship.requests.map(\.what)
        state.baseline.adopt(from: earlier, to: now, by: notes, requests: requests) { authorship.of($0, $1) == .others }
        state.tolerated.adopt(from: earlier, to: now, by: notes, requests: requests) { authorship.of($0, $1) != .check }
        notes.settled()
    }

    /// Whose a change was.
    private enum Author {
        case others
        /// A command of the check's that may alter the node, or a fault that the check causes.
        case leave
        case check
    }

    /// What can be told of who changed something since the last look.
    private struct Authorship {
        /// The check's requests, those that may not alter the node first.
        let requests: [(what: NetworkRequest, mayAlter: Bool)]
        private let ports: [UInt32: Bool]
        /// Whose is what others are named for, or nobody: the check's where it is alone in the node, by whatever means (a
        /// sysctl, for one).
        private let rest: Author

        init(_ watch: NodeWatch, _ state: State, _ ours: [NetworkRequest]) {
            ports = state.ports
            let runs = state.running.values.contains { $0 > 0 }
            rest = !runs || !watch.isAlone() ? .others : state.running[false] == 0 ? .leave : .check
            let theirs = state.requests.values.sorted { !$0.mayAlter && $1.mayAlter }.map { ($0.what, $0.mayAlter) }
            requests = watch.notes.hasLost ? [] : theirs + ours.map { ($0, true) }
        }

        /// - Parameters:
        ///   - port: The netlink socket that it came by; 0: none is named.
        ///   - request: Which of the requests can have done it.
        func of(_ port: UInt32, _ request: Int?) -> Author {
            let mayAlter = port == 0 ? request.map { requests[$0].mayAlter } : ports[port]
            return mayAlter.map { $0 ? .leave : .check } ?? rest
        }
    }

    /// True where nobody but the check's commands is in the node.
    private func isAlone() -> Bool {
        guard let initPid = node.currentInitPid else { return true }
        let own = marks.withLock { $0 }
        return NodeProcesses.all(of: initPid).allSatisfy { ProcessMark.isCarried(own, by: $0) || isDying($0) }
    }

    /// True where a signal's target is the check's own, as the node counts.
    private func isOwn(_ target: Int32) -> Bool {
        // Each command leads a group of its own, which 0 means, and no group of anybody else's is among the check's.
        if target == 0 { return true }
        guard target != -1, let initPid = node.currentInitPid else { return false }
        let own = marks.withLock { $0 }
        return ProcessMark.isCarried(own, below: "/proc/\(initPid)/root/proc/\(abs(target))")
    }

    // MARK: - /proc

    /// A thread's process, as this process's namespace counts, and as the innermost does.
    private static func numbers(of thread: Int32) -> (process: Int32, inNode: Int32)? {
        guard let bytes = readFile("/proc/\(thread)/status", limit: 8192) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        func last(_ field: String) -> Int32? {
            lines.first { $0.hasPrefix(field) }?.split { $0 == "\t" || $0 == " " }.last.flatMap { Int32($0) }
        }
        guard let process = last("Tgid:") else { return nil }
        return (process, last("NStgid:") ?? process)
    }
}

extension NodeRuntime {
    /// The number of the node's init, where there is one.
    var currentInitPid: Int32? { currentInit?.pid }
}
