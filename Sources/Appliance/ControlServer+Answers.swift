import ControlAPI
import EventLoop
import Glibc
import Reporting
import Wire

/// How the server of the control socket answers, and how it treats connections that do not read their answers.
extension ControlServer {
    // MARK: - Answering

    /// Answers one request a turn of the loop, so that the loop's other work is done in between.
    func callTurn() {
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
            if request.name != .stop || connection.onlyReads { try admit(request, from: connection) }
        } catch {
            return refuse(error, to: connection)
        }
        if request.isStream {
            guard makeRoomForStream(for: connection) else {
                return refuse(
                    ApplianceError(
                        .failed,
                        "\(connection.onlyReads ? bounds.streams / 2 : bounds.streams) others already follow events or "
                            + "capture frames",
                        hint: "close one of them: ss -xp shows which processes have \(path) open"), to: connection)
            }
            do throws(ApplianceError) {
                if let stream = try stream(request) {
                    connection.phase = .streaming(stream)
                    return flush(connection)
                }
            } catch {
                return refuse(error, to: connection)
            }
        }
        watch(connection)
        if case .observe = request { connection.onlyReads = true }
        answer(
            request, AnswerLines { [weak self] line, isLast in self?.respond(line, isLast: isLast, to: connection) })
    }

    private func admit(_ request: ControlRequest, from connection: ControlConnection) throws(ApplianceError) {
        guard !connection.onlyReads || request.name.isReading else {
            throw ApplianceError(
                .machine, "this connection may only look, so '\(request.name.rawValue)' is refused",
                hint: "use the tapline command for that")
        }
        // A connection that has not read its answer yet costs this process as much as one that waits for an answer.
        let busy = connections.values.filter { $0.phase == .asking || $0.phase == .quiet && $0.left > 0 }
        let others = busy.count - 1
        guard !connection.onlyReads || busy.count(where: \.onlyReads) <= bounds.asking / 2 else {
            throw ApplianceError(
                .failed, "\(bounds.asking / 2) other requests of programs that may only look are under way",
                hint: "try again when one of them has ended")
        }
        guard others < bounds.asking else {
            throw ApplianceError(
                .failed, "\(others) other requests are under way, or their answers are not read yet",
                hint: "try again when one of them has ended")
        }
        guard connections.values.reduce(0, { $0 + $1.left }) < bounds.held else {
            throw ApplianceError(
                .failed, "\(bounds.held >> 20) MiB of answers wait for programs that do not read them",
                hint: "try again in \(seconds(bounds.stall)), when those connections are closed")
        }
    }

    /// True if there is room for one more stream. A stream that is not read gives its place up. Connections that may only look
    /// take at most half of the places, so that they lock no command out.
    private func makeRoomForStream(for connection: ControlConnection) -> Bool {
        let streams = connections.values.filter(\.isStream)
        if connection.onlyReads, streams.count(where: \.onlyReads) >= bounds.streams / 2 { return false }
        guard streams.count >= bounds.streams else { return true }
        let now = monotonicTime()
        guard let idlest = streams.filter({ $0.stalled(for: bounds.stall, at: now) }).min(by: { $0.marked < $1.marked })
        else { return false }
        sendAway(idlest, "did not read their events", nil)
        return true
    }

    /// Asks every stream for further answers. On the loop's thread.
    func pump() {
        loop.preconditionCurrent()
        for connection in Array(connections.values) where connection.isStream { flush(connection) }
    }

    private func refuse(_ error: ApplianceError, to connection: ControlConnection) {
        respond(try? JSONLine.encode(ControlAnswer<Done>.error(error)), isLast: true, to: connection)
    }

    /// - Parameter line: nil if the answer could not be written as one.
    private func respond(_ line: [UInt8]?, isLast: Bool, to connection: ControlConnection) {
        loop.preconditionCurrent()
        guard connection.isOpen, connection.phase == .asking else { return }
        guard let line else { return drop(connection) }
        connection.write(line, at: monotonicTime())
        if isLast {
            connection.phase = .quiet
            connection.hasAsked = true
            connection.since = monotonicTime()
        }
        flush(connection)
    }

    // MARK: - Writing

    func flush(_ connection: ControlConnection) {
        guard connection.isOpen else { return }
        let now = monotonicTime()
        var room = Self.writesEachTurn
        while room > 0 {
            take(more: connection, at: now)
            guard connection.left > 0 else { break }
            let wrote = connection.send(most: room)
            if wrote < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { return drop(connection) }
                break
            }
            connection.took(wrote, atLeast: Self.leastTaken, at: now)
            room -= wrote
        }
        look()
        if connection.isLast, connection.left == 0 { return drop(connection) }
        if connection.phase == .quiet, connection.left == 0, connection.lineEnd != nil || connection.isEnded {
            take(connection)
        } else {
            watch(connection)
        }
    }

    /// Takes a stream's next lines, as many as there is room for. A line with descriptors is written by itself.
    private func take(more connection: ControlConnection, at now: MonotonicTime) {
        guard case .streaming(let stream) = connection.phase else { return }
        while connection.left < bounds.streamRoom, connection.descriptors.isEmpty, !connection.isLast {
            if stream.hasDescriptors, connection.left > 0 { return }
            guard let line = stream.next() else { return }
            connection.write(line.bytes, at: now)
            (connection.descriptors, connection.owners) = (line.descriptors, line.owners)
            connection.isLast = line.isLast
        }
    }

    /// Watches for the next event of a connection.
    func watch(_ connection: ControlConnection) {
        guard connection.isOpen else { return }
        var events = connection.left > 0 ? POLLOUT : 0
        if connection.phase == .quiet && connection.left == 0 || connection.isStream, !connection.isEnded {
            events |= POLLIN
        }
        loop.watch(connection.descriptor, events) { [unowned self] in ready(connection, $0) }
    }

    // MARK: - Looking after them

    /// Looks at all connections now and then, as long as there are any.
    func look() {
        guard looks == nil, !isClosed else { return }
        looks = loop.after(Self.lookInterval) { [weak self] in
            guard let self else { return }
            self.looks = nil
            self.lookAfter(at: monotonicTime())
            if !self.connections.isEmpty || !self.sentAway.isEmpty { self.look() }
        }
    }

    private func lookAfter(at now: MonotonicTime) {
        for connection in Array(connections.values) {
            if connection.stalled(for: connection.isStream ? bounds.streamStall : bounds.stall, at: now) {
                let what = connection.isStream ? "their events" : "their answers"
                sendAway(connection, "did not read \(what)", nil)
            } else if connection.phase == .quiet, connection.left == 0,
                now - connection.since >= (connection.hasAsked ? bounds.nextLine : bounds.firstLine)
            {
                let time = seconds(connection.hasAsked ? bounds.nextLine : bounds.firstLine)
                sendAway(
                    connection, "asked for nothing for \(time)",
                    ApplianceError(.failed, "no whole request came for \(time): the connection was closed"))
            }
        }
        for (what, closed) in sentAway.sorted(by: { $0.key < $1.key }) {
            let last = closed.last.map { " (the last: process \($0.pid) of the user of number \($0.uid))" } ?? ""
            let connections = "\(closed.count) connection\(closed.count == 1 ? "" : "s")"
            report("closed \(connections) to the control socket, which \(what)\(last)")
        }
        sentAway = [:]
    }
}
