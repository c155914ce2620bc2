import Glibc

/// The control process's end of the control socket: accepts connections on the loop, reads lines, answers each.
///
/// Nobody can hold up the loop, or keep others out:
/// - Whoever has asked for nothing yet, follows events, or waits for a long answer has places of its own kind, of which
///   there is a number each. Where those of the first kind are all taken, the oldest goes; who comes too late for one of
///   the others is told.
/// - One request of a connection is answered at a time, and the connections take turns; `stop` goes before all.
/// - A connection is read only when its answer has been taken. One that takes none is closed, and the log tells.
/// - Only root, and the user of a topology without root, is heard.
///
/// At most `bounds.held` octets and one answer more wait for readers, beside 64 KiB for each stream and each line that
/// is not whole yet.
final class ControlServer {
    /// How much of everything there may be.
    struct Bounds {
        /// Octets of a request.
        var line = 65536
        /// Octets that wait to be read, above which no more of a stream is asked for.
        var streamRoom = 65536
        /// Connections that have asked for nothing yet.
        var quiet = 64
        /// Requests that are not answered at once, and answers that are not read at once.
        var asking = 32
        /// Streams.
        var streams = 32
        /// Octets of answers that wait for readers, above which no more are made.
        var held = 64 << 20
        /// How long the first whole line may take, and each that follows an answer, in milliseconds.
        var firstLine = 5000
        /// See `firstLine`.
        var nextLine = 60_000
        /// How long an answer may be left alone by its reader, in milliseconds.
        var stall = 10_000
        /// The same for a stream; where there are others that want its place, as long as an answer.
        var streamStall = 600_000
    }

    /// Connections accepted in one turn of the loop, so that other things have theirs.
    private static let acceptsEachTurn = 16
    /// Octets written to one connection in one turn.
    private static let writesEachTurn = 1 << 20
    /// Octets that count as taking an answer.
    private static let leastTaken = 65536
    private static let lookInterval = 500

    private let loop: EventLoop
    private let listener: Int32
    private let path: String
    private let bounds: Bounds
    private var connections: [Int32: ControlConnection] = [:]
    /// Those whose next request waits for its turn.
    private var queue: [ControlConnection] = []
    private var isTurnComing = false
    private var isClosed = false
    private var looks: Int?
    private var nextNumber: UInt64 = 0
    /// What has been done to connections since the last look, and to which process last.
    private var sentAway: [String: (count: Int, last: SocketPeer?)] = [:]
    private let stream: (ControlRequest) -> (() -> ControlResponse?)?
    private let answer: (ControlRequest, ControlReply) -> Void
    private let report: (String) -> Void

    /// Listens at `path`. On the loop's thread.
    ///
    /// - Parameters:
    ///   - stream: What a request is answered with again and again, by `pump`; nil where `answer` answers it.
    ///   - answer: Answers a request, now or later; what is progress goes before the answer.
    ///   - report: Takes what is to be logged: a line now and then.
    init(
        loop: EventLoop, path: String, bounds: Bounds = Bounds(), report: @escaping (String) -> Void = { _ in },
        stream: @escaping (ControlRequest) -> (() -> ControlResponse?)?,
        answer: @escaping (ControlRequest, ControlReply) -> Void
    ) throws(ApplianceError) {
        self.loop = loop
        self.path = path
        self.bounds = bounds
        self.report = report
        self.stream = stream
        self.answer = answer
        unlink(path)
        listener = newSocket()
        guard listener >= 0 else { throw .system("cannot make a control socket", errno: errno) }
        do throws(ApplianceError) { try Self.listen(listener, at: path) } catch {
            Glibc.close(listener)
            throw error
        }
        loop.watch(listener) { [unowned self] _ in accept() }
    }

    private static func listen(_ listener: Int32, at path: String) throws(ApplianceError) {
        let mask = umask(0o177)
        defer { umask(mask) }
        guard let bound = withSocketAddress(path, { bind(listener, $0, $1) }) else {
            throw ApplianceError(.name, "the name is too long for a socket at \(path)", mend: "choose a shorter one")
        }
        guard bound == 0 else { throw .system("cannot listen at \(path)", errno: errno) }
        do throws(ApplianceError) {
            try requirePrivate(path, S_IFSOCK, 0o600)
            try requirePrivate(path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ".", S_IFDIR, 0o700)
        } catch {
            unlink(path)
            throw error
        }
        guard Glibc.listen(listener, 64) == 0 else { throw .system("cannot listen at \(path)", errno: errno) }
    }

