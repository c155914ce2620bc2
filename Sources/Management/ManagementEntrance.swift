import ControlAPI
import Instructions
import NIOCore
import NIOPosix
import NIOSSL
import Reporting
import Wire

/// The management address: listening sockets that the control process has made in the node of Tapline's own, and TLS.
struct ManagementEntrance {
    private let first: Int32
    private let count: Int
    private let context: NIOSSLContext

    /// - Parameter first: The descriptor of the first listening socket; the others follow it.
    /// - Throws: `ApplianceError` if the certificate cannot serve.
    init(_ settings: ManagementSettings, first: Int32) throws(ApplianceError) {
        self.first = first
        count = settings.listeners
        do { context = try Self.context(settings.chain, settings.key, settings.authorities) } catch {
            throw .wrapping(error, "the certificate of the management address cannot be used")
        }
    }

    /// What TLS goes by: version 1.2 or later, HTTP/1.1. A client certificate is asked for if there are authorities; who has none
    /// shows a token.
    static func context(_ chain: String, _ key: String, _ authorities: String?) throws -> NIOSSLContext {
        let certificates = try NIOSSLCertificate.fromPEMBytes(Array(chain.utf8))
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificates.map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        if let authorities {
            configuration.certificateVerification = .optionalVerification
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(authorities.utf8)))
        }
        return try NIOSSLContext(configuration: configuration)
    }

    /// Opens the sockets. Nothing is accepted before `autoRead` is set.
    func open(
        _ group: MultiThreadedEventLoopGroup, _ desk: NIOLoopBound<Desk>, _ sources: ConnectionSources
    ) throws -> [any Channel] {
        try (0..<count).map { try bootstrap(group, desk, sources).withBoundSocket(first + Int32($0)).wait() }
    }

    private func bootstrap(
        _ group: MultiThreadedEventLoopGroup, _ desk: NIOLoopBound<Desk>, _ sources: ConnectionSources
    ) -> ServerBootstrap {
        let context = context
        return ServerBootstrap(group: group)
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .serverChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let text = channel.remoteAddress?.ipAddress, let address = IPAddress(text) else {
                        throw ApplianceError(.failed, "a connection has no source")
                    }
                    let handlers = channel.pipeline.syncOperations
                    try handlers.addHandler(ManagementGate(desk.value, sources.source(of: address)))
                    try handlers.addHandler(NIOSSLServerHandler(context: context))
                    try RecordsServer.addHandlers(to: channel, desk.value, from: APIRequest.Peer(address: address))
                }
            }
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 8192))
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    }
}

/// The first handler of a connection with the management address: closes it, before TLS costs anything, if there is no place
/// for it. On the event loop.
final class ManagementGate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let desk: Desk
    private let source: ConnectionSources.Source
    private var place: Int?
    private var context: ChannelHandlerContext?

    init(_ desk: Desk, _ source: ConnectionSources.Source) {
        self.desk = desk
        self.source = source
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        switch desk.sources.enter(source, self) {
        case .refused: return context.close(promise: nil)
        case .admitted(let number): place = number
        case .inPlaceOf(let number, let other):
            place = number
            other.end()
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let place { desk.sources.leave(place) }
        (place, self.context) = (nil, nil)
        context.fireChannelInactive()
    }

    /// Ends the connection at once, without the parting words of TLS: it has lost its place.
    private func end() {
        place = nil
        context?.close(promise: nil)
    }
}
