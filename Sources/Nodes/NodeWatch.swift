import EventLoop
import Glibc
import LinuxNetwork
import Reporting
import Synchronization

/// Watches a node's network while a check runs. It tells changes of the check's own processes from changes by others:
/// the node's application, a daemon, a person who came in by `exec`, the kernel.
///
/// Only evidence counts (`NetworkAuthorship`). It finds the author of a change in this way:
///
/// - A process of the check waits for a look at the network before it sends a request that changes it. All changes
///   until then are others'.
/// - The process's socket is held, so no other socket gets its number. For most changes the kernel names the socket by
///   that number.
/// - For other changes (the state of links, IPv6 addresses) the request itself is read. The changes that it asks for
///   are the check's.
/// - All other changes are others'.
///
/// So changes of a running application are neither reported nor undone. A check that asks for no change is never blamed
/// for one.
///
/// `baseline` is the network state to go back to: how the node was when the check began, with all that others have
/// changed since. `tolerated` also has the changes of commands that may alter the node. Differences from it are
/// reported.
package final class NodeWatch: @unchecked Sendable {
    private let node: NodeRuntime
    private let notes: NetworkNotes
    /// The marks of the check's commands in this node.
    private let marks = Mutex<Set<ProcessMark>>([])
    private let state: Mutex<State>

    private struct State {
        var baseline: NetworkState
        var tolerated: NetworkState
        /// How the network was at the last look.
        var seen: NetworkState
        /// The requests of the check's that may be under way, by their threads.
        var requests: [Int32: Request] = [:]
        /// The netlink sockets of the check's, oldest first.
        var sockets: [Held] = []
        /// How many commands of the check run in the node, by whether they may alter it.
        var running = [true: 0, false: 0]
        /// True if a running command has opened a setting of the network, or none could have been heard.
        var maySet = false
        /// True if only the check's processes were in the node at the last look. Known if `maySet`.
        var wasAlone = false
        /// True if a process of the check has signalled a foreign process.
        var hasSignalled = false
    }

    /// A request to change the network.
    private struct Request {
        var process: Pidfd
        /// The number of its system call.
        var call: Int32
        /// True if its command may alter the node.
        var mayAlter: Bool
        var what: [NetworkRequest]
    }

    /// A netlink socket of a process that lives.
    private struct Held {
        var socket: RouteSocket
        var process: Pidfd
        var mayAlter: Bool
    }

    /// The most sockets that are held: of more the first are forgotten.
    private static let socketBound = 256

    /// Begins to watch a node.
    ///
    /// - Throws: `ApplianceError` if the kernel refuses a socket, or to list the network.
    package init(_ node: NodeRuntime) throws(ApplianceError) {
        self.node = node
        do throws(SystemError) {
            notes = try NetworkNotes(in: node.namespace)
            let networkState = try node.namespace.netlink.networkState()
            state = Mutex(State(baseline: networkState, tolerated: networkState, seen: networkState))
        } catch {
            throw ApplianceError(.failed, "\(node.place): \(error)")
        }
    }

    // MARK: - Acts of the check

    /// A command of the check begins.
    package func began(_ mark: ProcessMark, mayAlter: Bool) {
        marks.withLock { _ = $0.insert(mark) }
        look { $0.running[mayAlter]! += 1 }
    }

    /// A command of the check has ended; what it has left in the background may live on.
    package func ended(mayAlter: Bool) {
        look { state in
            state.running[mayAlter]! -= 1
            if state.running.values.allSatisfy({ $0 == 0 }) { state.maySet = false }
        }
    }

    /// Hears the acts of a command and its descendants as long as any of them lives; nil: nothing can be heard.
    package func follow(_ witness: Witness?, mayAlter: Bool) {
        guard let witness else {
            return look { [self] state in
                (state.hasSignalled, state.maySet, state.wasAlone) = (true, true, isAlone())
            }
        }
        let body: @Sendable () -> Void = { [self] in
            while witness.hear(
                or: [notes.descriptor], within: isWatchful ? Self.pause : nil,
                { act, actor in
                    witnessed(act, by: actor, mayAlter)
                })
            { look() }
            look()
        }
        // Without a thread its listener goes, and the command is refused what it would have had to ask for.
        do throws(ApplianceError) { try startThread(body) } catch { _ = error }
    }

    /// The longest time until the end of a request is seen.
    private static let pause = Duration.milliseconds(5)

    /// True if a request is under way.
    private var isWatchful: Bool { state.withLock { !$0.requests.isEmpty } }

    /// One of the check's processes is about to do something, and waits for that.
    private func witnessed(_ act: Witness.Act, by actor: Witness.Actor, _ mayAlter: Bool) {
        if case .signals(let target) = act {
            if !isOwn(target) { state.withLock { $0.hasSignalled = true } }
            return
        }
        if case .opensSetting = act {
            return look { [self] state in (state.maySet, state.wasAlone) = (true, isAlone()) }
        }
        guard let pid = Self.process(of: actor.thread), let process = try? Pidfd(pid: pid) else { return }
        var (socket, what) = (RouteSocket?.none, [NetworkRequest]())
        switch act {
        case .binds(let descriptor):
            socket = process.routeSocket(descriptor, of: notes)
        case .sends(let descriptor, let requests):
            socket = process.routeSocket(descriptor, of: notes)
            what = socket == nil ? [] : requests.filter(\.changes)
        case .callsDevice(let request): what = request.changes ? [request] : []
        case .signals, .opensSetting: break
        }
        guard socket != nil || !what.isEmpty else { return }
        look { state in
            if !what.isEmpty {
                state.requests[actor.thread] = Request(
                    process: process, call: actor.call, mayAlter: mayAlter, what: what)
            }
            guard let socket else { return }
            let port = socket.port
            if port != 0 { state.sockets.removeAll { $0.socket.port == port } }
            state.sockets.append(Held(socket: socket, process: process, mayAlter: mayAlter))
            if state.sockets.count > Self.socketBound { state.sockets.removeFirst() }
        }
    }

    /// Looks once more, so that no change of a process of the check is forgotten unreported.
    package func look() { look { _ in } }

    /// Changes a device on the check's behalf.
    ///
    /// - Throws: The errors of `body`; the kernel's refusal of a socket.
    package func change<Value: Sendable>(
        device: Int32, up: Bool, _ body: (NetlinkSocket) throws(SystemError) -> Value
    ) throws(SystemError) -> Value {
        let netlink = try node.namespace.netlink
        return try whileNobodyLooks([.link(device, up: up)]) { (_) throws(SystemError) in try body(netlink) }
    }

    /// Settles all that has changed until now, does something, and settles what has changed with it.
    ///
    /// - Parameter ours: The requests on the check's behalf.
    private func whileNobodyLooks<Value: Sendable>(
        _ ours: [NetworkRequest], _ body: (State) throws(SystemError) -> Value
    ) throws(SystemError) -> Value {
        try state.withLock { (state) throws(SystemError) in
            settle(&state)
            defer { settle(&state, ours) }
            return try body(state)
        }
    }

    // MARK: - Results

    /// The changes until now of commands that may not alter the node, as sentences.
    package var changes: [String] {
        look { _ in }
        return state.withLock { $0.tolerated.changes(to: $0.seen) }
    }

    /// True if a process of the check has signalled a foreign process, or if signals cannot be heard.
    package var hasSignalled: Bool { state.withLock { $0.hasSignalled } }

    /// Notes that signals may have been sent which were not heard.
    package func mayHaveSignalled() { state.withLock { $0.hasSignalled = true } }

    /// Takes back what the check has changed.
    ///
    /// - Parameter except: Devices that are left as they are.
    /// - Returns: The failures, as sentences.
    /// - Throws: The kernel's refusal to list the network or to open a socket.
    package func restore(except: Set<Int32> = []) throws(SystemError) -> [String] {
        let netlink = try node.namespace.netlink
        // The baseline has the restored state already. All other changes meanwhile are others'.
        return try whileNobodyLooks([]) { (state) throws(SystemError) in
            // Where the check has changed nothing, nothing is touched.
            guard !state.baseline.changes(to: state.seen, except: except).isEmpty else { return [] }
            return try netlink.restore(state.baseline, seen: state.seen, except: except)
        }
    }

    // MARK: - Looking

    /// Settles the authors of all changes until now. Then `after` changes the set of processes that can change
    /// something.
    private func look(_ after: (inout State) -> Void) {
        state.withLock { state in
            settle(&state)
            after(&state)
        }
    }

    /// True if a request is under way no more.
    private static func hasEnded(_ request: Request, thread: Int32) -> Bool {
        guard !request.process.hasEnded, let bytes = readFile("/proc/\(thread)/syscall", limit: 256) else {
            return true
        }
        let call = String(decoding: bytes.prefix { $0 != 32 && $0 != 10 }, as: UTF8.self)
        // One that runs may be anywhere.
        return call != "running" && Int32(call) != request.call
    }

    private func settle(_ state: inout State, _ ours: [NetworkRequest] = []) {
        // Requests that have ended by now make no more changes and no more notifications.
        let ended = state.requests.filter { Self.hasEnded($1, thread: $0) }.keys
        let gone = state.sockets.filter(\.process.hasEnded).map { ObjectIdentifier($0.socket) }
        let hasHeard = notes.hear()
        defer { state.sockets.removeAll { gone.contains(ObjectIdentifier($0.socket)) } }
        guard hasHeard || !ended.isEmpty || !ours.isEmpty || state.maySet else { return }
        let earlier = state.seen
        guard let now = try? node.namespace.netlink.networkState() else { return }
        // Read the notifications of changes that the network state has by now.
        _ = notes.hear()
        if now != earlier || hasHeard {
            let claims = claims(state, isUnderWay: ended.count < state.requests.count, ours)
            let authorship = NetworkAuthorship(from: earlier, to: now, notes, claims)
            authorship.adopt(into: &state.baseline) { $0 == .others }
            authorship.adopt(into: &state.tolerated) { $0 != .check }
            state.seen = authorship.settled
        }
        notes.settled()
        for thread in ended { state.requests[thread] = nil }
    }

    private func claims(_ state: State, isUnderWay: Bool, _ ours: [NetworkRequest]) -> NetworkClaims {
        func author(_ mayAlter: Bool) -> NetworkAuthor { mayAlter ? .leave : .check }
        // Those that may not alter the node first.
        let theirs = state.requests.values.sorted { !$0.mayAlter && $1.mayAlter }
        let requests = theirs.flatMap { request in request.what.map { ($0, author(request.mayAlter)) } }
        var ports: [NetworkNotes.Port: NetworkAuthor] = [:]
        for held in state.sockets where held.socket.port != 0 { ports[held.socket.port] = author(held.mayAlter) }
        var rest = NetworkAuthor.others
        if state.maySet, state.wasAlone, state.running.values.contains(where: { $0 > 0 }), isAlone() {
            rest = author(state.running[false] == 0)
        }
        return NetworkClaims(
            requests: requests + ours.map { ($0, .leave) }, ports: ports, isUnderWay: isUnderWay, rest: rest)
    }

    /// True if only the check's commands are in the node.
    private func isAlone() -> Bool {
        guard let initPid = node.currentInitPid else { return false }
        let own = marks.withLock { $0 }
        return NodeProcesses.all(of: initPid).allSatisfy { ProcessMark.isCarried(own, by: $0) || isDying($0) }
    }

    /// True if a signal's target is the check's own, as the node counts.
    private func isOwn(_ target: Int32) -> Bool {
        // Each command leads a group of its own, and 0 means that group. The check has no groups of others.
        if target == 0 { return true }
        guard target != -1, let initPid = node.currentInitPid else { return false }
        let own = marks.withLock { $0 }
        return ProcessMark.isCarried(own, below: "/proc/\(initPid)/root/proc/\(abs(target))")
    }

    // MARK: - /proc

    /// A thread's process, as this process's namespace counts.
    private static func process(of thread: Int32) -> Int32? {
        guard let bytes = readFile("/proc/\(thread)/status", limit: 8192) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix("Tgid:") }?.split { $0 == "\t" || $0 == " " }.last.flatMap { Int32($0) }
    }
}

extension NodeRuntime {
    /// The number of the node's init, where there is one.
    var currentInitPid: Int32? { currentInit?.pid }
}
