import Instructions
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOTLS

/// One connection: reads a request, answers it, and reads the next one. On the event loop.
///
/// A connection is closed if it breaks the protocol, sends more than a request may have, sends a request before the answer to the
/// one before, or keeps the server waiting: for a whole request, or for room to write.
final class InstructionHandler: ChannelInboundHandler, ConnectionPlaces.Holder {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Phase { case reading, answering, writing }

    private let desk: Desk
    private let size: RequestSize
    private var phase = Phase.reading
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var channel: (any Channel)?
    private var since = NIODeadline.now()
    private var looks: RepeatedTask?
    private var keepsAlive = true
    /// The other end; nil: this is the operator's socket.
    private var peer: APIRequest.Peer?
    /// False until TLS is agreed on.
    private var isOpen: Bool

    /// - Parameter peer: The other end of a connection with the management address; nil: this is the operator's socket.
    init(_ desk: Desk, _ size: RequestSize, from peer: APIRequest.Peer? = nil) {
        self.desk = desk
        self.size = size
        self.peer = peer
        isOpen = peer == nil
    }

    // MARK: - Coming and going

    func channelActive(context: ChannelHandlerContext) {
        channel = context.channel
        since = .now()
        // Connections with the management address have places of their own (`ManagementGate`).
        guard peer != nil || desk.places.enter(self, of: "") else {
            keepsAlive = false
            phase = .answering
            return send(
                TenantService.answer(
                    Problem(
                        .unavailable, "\(ConnectionPlaces.most) connections are open already", hint: "try again later",
                        retryAfter: 1)))
        }
        let own = NIOLoopBound(self, eventLoop: context.eventLoop)
        looks = context.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(2), delay: .seconds(2)) { _ in
            own.value.look()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if peer == nil { desk.places.leave(self, of: "") }
        looks?.cancel()
        channel = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            isOpen = true
            if let certificate = try? context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
                .peerCertificate
            {
                peer?.certificate = (try? certificate.toDERBytes()).map { CertificateNames.clients(der: $0) } ?? []
                peer?.expires = Int(certificate.notValidAfter)
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Who does not speak TLS, or breaks it, is told nothing.
        guard peer == nil || error is RequestTooLarge || error is HTTPParserError else {
            return context.close(mode: .all, promise: nil)
        }
        // Before an answer has begun, the other end can be told.
        guard phase == .reading, context.channel.isActive else { return context.close(promise: nil) }
        phase = .answering
        keepsAlive = false
        send(
            TenantService.answer(
                error is RequestTooLarge
                    ? Problem(.tooLarge, "a request has at most \(RequestSize.most) octets")
                    : Problem(.notAsExpected, "this is no request of HTTP")))
    }

    /// Closes a connection that keeps the server waiting. An instruction takes the time that it takes.
    private func look() {
        guard phase != .answering, NIODeadline.now() - since > (isOpen ? Desk.patience : Desk.handshake) else { return }
        channel?.close(promise: nil)
    }

    var waitingSince: NIODeadline? { phase == .reading ? since : nil }

    func giveUp() { channel?.close(promise: nil) }

    // MARK: - Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase == .reading else { return context.close(promise: nil) }
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            keepsAlive = head.isKeepAlive
        case .body(let part): body += part.readableBytesView
        case .end:
            size.reset()
            phase = .answering
            since = .now()
            guard let head else { return context.close(promise: nil) }
            answer(head)
        }
    }

    private func answer(_ head: HTTPRequestHead) {
        if let fault = Self.fault(of: head) {
            // Another program on the way may read it otherwise, and end it elsewhere: what follows is not read.
            keepsAlive = false
            return send(TenantService.answer(Problem(.notAsExpected, fault, hint: "see RFC 9112")))
        }
        let request = APIRequest(
            method: head.method.rawValue, target: RequestTarget.path(of: head.uri),
            fields: head.headers.map { ($0.name.lowercased(), $0.value) }, body: body,
            origin: peer.map { "\($0.address)" } ?? "operator's socket", isOperators: peer == nil,
            isSecure: peer != nil,
            peer: peer)
        guard let loop = channel?.eventLoop else { return }
        let own = NIOLoopBound(self, eventLoop: loop)
        let (service, page) = (desk.service, desk.page)
        desk.helpers.submit { _ in
            let done: @Sendable (APIAnswer) -> Void = { answer in loop.execute { own.value.send(answer) } }
            if PagePlace.owns(request.target) { page.answer(request, done) } else { service.answer(request, done) }
        }
    }

    /// What HTTP forbids of a request and its parser lets pass; nil: nothing.
    private static func fault(of head: HTTPRequestHead) -> String? {
        let isNew = (head.version.major, head.version.minor) >= (1, 1)
        if !isNew, head.headers.contains(name: "transfer-encoding") {
            return "HTTP/1.0 has no Transfer-Encoding"
        }
        return HostField.fault(of: head.headers["host"], isRequired: isNew)
    }

    // MARK: - Writing

    private func send(_ answer: APIAnswer) {
        guard let channel, phase == .answering else { return }
        phase = .writing
        since = .now()
        var fields = HTTPHeaders([
            ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
        ])
        for (name, value) in answer.headers { fields.replaceOrAdd(name: name, value: value) }
        let hasBody = answer.status != 204
        if hasBody {
            fields.add(name: "Content-Type", value: answer.type)
            fields.add(name: "Content-Length", value: "\(answer.body.count)")
        }
        if !keepsAlive { fields.add(name: "Connection", value: "close") }
        let status = HTTPResponseStatus(statusCode: answer.status)
        channel.write(
            HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: status, headers: fields)),
            promise: nil)
        if hasBody, head?.method != .HEAD {
            channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: answer.body))), promise: nil)
        }
        let own = NIOLoopBound(self, eventLoop: channel.eventLoop)
        channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in own.value.finish() }
    }

    private func finish() {
        since = .now()
        guard keepsAlive else {
            channel?.close(promise: nil)
            return
        }
        phase = .reading
        head = nil
        body = []
    }
}