    /// What others could reach is closed to them; what is not ours is not used.
    private static func requirePrivate(_ path: String, _ kind: mode_t, _ mode: mode_t) throws(ApplianceError) {
        var info = stat()
        func isPrivate() -> Bool {
            lstat(path, &info) == 0 && info.st_mode & S_IFMT == kind && info.st_uid == geteuid()
                && info.st_mode & 0o7777 == mode
        }
        guard !isPrivate(), chmod(path, mode) != 0 || !isPrivate() else { return }
        throw ApplianceError(
            .failed,
            "the control socket is not safe: \(path) belongs to the user of number \(info.st_uid), with the mode "
                + "\(String(info.st_mode & 0o7777, radix: 8)) instead of \(String(mode, radix: 8))",
            mend: "look who else writes to \(path)")
    }

    /// Closes everything and takes the socket away. On the loop's thread.
    func close() {
        isClosed = true
        loop.unwatch(listener)
        Glibc.close(listener)
        for connection in Array(connections.values) { drop(connection) }
        if let looks { loop.cancel(looks) }
        unlink(path)
    }

    // MARK: - Coming and going

    private func accept() {
        for _ in 0..<Self.acceptsEachTurn where !isClosed {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else {
                if ![EAGAIN, EINTR, ECONNABORTED].contains(errno) { rest() }
                return
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            let peer = SocketPeer(descriptor)
            let connection = ControlConnection(descriptor, peer, number: nextNumber, now: monotonicMilliseconds())
            nextNumber &+= 1
            guard peer?.isTrusted == true else {
                let uid = peer.map { "\($0.uid)" } ?? "unknown"
                sendAway(
                    connection, "were neither root nor the topology's user",
                    ApplianceError(
                        .machine, "this control process hears root and its own user alone, and not the user of number \(uid)",
                        mend: "use sudo, or be the user who started the topology"))
                continue
            }
            makeRoom()
            connections[descriptor] = connection
            look()
            take(connection)
        }
    }

    /// No more files can be opened: who has asked for nothing goes, and the rest is tried again in a while.
    private func rest() {
        if let oldest = quiet.min(by: { $0.number < $1.number }) { sendAwayForOthers(oldest) }
        loop.unwatch(listener)
        loop.after(milliseconds: 100) { [weak self] in
            guard let self, !self.isClosed else { return }
            self.loop.watch(self.listener) { [unowned self] _ in accept() }
        }
    }

    private var quiet: [ControlConnection] { connections.values.filter { $0.phase == .quiet && $0.left == 0 } }

    /// Where all places for those who have not asked are taken, the oldest goes, unless it has asked by now.
    private func makeRoom() {
        while true {
            let quiet = quiet
            guard quiet.count >= bounds.quiet, let oldest = quiet.min(by: { $0.number < $1.number }) else { return }
            take(oldest)
            if oldest.isOpen, oldest.phase == .quiet { sendAwayForOthers(oldest) }
        }
    }

    private func sendAwayForOthers(_ connection: ControlConnection) {
        sendAway(
            connection, "asked for nothing while others wanted their places",
            ApplianceError(
                .failed, "\(bounds.quiet) others are connected to the control process and ask for nothing, so this "
                    + "connection was closed for another",
                mend: "try again; \(path) is open in the processes that are in the way: ss -xp"))
    }

    /// Tells a connection why, as far as it takes that at once, and closes it.
    private func sendAway(_ connection: ControlConnection, _ what: String, _ error: ApplianceError?) {
        sentAway[what, default: (0, nil)].count += 1
        sentAway[what]?.last = connection.peer
        look()
        if let error, connection.left == 0, let bytes = try? JSONLine.encode(ControlResponse(error: error)) {
            _ = bytes.withUnsafeBytes { send(connection.descriptor, $0.baseAddress, $0.count, noSignal) }
        }
        drop(connection)
    }

    private func drop(_ connection: ControlConnection) {
        guard connection.isOpen else { return }
        connection.isOpen = false
        connections[connection.descriptor] = nil
        queue.removeAll { $0 === connection }
        loop.unwatch(connection.descriptor)
        Glibc.close(connection.descriptor)
    }

    // MARK: - Reading

    private func ready(_ connection: ControlConnection, _ events: Int32) {
        if events & POLLOUT != 0 || connection.left > 0 { flush(connection) }
        guard connection.isOpen, events & (POLLIN | POLLHUP | POLLERR) != 0 else { return }
        switch connection.phase {
        case .quiet: take(connection)
        case .streaming:
            // What is said to a stream is nothing that counts; its end does.
            if events & (POLLHUP | POLLERR) != 0 { return drop(connection) }
            guard let bytes = readOnce(connection.descriptor) else { return }
            if bytes.isEmpty { connection.isEnded = true }
            watch(connection)
        case .queued, .asking:
            // It has gone, and would be told as gone again and again. What it asked for is done all the same.
            if events & (POLLHUP | POLLERR) != 0 { loop.unwatch(connection.descriptor) }
        }
    }

    /// Takes the next request of a connection that has none under way, as far as it is there.
    private func take(_ connection: ControlConnection) {
        guard connection.isOpen, connection.phase == .quiet, connection.left == 0 else { return }
        if connection.lineEnd == nil, !connection.isEnded {
            guard let bytes = readOnce(connection.descriptor) else {
                if errno == EAGAIN { watch(connection) } else { drop(connection) }
                return
            }
            connection.add(bytes)
            if bytes.isEmpty { connection.isEnded = true }
        }
        guard let line = connection.nextLine() else {
            if connection.isEnded { return drop(connection) }
            guard connection.unread <= bounds.line else {
                return sendAway(
                    connection, "sent a request without an end",
                    ApplianceError(.usage, "a request is at most \(bounds.line) octets and the end of its line"))
            }
            return watch(connection)
        }
        do throws(ApplianceError) {
            guard line.count <= bounds.line else {
                throw ApplianceError(.usage, "a request is at most \(bounds.line) octets and the end of its line")
            }
            let request = try ControlRequest(line: line)
            connection.phase = .queued
            connection.next = .success(request)
            // Taking the topology away waits for nobody's turn.
            queue.insert(connection, at: request.command == .stop ? 0 : queue.count)
        } catch {
            connection.phase = .queued
            connection.next = .failure(error)
            queue.append(connection)
        }
        watch(connection)
        callTurn()
    }

    // MARK: - Answering

    /// One request a turn of the loop, so that whatever else there is to do is done in between.
    private func callTurn() {
        guard !isTurnComing, !queue.isEmpty else { return }
        isTurnComing = true
        let turn = Box(self)
        loop.submit {
            let server = turn.value
            server.isTurnComing = false
            guard !server.isClosed, !server.queue.isEmpty else { return }
            server.serve(server.queue.removeFirst())
            server.callTurn()
        }
    }

    private func serve(_ connection: ControlConnection) {
        guard connection.isOpen, let next = connection.next else { return }
        connection.next = nil
        connection.phase = .asking
        let request: ControlRequest
        do throws(ApplianceError) {
            request = try next.get()
            if request.command != .stop { try admit(request) }
        } catch {
            return respond(ControlResponse(error: error), to: connection)
        }
        guard let more = stream(request) else {
            watch(connection)
            return answer(
                request,
                ControlReply { [weak self] line, isLast in self?.respond(line, isLast: isLast, to: connection) })
        }
        guard makeRoomForStream() else {
            return respond(
                ControlResponse(
                    error: ApplianceError(
                        .failed, "\(bounds.streams) others follow the events already",
                        mend: "end one of them: ss -xp shows which processes have \(path) open")), to: connection)
        }
        connection.phase = .streaming(more)
        flush(connection)
    }

    private func admit(_ request: ControlRequest) throws(ApplianceError) {
        // Who has not read its answer yet takes as much of this process as who waits for one.
        let others = connections.values.count { $0.phase == .asking || $0.phase == .quiet && $0.left > 0 } - 1
        guard others < bounds.asking else {
            throw ApplianceError(
                .failed, "\(others) other requests are being worked on, or their answers not read yet",
                mend: "try again when one of them is done")
        }
        guard connections.values.reduce(0, { $0 + $1.left }) < bounds.held else {
            throw ApplianceError(
                .failed, "\(bounds.held >> 20) MiB of answers wait for programs that do not read them",
                mend: "try again in \(seconds(bounds.stall)): then those are closed")
        }
    }

    /// True where there is a place for one stream more; one that nobody reads goes for it.
    private func makeRoomForStream() -> Bool {
        let streams = connections.values.filter(\.isStream)
        guard streams.count >= bounds.streams else { return true }
        let now = monotonicMilliseconds()
        guard let idlest = streams.filter({ $0.stalled(for: bounds.stall, at: now) }).min(by: { $0.marked < $1.marked })
        else { return false }
        sendAway(idlest, "did not read the events that they follow", nil)
        return true
    }

    /// Asks every stream for what there is more of. On the loop's thread.
    func pump() {
        for connection in Array(connections.values) where connection.isStream { flush(connection) }
    }

    private func respond(_ response: ControlResponse, to connection: ControlConnection) {
        guard let line = try? JSONLine.encode(response) else { return drop(connection) }
        respond(line, isLast: response.progress == nil, to: connection)
    }

    /// - Parameter line: nil where the answer could not be written as one.
    private func respond(_ line: [UInt8]?, isLast: Bool, to connection: ControlConnection) {
        guard connection.isOpen, connection.phase == .asking else { return }
        guard let line else { return drop(connection) }
        connection.write(line, at: monotonicMilliseconds())
        if isLast {
            connection.phase = .quiet
            connection.hasAsked = true
            connection.since = monotonicMilliseconds()
        }
        flush(connection)
    }

    // MARK: - Writing

    private func flush(_ connection: ControlConnection) {
        guard connection.isOpen else { return }
        let now = monotonicMilliseconds()
        var room = Self.writesEachTurn
        while room > 0 {
            if case .streaming(let more) = connection.phase {
                while connection.left < bounds.streamRoom, let response = more(),
                    let bytes = try? JSONLine.encode(response)
                { connection.write(bytes, at: now) }
            }
            guard connection.left > 0 else { break }
            let wrote = connection.output.withUnsafeBytes {
                send(connection.descriptor, $0.baseAddress! + connection.sent, min(room, connection.left), noSignal)
            }
            if wrote < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { return drop(connection) }
                break
            }
            connection.took(wrote, atLeast: Self.leastTaken, at: now)
            room -= wrote
        }
        look()
        if connection.phase == .quiet, connection.left == 0, connection.lineEnd != nil || connection.isEnded {
            take(connection)
        } else {
            watch(connection)
        }
    }

