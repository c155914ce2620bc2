import CLinux
import ControlAPI
import EventLoop
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Records
import Reporting

/// What all connections share. On the event loop.
final class Desk {
    let service: TenantService
    let page: PageService
    /// For what reads the database, so that the event loop never waits.
    let helpers: NIOThreadPool
    /// The connections with the operator's socket.
    let places = ConnectionPlaces()

    /// How long a connection may keep the server waiting: for a whole request, or for room to write.
    static let patience = TimeAmount.seconds(20)
    /// How long it may take to agree on TLS.
    static let handshake = TimeAmount.seconds(8)
    /// The connections with the management address.
    var sources = SourcePlaces<ManagementGate>()

    init(_ service: TenantService, _ helpers: NIOThreadPool) {
        self.service = service
        page = PageService(service)
        self.helpers = helpers
    }
}

/// The process that keeps tenants' records: a database, and a web server that serves instructions.
public enum RecordsServer {
    /// The descriptors that the process starts with.
    private static let listener: Int32 = 3
    private static let channel: Int32 = 4
    /// An eventfd: what the file says of tenants may have changed.
    private static let bell: Int32 = 5
    /// The listening sockets of the management address.
    private static let firstListener: Int32 = 6

    /// Serves until the control process is gone.
    ///
    /// - Throws: `ApplianceError` if the database cannot be opened, or the process does not lose its privileges.
    public static func run() throws(ApplianceError) {
        let control = ControlLink(owning: channel, bell: bell)
        let settings = try control.settings()
        // The hashes in it are nobody's to read.
        umask(0o077)
        let store: RecordStore
        let entrance: ManagementEntrance?
        do throws(ApplianceError) {
            entrance = try settings.management.map { settings throws(ApplianceError) in
                try ManagementEntrance(settings, first: firstListener)
            }
            store = try RecordStore(path: settings.database)
            try RecordsConfinement.enter(user: settings.user)
        } catch {
            control.tell(.failed(error))
            throw error
        }
        let service = try TenantService(store: store, control: control)
        do {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let helpers = NIOThreadPool(numberOfThreads: 2)
            helpers.start()
            let loop = group.any()
            let desk = try loop.submit { NIOLoopBound(Desk(service, helpers), eventLoop: loop) }.wait()
            let server = try bootstrap(group, desk).withBoundSocket(listener).wait()
            let others = try entrance?.open(group, desk, control.sources) ?? []
            try RecordsConfinement.restrict()
            // From here on the control process may say that the topology is up, and bytes of others are read.
            try begin(store, control)
            try service.start()
            try watch(for: channel)
            for server in [server] + others { try server.setOption(.autoRead, value: true).wait() }
            try server.closeFuture.wait()
        } catch let error as ApplianceError {
            throw error
        } catch {
            throw ApplianceError(.failed, "cannot serve records: \(error)")
        }
    }

    /// Has all records put in force, and notes the outcome of what was under way when the last process ended.
    private static func begin(
        _ store: RecordStore, _ control: ControlLink
    ) throws(ApplianceError) {
        let services: [RecordedService]
        let access: [RecordedAccess]
        do throws(ApplianceError) { (services, access) = (try store.allServices(), try store.allAccess()) } catch {
            control.tell(.failed(error))
            throw error
        }
        let answer = try control.ask(.begin(services: services, access: access))
        if case .error(let error) = answer { throw error }
        guard case .description(let description) = answer else {
            throw ApplianceError(.failed, "the control process says something unexpected")
        }
        let aside = Set(description.setAside.map(\.id))
        for version in try store.unconfirmed() {
            try store.confirm(
                version, generation: description.generation, outcome: "in-force-after-restart", aside: aside)
        }
        note(description, store)
        try startThread {
            while true {
                control.awaitFile()
                if let description = try? control.description() { note(description, store) }
            }
        }
    }

    /// Notes in the audit what another file has done to access lists.
    private static func note(_ description: TenantsDescription, _ store: RecordStore) {
        do throws(ApplianceError) {
            try store.noteFile(
                aside: description.setAside, inPart: description.inPart, generation: description.generation)
        } catch {
            // A full disk is told by the instructions that need it.
            let line = Array("tapline-records: the audit lacks what the file has changed: \(error)\n".utf8)
            _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        }
    }

    /// POLLRDHUP of poll(2), which Swift does not import.
    private static let otherEndIsGone: Int16 = 0x2000

    /// Ends the process with the control process, even while nothing is asked.
    private static func watch(for channel: Int32) throws(ApplianceError) {
        try startThread {
            var waiting = pollfd(fd: channel, events: otherEndIsGone, revents: 0)
            while poll(&waiting, 1, -1) <= 0 {}
            // Nothing is closed in order: the database is whole at every moment.
            _exit(0)
        }
    }

    private static func bootstrap(
        _ group: MultiThreadedEventLoopGroup, _ desk: NIOLoopBound<Desk>
    ) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.maxMessagesPerRead, value: 4)
            .serverChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try addHandlers(to: channel, desk.value)
                }
            }
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 8192))
    }

    /// Adds what serves requests of HTTP.
    ///
    /// - Parameter peer: The other end of a connection with the management address; nil: this is the operator's socket.
    static func addHandlers(to channel: any Channel, _ desk: Desk, from peer: APIRequest.Peer? = nil) throws {
        let size = RequestSize()
        let handlers = channel.pipeline.syncOperations
        try handlers.addHandler(size)
        try handlers.addHandler(HTTPResponseEncoder())
        try handlers.addHandler(ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
        try handlers.addHandler(InstructionHandler(desk, size, from: peer))
    }
}

/// Bounds the octets of one request, before anything reads them.
final class RequestSize: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The most octets of a request, its header fields and its body together.
    static let most = 256 << 10

    private var seen = 0

    /// A request is whole: the next one begins.
    func reset() { seen = 0 }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        seen += unwrapInboundIn(data).readableBytes
        guard seen <= Self.most else {
            context.fireErrorCaught(RequestTooLarge())
            return
        }
        context.fireChannelRead(data)
    }
}

/// A request has more octets than `RequestSize.most`.
struct RequestTooLarge: Error {}
