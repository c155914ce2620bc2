import ApplianceClient
import EventLoop
import Metrics
import NIOCore
import NIOHTTP1
import NIOPosix
import Reporting

/// What all connections share. On the event loop.
final class Desk {
    let page: Page
    let hub: Hub
    let access: Access
    let client: ApplianceClient
    /// For short questions to the control process, so that the event loop never waits for it.
    let helpers: NIOThreadPool
    /// How long a connection may keep the page waiting: for a whole request, or for room to write.
    let patience: TimeAmount
    /// How many connections are open.
    var connections = 0
    /// Captures and traces that run.
    var captures = 0
    var traces = 0

    /// The control process lets programs that may only look follow 16 things at once: these, and the events.
    static let mostCaptures = 8
    static let mostTraces = 6
    static let mostConnections = 64

    init(hub: Hub, access: Access, client: ApplianceClient, helpers: NIOThreadPool, patience: TimeAmount) {
        page = Page(name: hub.name, secret: access.secret)
        self.hub = hub
        self.access = access
        self.client = client
        self.helpers = helpers
        self.patience = patience
    }
}

/// The live page's process: a web server that may only look at one topology.
public enum PortalServer {
    /// The descriptors that the process starts with.
    private static let listener: Int32 = 3
    private static let broker: Int32 = 4

    /// Serves until the process that connects to the topology is gone.
    ///
    /// - Throws: `ApplianceError` if the process does not lose its privileges, or cannot serve.
    public static func run() throws(ApplianceError) {
        let connections = BrokeredConnections(socket: broker)
        let settings = try connections.settings()
        try PortalConfinement.enter(user: settings.user)
        let client = try ApplianceClient(name: settings.name, through: connections)
        do {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let helpers = NIOThreadPool(numberOfThreads: 4)
            helpers.start()
            let loop = group.any()
            let bound = try loop.submit {
                let hub = Hub(loop, name: settings.name)
                let desk = Desk(
                    hub: hub, access: Access(settings), client: client, helpers: helpers,
                    patience: .milliseconds(Int64(settings.patience)))
                return (NIOLoopBound(desk, eventLoop: loop), NIOLoopBound(hub, eventLoop: loop))
            }.wait()
            let server = try bootstrap(group, bound.0).withBoundSocket(listener).wait()
            try PortalConfinement.restrict()
            try Feeds(client: client, loop: loop, hub: bound.1).start()
            try server.closeFuture.wait()
        } catch let error as ApplianceError {
            throw error
        } catch {
            throw ApplianceError(.failed, "cannot serve the page: \(error)")
        }
    }

    private static func bootstrap(
        _ group: MultiThreadedEventLoopGroup, _ desk: NIOLoopBound<Desk>
    ) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let size = RequestSize()
                    let handlers = channel.pipeline.syncOperations
                    try handlers.addHandler(size)
                    try handlers.addHandler(HTTPResponseEncoder())
                    try handlers.addHandler(ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
                    try handlers.addHandler(RequestHandler(desk.value, size))
                }
            }
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 64 << 10, high: 512 << 10))
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.socketOption(.so_sndbuf), value: 256 << 10)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 8192))
    }
}

/// Bounds the octets of one request, before anything reads them.
final class RequestSize: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The most octets of a request, its header fields and its body together.
    static let most = 32 << 10

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