    /// Waits for what a connection can do next.
    private func watch(_ connection: ControlConnection) {
        guard connection.isOpen else { return }
        var events = connection.left > 0 ? POLLOUT : 0
        if connection.phase == .quiet && connection.left == 0 || connection.isStream, !connection.isEnded {
            events |= POLLIN
        }
        loop.watch(connection.descriptor, events) { [unowned self] in ready(connection, $0) }
    }

    // MARK: - Looking after them

    /// Has everything looked after for as long as there is anything.
    private func look() {
        guard looks == nil, !isClosed else { return }
        looks = loop.after(milliseconds: Self.lookInterval) { [weak self] in
            guard let self else { return }
            self.looks = nil
            self.lookAfter(at: monotonicMilliseconds())
            if !self.connections.isEmpty || !self.sentAway.isEmpty { self.look() }
        }
    }

    private func lookAfter(at now: Int) {
        for connection in Array(connections.values) {
            if connection.stalled(for: connection.isStream ? bounds.streamStall : bounds.stall, at: now) {
                sendAway(
                    connection, connection.isStream ? "did not read the events that they follow" : "did not read their answers",
                    nil)
            } else if connection.phase == .quiet, connection.left == 0,
                now - connection.since >= (connection.hasAsked ? bounds.nextLine : bounds.firstLine)
            {
                let time = seconds(connection.hasAsked ? bounds.nextLine : bounds.firstLine)
                sendAway(
                    connection, "asked for nothing for \(time)",
                    ApplianceError(.failed, "no whole request came for \(time): the connection was closed"))
            }
        }
        for (what, told) in sentAway.sorted(by: { $0.key < $1.key }) {
            let last = told.last.map { " (the last: process \($0.pid) of the user of number \($0.uid))" } ?? ""
            report("closed \(told.count) connection\(told.count == 1 ? "" : "s") to the control socket, which \(what)\(last)")
        }
        sentAway = [:]
    }
}

