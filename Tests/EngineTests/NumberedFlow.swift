import CLinux
import Engine
import Glibc
import LinuxNetwork
import Synchronization

/// UDP flows between the two namespaces of a bench, whose datagrams are numbered and sent back by an echo there.
final class NumberedFlow: @unchecked Sendable {
    private let clients: [Int32]
    private let echo: Int32
    private var next: UInt64 = 0
    private var outstanding: Set<UInt64> = []

    init(_ bench: EngineBench, sockets: Int) throws {
        let echo = try bench.socket(1, SOCK_DGRAM)
        self.echo = echo
        // What waited for a reader comes all at once.
        var room: Int32 = 16 << 20
        setsockopt(echo, SOL_SOCKET, SO_RCVBUFFORCE, &room, 4)
        guard EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7), { bind(echo, $0, $1) }) == 0 else {
            throw EngineError("bind the echo's socket", errno: errno)
        }
        var clients: [Int32] = []
        for _ in 0..<sockets {
            let client = try bench.socket(0, SOCK_DGRAM)
            setsockopt(client, SOL_SOCKET, SO_RCVBUFFORCE, &room, 4)
            _ = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { connect(client, $0, $1) }
            clients.append(client)
        }
        self.clients = clients
        startThread { Self.echoAll(echo) }
    }

    deinit {
        shutdown(echo, Int32(SHUT_RDWR))
        for client in clients { close(client) }
    }

    private static func echoAll(_ server: Int32) {
        var buffer = [UInt8](repeating: 0, count: 2_048)
        var from = sockaddr_storage()
        while true {
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &from) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(server, &buffer, buffer.count, 0, $0, &length)
                }
            }
            if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { break }
            if count < 0 { continue }
            _ = withUnsafePointer(to: from) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(server, buffer, count, 0, $0, length) }
            }
        }
        close(server)
    }

    /// Sends datagrams, one flow after another.
    func send(_ count: Int) {
        for _ in 0..<count {
            var value = next
            outstanding.insert(value)
            _ = Glibc.send(clients[Int(next) % clients.count], &value, 8, 0)
            next += 1
        }
    }

    /// Waits for `count` datagrams that were sent and have not come back, and returns how many came.
    func receive(_ count: Int) -> Int {
        var came = 0
        var entries = clients.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while came < count, poll(&entries, nfds_t(entries.count), 20_000) > 0 {
            for entry in entries where entry.revents & Int16(POLLIN) != 0 {
                var value: UInt64 = 0
                while recv(entry.fd, &value, 8, Int32(MSG_DONTWAIT)) == 8 {
                    if outstanding.remove(value) != nil { came += 1 }
                }
            }
        }
        return came
    }

    /// Sends datagrams in windows of 64 and returns how many came back.
    func exchange(_ count: Int) -> Int {
        var came = 0
        var left = count
        while left > 0 {
            let window = min(64, left)
            send(window)
            came += receive(window)
            left -= window
        }
        return came
    }

    /// A thread that exchanges without end, until it is told to finish.
    func stream() -> Stream { Stream(self) }

    final class Stream: @unchecked Sendable {
        private let isEnding = Atomic<Bool>(false)
        private let result = Mutex<(sent: Int, returned: Int)?>(nil)

        fileprivate init(_ flow: NumberedFlow) {
            startThread { [self] in
                var sent = 0
                var returned = 0
                repeat {
                    sent += 64
                    returned += flow.exchange(64)
                } while !isEnding.load(ordering: .relaxed) && sent == returned
                result.withLock { $0 = (sent, returned) }
            }
        }

        func finish() -> (sent: Int, returned: Int) {
            isEnding.store(true, ordering: .relaxed)
            while true {
                if let result = result.withLock({ $0 }) { return result }
                usleep(1_000)
            }
        }
    }
}

private func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Carried: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { context in
            Unmanaged<Carried>.fromOpaque(context!).takeRetainedValue().body()
            return nil
        }, Unmanaged.passRetained(Carried(body)).toOpaque())
    pthread_detach(thread)
}
