import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting
import Wire

/// Memory that is mapped for reading, as long as this object lives.
package final class ReadOnlyMemory {
    /// The mapped octets.
    package let bytes: UnsafeRawBufferPointer

    /// - Parameter size: Octets; the memory has at least as many.
    fileprivate init(_ descriptor: borrowing OwnedDescriptor, size: Int) throws(ApplianceError) {
        let actual = clinux_file_size(descriptor.number)
        guard size > 0, actual >= size else {
            throw ApplianceError(.failed, "the control process sent a memory of \(actual) octets instead of \(size)")
        }
        guard let memory = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor.number, 0), memory != MAP_FAILED else {
            throw .system("cannot map the memory of the capture", errno: errno)
        }
        bytes = UnsafeRawBufferPointer(start: memory, count: size)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }
}

/// A capture of a running topology, as its reader sees it. The capture ends when this object goes.
package final class CaptureConnection {
    /// A compiled table that engines decide by. Nobody changes it.
    package struct Table {
        /// The compiled table.
        package let table: ReadOnlyMemory
        /// Its groups; nil if it has its own.
        package let groups: ReadOnlyMemory?
        /// The generation that frames' records name.
        package let generation: UInt64
        /// The version of the plan that names the nodes.
        package let version: Int
    }

    /// What comes over the connection beside the frames.
    package enum News {
        /// Nothing within the time.
        case nothing
        /// Another table is in force.
        case table(Table)
        /// The control process has closed the connection: the topology goes away.
        case end
    }

    /// The bit of the records that are for this capture.
    package let number: Int
    /// The number of rings.
    package let ringCount: Int
    /// The memory of the rings, one after the other.
    package let rings: ReadOnlyMemory
    /// The table that was in force when the capture began.
    package let table: Table
    private let socket: OwnedDescriptor
    private let client: ControlClient
    private var input = Input()

    /// What has come and is not used yet.
    private struct Input {
        var octets: [UInt8] = []
        var descriptors: [Int32] = []
    }

    /// Begins a capture, and waits until every engine copies.
    ///
    /// - Throws: `ApplianceError` if no process listens, if it does not answer, or if it refuses.
    package init(_ client: ControlClient, _ request: CaptureRequest) throws(ApplianceError) {
        guard let descriptor = try client.sent(request, deadline: monotonicTime() + ControlClient.promptness)
        else {
            throw ApplianceError(
                .failed, "the control process of '\(client.directory.name)' is gone",
                hint: "'tapline down \(client.directory.name)' takes away what is left")
        }
        socket = OwnedDescriptor(owning: descriptor)
        self.client = client
        var input = Input()
        guard let answer = try Self.answer(client, descriptor, &input, within: Self.patience) else {
            input.descriptors.forEach { close($0) }
            throw client.silence
        }
        guard (1...65_536).contains(answer.rings), answer.ringSize > 0, !input.descriptors.isEmpty else {
            input.descriptors.forEach { close($0) }
            throw client.silence
        }
        let descriptorOfRings = OwnedDescriptor(owning: input.descriptors.removeFirst())
        rings = try ReadOnlyMemory(descriptorOfRings, size: answer.rings * answer.ringSize)
        table = try Self.table(answer, &input, client)
        number = answer.number
        ringCount = answer.rings
        self.input = input
    }

    deinit { input.descriptors.forEach { close($0) } }

    /// The time in which every engine begins to copy.
    private static let patience = Duration.seconds(10)

    /// Waits for news.
    ///
    /// - Throws: `ApplianceError` if the control process answers with an error, or with something else.
    package func news(within time: Duration) throws(ApplianceError) -> News {
        guard input.octets.contains(10) || pollOne(socket.number, POLLIN, within: time) else {
            return .nothing
        }
        guard let answer = try Self.answer(client, socket.number, &input, within: Self.patience) else {
            return .end
        }
        return .table(try Self.table(answer, &input, client))
    }

    /// The next answer; nil at the end.
    private static func answer(
        _ client: ControlClient, _ socket: Int32, _ input: inout Input, within time: Duration
    ) throws(ApplianceError) -> CaptureAnswer? {
        let deadline = monotonicTime() + time
        while true {
            if let end = input.octets.firstIndex(of: 10) {
                let line = Array(input.octets[..<end])
                input.octets.removeSubrange(...end)
                switch try client.answer(to: CaptureRequest(), line) {
                case .answer(let answer): return answer
                case .error(let error), .crowded(let error): throw error
                case .progress: continue
                }
            }
            let left = deadline - monotonicTime()
            guard left > .zero, pollOne(socket, POLLIN, within: left) else { throw client.silence }
            var octets = [UInt8](repeating: 0, count: 65_536)
            var descriptors = [Int32](repeating: -1, count: Int(CLINUX_MAX_FDS))
            var count = descriptors.count
            let received = octets.withUnsafeMutableBytes { octets in
                descriptors.withUnsafeMutableBufferPointer {
                    clinux_receive_fds(socket, octets.baseAddress, octets.count, $0.baseAddress, &count)
                }
            }
            if received == -Int(EAGAIN) { continue }
            input.descriptors += descriptors.prefix(count)
            guard received > 0, input.descriptors.count <= 8, input.octets.count < 1 << 20 else { return nil }
            input.octets += octets.prefix(received)
        }
    }

    private static func table(
        _ answer: CaptureAnswer, _ input: inout Input, _ client: ControlClient
    ) throws(ApplianceError) -> Table {
        guard input.descriptors.count >= (answer.groupsSize > 0 ? 2 : 1) else { throw client.silence }
        let table = OwnedDescriptor(owning: input.descriptors.removeFirst())
        var groups: ReadOnlyMemory?
        if answer.groupsSize > 0 {
            let descriptor = OwnedDescriptor(owning: input.descriptors.removeFirst())
            groups = try ReadOnlyMemory(descriptor, size: answer.groupsSize)
        }
        return Table(
            table: try ReadOnlyMemory(table, size: answer.tableSize), groups: groups, generation: answer.generation,
            version: answer.version)
    }
}