/// Where the answers to one request go, on the loop's thread: any number that tell progress, and one more.
struct ControlReply {
    /// Takes a line, nil where there is none, and whether it is the last.
    fileprivate let take: ([UInt8]?, Bool) -> Void

    fileprivate init(_ take: @escaping ([UInt8]?, Bool) -> Void) { self.take = take }

    func callAsFunction(_ response: ControlResponse) { take(try? JSONLine.encode(response), response.progress == nil) }

    /// The answer as a line that has been written already: a long one is written beside the loop, and all who get it share
    /// its memory.
    func callAsFunction(line: [UInt8]) { take(line, true) }
}

/// One connection to the control socket, as its server sees it.
final class ControlConnection {
    enum Phase {
        /// Nothing of it is under way.
        case quiet
        /// Its request waits for its turn.
        case queued
        /// Its request is being answered.
        case asking
        /// It is answered again and again.
        case streaming(() -> ControlResponse?)

        static func == (first: Phase, second: Phase) -> Bool {
            switch (first, second) {
            case (.quiet, .quiet), (.queued, .queued), (.asking, .asking), (.streaming, .streaming): true
            default: false
            }
        }
    }

    let descriptor: Int32
    let peer: SocketPeer?
    /// Counts connections as they came.
    let number: UInt64
    var phase = Phase.quiet
    var isOpen = true
    /// It says nothing more.
    var isEnded = false
    /// It has been answered before.
    var hasAsked = false
    /// Since when it has asked for nothing, in milliseconds.
    var since: Int
    /// What it asks for next, or why that is nothing.
    var next: Result<ControlRequest, ApplianceError>?
    private var input: [UInt8] = []
    /// Octets of `input` that have been used, and where the next line ends.
    private var used = 0
    private(set) var lineEnd: Int?
    private(set) var output: [UInt8] = []
    /// Octets of `output` that have been written.
    private(set) var sent = 0
    /// When it last took as much as counts, in milliseconds.
    private(set) var marked: Int
    private var taken = 0

