import Instructions
import NIOCore
import NIOHTTP1
import NIOPosix

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
    private var peer = ""

    init(_ desk: Desk, _ size: RequestSize) {
        self.desk = desk
        self.size = size
    }

    // MARK: - Coming and going

    func channelActive(context: ChannelHandlerContext) {
        channel = context.channel
        since = .now()
        peer = context.channel.remoteAddress?.ipAddress ?? ""
        guard desk.places.enter(self, of: peer) else {
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
        desk.places.leave(self, of: peer)
        looks?.cancel()
        channel = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
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
        guard phase != .answering, NIODeadline.now() - since > Desk.patience else { return }
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
        let request = APIRequest(
            method: head.method.rawValue, target: head.uri,
            fields: head.headers.map { ($0.name.lowercased(), $0.value) }, body: body, origin: "operator's socket",
            isOperators: true)
        guard let loop = channel?.eventLoop else { return }
        let own = NIOLoopBound(self, eventLoop: loop)
        let (service, page) = (desk.service, desk.page)
        desk.helpers.submit { _ in
            let done: @Sendable (APIAnswer) -> Void = { answer in loop.execute { own.value.send(answer) } }
            if PagePlace.owns(request.target) { page.answer(request, done) } else { service.answer(request, done) }
        }
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
