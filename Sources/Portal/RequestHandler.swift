import NIOCore
import NIOHTTP1
import Reporting
import WebPages

/// One connection: reads a request, answers it, and reads the next one. On the event loop.
///
/// A connection is closed if it breaks the protocol, sends more than a request may have, sends a request before the answer
/// to the one before, or keeps the server waiting: for a whole request, or for room to write.
final class RequestHandler: ChannelInboundHandler, Viewer {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Phase {
        /// Waits for a request, or for its end.
        case reading
        /// An answer is being made or written.
        case answering
        /// An answer goes on until it is closed.
        case streaming
    }

    /// The most octets of events that wait for room to write: a large picture and some more.
    private static let mostWaiting = 4 << 20

    let desk: Desk
    private let size: RequestSize
    private var phase = Phase.reading
    private(set) var request: HTTPRequestHead?
    private(set) var body = ByteBuffer()
    private var channel: (any Channel)?
    /// Since when it is in its phase, or made its last progress there.
    private var since = NIODeadline.now()
    /// Writes that are not done.
    private var outstanding = 0
    /// Octets of them.
    private var waiting = 0
    private var looks: RepeatedTask?
    /// Called once when the connection is gone.
    var gone: (() -> Void)?
    private var isFollowing = false
    private var keepsAlive = true

    init(_ desk: Desk, _ size: RequestSize) {
        self.desk = desk
        self.size = size
    }

    // MARK: - Coming and going

    func channelActive(context: ChannelHandlerContext) {
        channel = context.channel
        desk.connections += 1
        since = .now()
        guard desk.connections <= Desk.mostConnections else {
            phase = .answering
            keepsAlive = false
            send(.serviceUnavailable, text: "\(Desk.mostConnections) connections are open already: close a page\n")
            return
        }
        let own = NIOLoopBound(self, eventLoop: context.eventLoop)
        let interval = TimeAmount.nanoseconds(desk.patience.nanoseconds / 10)
        looks = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in own.value.look()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        desk.connections -= 1
        looks?.cancel()
        if isFollowing { desk.hub.remove(self) }
        isFollowing = false
        gone?()
        gone = nil
        channel = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Before an answer has begun, the other end can be told.
        guard case .reading = phase, context.channel.isActive else { return context.close(promise: nil) }
        phase = .answering
        keepsAlive = false
        if error is RequestTooLarge {
            send(.requestHeaderFieldsTooLarge, text: "a request has at most \(RequestSize.most) octets\n")
        } else {
            send(.badRequest, text: "this is no request of HTTP\n")
        }
    }

    /// Closes a connection that keeps the server waiting.
    private func look() {
        let waited = NIODeadline.now() - since
        guard waited > desk.patience else { return }
        switch phase {
        case .reading: channel?.close(promise: nil)
        // What the control process is asked for has its own limits, and takes from this time.
        case .answering where waited > desk.patience * 3: channel?.close(promise: nil)
        case .streaming where outstanding > 0: channel?.close(promise: nil)
        case .answering, .streaming: break
        }
    }

    // MARK: - Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .reading = phase else { return context.close(promise: nil) }
        switch unwrapInboundIn(data) {
        case .head(let head):
            request = head
            body.clear()
            keepsAlive = head.isKeepAlive
        case .body(var part): body.writeBuffer(&part)
        case .end:
            size.reset()
            phase = .answering
            since = .now()
            guard let request else { return context.close(promise: nil) }
            answer(request)
        }
    }

    // MARK: - Writing

    /// Answers with a text, and reads the next request.
    func send(
        _ status: HTTPResponseStatus, type: String = "text/plain; charset=utf-8", text: String,
        headers: [(String, String)] = []
    ) {
        guard let channel else { return }
        // What has begun cannot become another answer.
        if case .streaming = phase { return channel.close(promise: nil) }
        let bytes = ByteBuffer(string: text)
        var fields = head(type, headers)
        fields.add(name: "Content-Length", value: "\(bytes.readableBytes)")
        if !keepsAlive { fields.add(name: "Connection", value: "close") }
        channel.write(
            HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: status, headers: fields)),
            promise: nil)
        if request?.method != .HEAD { channel.write(HTTPServerResponsePart.body(.byteBuffer(bytes)), promise: nil) }
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
        request = nil
    }

    private func head(_ type: String, _ headers: [(String, String)]) -> HTTPHeaders {
        HTTPHeaders(PageSafety.headers + [("Content-Type", type)] + headers)
    }

    /// Begins an answer that goes on.
    func begin(type: String, headers: [(String, String)] = []) {
        guard let channel else { return }
        phase = .streaming
        since = .now()
        keepsAlive = false
        let fields = head(type, headers + [("Connection", "close")])
        channel.writeAndFlush(
            HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: .ok, headers: fields)), promise: nil
        )
    }

    /// A part of an answer that goes on.
    ///
    /// - Returns: Done when the kernel has taken it, or failed when the connection is gone.
    @discardableResult
    func write(_ bytes: [UInt8]) -> EventLoopFuture<Void> {
        guard let channel else { return desk.failed() }
        if outstanding == 0 { since = .now() }
        outstanding += 1
        let count = bytes.count
        waiting += count
        let done = channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes))))
        let own = NIOLoopBound(self, eventLoop: channel.eventLoop)
        done.whenComplete { _ in
            own.value.outstanding -= 1
            own.value.waiting -= count
            own.value.since = .now()
        }
        return done
    }

    /// Ends an answer that went on.
    func end() {
        let own = channel.map { NIOLoopBound(self, eventLoop: $0.eventLoop) }
        channel?.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
            own?.value.channel?.close(promise: nil)
        }
    }

    /// The page's events from now on.
    func follow(known: Int?, after event: Int) {
        begin(type: "text/event-stream; charset=utf-8")
        isFollowing = true
        desk.hub.add(self, known: known, after: event)
    }

    func take(_ message: [UInt8]) {
        // What waits is bounded: a browser that does not read is left, and comes again by itself. One that reads nothing for
        // long is left by `look`.
        guard waiting + message.count <= Self.mostWaiting else {
            channel?.close(mode: .all, promise: nil)
            return
        }
        write(message)
    }
}

extension Desk {
    /// The future of a write to a connection that is gone.
    fileprivate func failed() -> EventLoopFuture<Void> { hub.failed() }
}