    init(_ descriptor: Int32, _ peer: SocketPeer?, number: UInt64, now: Int) {
        self.descriptor = descriptor
        self.peer = peer
        self.number = number
        since = now
        marked = now
    }

    var isStream: Bool { if case .streaming = phase { true } else { false } }
    /// Octets that wait to be read.
    var left: Int { output.count - sent }
    /// Octets that came and are not used yet.
    var unread: Int { input.count - used }

    /// Each octet is looked at once, in however many pieces they come.
    func add(_ bytes: [UInt8]) {
        if lineEnd == nil { lineEnd = bytes.firstIndex(of: 10).map { $0 + input.count } }
        input += bytes
    }

    func nextLine() -> [UInt8]? {
        guard let end = lineEnd else { return nil }
        let line = Array(input[used..<end])
        used = end + 1
        lineEnd = input[used...].firstIndex(of: 10)
        if lineEnd == nil {
            input.removeSubrange(..<used)
            used = 0
        }
        return line
    }

    func write(_ bytes: [UInt8], at now: Int) {
        if left == 0 {
            (marked, taken) = (now, 0)
            (output, sent) = (bytes, 0)
        } else {
            output += bytes
        }
    }

    /// It has taken some of its output.
    func took(_ count: Int, atLeast least: Int, at now: Int) {
        sent += count
        taken += count
        if taken >= least || left == 0 { (marked, taken) = (now, 0) }
        if left == 0 { (output, sent) = ([], 0) }
    }

    /// True where it leaves alone what it is to read.
    func stalled(for time: Int, at now: Int) -> Bool { left > 0 && now - marked >= time }
}
