import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting
import Synchronization
import Wire

/// What the live page's process is told at its start: the first message on its socket to the broker.
package struct PortalSettings: Codable, Sendable {
    /// The topology.
    package var name: String
    /// The user and group that it becomes; 0 leaves them as they are.
    package var user: UInt32
    /// The names that a request's Host may have, in small letters, without a port.
    package var hosts: [String]
    /// True if an address in numbers is also a name that Host may have.
    package var takesAnyAddress: Bool
    /// The secret that requests need; nil: none.
    package var token: String?
    /// How long a connection may keep the page waiting, in milliseconds: for a whole request, or for room to write.
    package var patience: Int

    /// Memberwise.
    package init(
        name: String, user: UInt32, hosts: [String], takesAnyAddress: Bool, token: String?, patience: Int
    ) {
        self.name = name
        self.user = user
        self.hosts = hosts
        self.takesAnyAddress = takesAnyAddress
        self.token = token
        self.patience = patience
    }
}

/// Gives connections to a topology's control process to a process that has no rights of its own. Each of them may only look
/// (`ObserveRequest`), for good, before the other process gets it.
///
/// The other process can ask for nothing else: whatever it sends means "one more connection".
package final class ConnectionBroker {
    /// What an answer begins with.
    enum Answer: UInt8 {
        /// A connection comes beside it.
        case connection = 1
        /// No control process listens.
        case nobody
        /// The reason follows as JSON.
        case refusal
    }

    private let client: ApplianceClient
    private let socket: OwnedDescriptor

    /// The longest message.
    static let longestMessage = 65_536

    /// - Parameters:
    ///   - socket: This end of a SOCK_SEQPACKET pair.
    ///   - settings: The first message to the other end.
    /// - Throws: `ApplianceError` if the other end cannot be told.
    package init(
        _ client: ApplianceClient, socket: consuming OwnedDescriptor, _ settings: PortalSettings
    ) throws(ApplianceError) {
        self.client = client
        self.socket = socket
        let bytes = try JSONLine.encode(settings)
        let result = clinux_send_fds(self.socket.number, bytes, bytes.count, [], 0)
        guard result == 0 else { throw .system("cannot tell the live page's process its settings", errno: -result) }
    }

    /// Readable when the other end asks, or is gone.
    package var descriptor: Int32 { socket.number }

    /// Answers one question.
    ///
    /// - Returns: False if the other end is gone.
    package func serve() -> Bool {
        var octets = [UInt8](repeating: 0, count: 16)
        var descriptors = [Int32](repeating: -1, count: Int(CLINUX_MAX_FDS))
        var count = descriptors.count
        let received = octets.withUnsafeMutableBytes { octets in
            descriptors.withUnsafeMutableBufferPointer {
                clinux_receive_fds(socket.number, octets.baseAddress, octets.count, $0.baseAddress, &count)
            }
        }
        for descriptor in descriptors.prefix(count) where descriptor >= 0 { close(descriptor) }
        // Anything that is too long is still no more than a question.
        guard received > 0 || received == -Int(EMSGSIZE) || received == -Int(EINTR) else { return false }
        do throws(ApplianceError) {
            guard let connection = try client.control.onlyReading() else {
                // The other end sees no files, so it cannot find out itself.
                if let killed = client.leftBehind { throw killed }
                return send([Answer.nobody.rawValue])
            }
            defer { close(connection) }
            return send([Answer.connection.rawValue], [connection])
        } catch {
            let reason = (try? JSONLine.encode(error)) ?? []
            return send([Answer.refusal.rawValue] + (reason.count < Self.longestMessage ? reason : []))
        }
    }

    private func send(_ bytes: [UInt8], _ descriptors: [Int32] = []) -> Bool {
        clinux_send_fds(socket.number, bytes, bytes.count, descriptors, descriptors.count) == 0
    }
}

/// The other end of a `ConnectionBroker`. Any thread may use it.
package final class BrokeredConnections: Sendable {
    private let socket: Int32
    private let turn = Mutex(())

    /// The longest time that the broker needs: it waits for a silent control process, too.
    private static let patience = Duration.seconds(10)

    /// - Parameter socket: The descriptor of this end, which stays open.
    package init(socket: Int32) { self.socket = socket }

    /// The first message.
    ///
    /// - Throws: `ApplianceError` if it is none.
    package func settings() throws(ApplianceError) -> PortalSettings {
        let (octets, descriptors) = try message()
        for descriptor in descriptors { close(descriptor) }
        return try JSONLine.decode(PortalSettings.self, octets)
    }

    /// A new connection that may only look; nil if no control process listens.
    ///
    /// - Throws: `ApplianceError` if the broker or the control process refuses, or is silent.
    func connection() throws(ApplianceError) -> Int32? {
        try turn.withLock { _ throws(ApplianceError) in
            guard send(socket, "?", 1, noSignal) == 1 else {
                throw .system("the process that connects to the topology is gone", errno: errno)
            }
            let (octets, descriptors) = try message()
            if octets.first == ConnectionBroker.Answer.connection.rawValue, let first = descriptors.first {
                for other in descriptors.dropFirst() { close(other) }
                _ = fcntl(first, F_SETFL, O_NONBLOCK)
                return first
            }
            for descriptor in descriptors { close(descriptor) }
            guard octets.first == ConnectionBroker.Answer.refusal.rawValue else { return nil }
            throw try JSONLine.decode(ApplianceError.self, octets.dropFirst())
        }
    }

    private func message() throws(ApplianceError) -> (octets: [UInt8], descriptors: [Int32]) {
        guard pollOne(socket, POLLIN, within: Self.patience) else {
            throw ApplianceError(.failed, "the process that connects to the topology does not answer")
        }
        var octets = [UInt8](repeating: 0, count: ConnectionBroker.longestMessage)
        var descriptors = [Int32](repeating: -1, count: Int(CLINUX_MAX_FDS))
        var count = descriptors.count
        let received = octets.withUnsafeMutableBytes { octets in
            descriptors.withUnsafeMutableBufferPointer {
                clinux_receive_fds(socket, octets.baseAddress, octets.count, $0.baseAddress, &count)
            }
        }
        guard received > 0 else {
            throw ApplianceError(.failed, "the process that connects to the topology is gone")
        }
        return (Array(octets.prefix(received)), Array(descriptors.prefix(count)))
    }
}

extension ControlClient {
    /// A connection that has given up every right but that to read; nil if no process listens.
    fileprivate func onlyReading() throws(ApplianceError) -> Int32? {
        let request = ObserveRequest()
        let deadline = monotonicTime() + Self.promptness
        guard let descriptor = try sent(request, deadline: deadline) else { return nil }
        do throws(ApplianceError) {
            var line: [UInt8] = []
            while line.last != 10 {
                let left = deadline - monotonicTime()
                guard left > .zero, line.count < 65_536, pollOne(descriptor, POLLIN, within: left) else {
                    throw silence
                }
                guard let bytes = readOnce(descriptor), !bytes.isEmpty else {
                    close(descriptor)
                    return nil
                }
                line += bytes
            }
            if case .error(let error) = try answer(to: request, line) { throw error }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }
}
