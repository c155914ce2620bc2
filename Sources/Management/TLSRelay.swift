import EventLoop
import Glibc
import Instructions
import NIOCore
import NIOPosix
import NIOSSL
import Reporting
import Wire

/// `tapline-records --connect HOST PORT …`: one TLS connection for a command that links no TLS. What comes from standard input goes
/// to the other end, and what comes from there goes to standard output.
public enum TLSRelay {
    /// What it is asked for.
    private struct Wish {
        var host = ""
        var port = 443
        var fingerprint: CertificateFingerprint?
        var authorities: String?
        var certificate: String?
        var key: String?

        init(_ words: [String]) throws(ApplianceError) {
            guard words.count >= 2, let port = Int(words[1]), words.count.isMultiple(of: 2) else {
                throw ApplianceError(.usage, "--connect HOST PORT [--fingerprint SHA256] [--ca FILE]")
            }
            (host, self.port) = (words[0], port)
            for place in stride(from: 2, to: words.count, by: 2) {
                let value = words[place + 1]
                switch words[place] {
                case "--fingerprint": fingerprint = CertificateFingerprint(value)
                case "--ca": authorities = value
                case "--certificate": certificate = value
                case "--key": key = value
                default: throw ApplianceError(.usage, "there is no option \(words[place])")
                }
            }
        }
    }

    /// Relays until either end closes.
    ///
    /// - Throws: `ApplianceError` if there is no connection, or the other end is not who it must be.
    public static func run(_ words: [String]) throws(ApplianceError) {
        let wish = try Wish(words)
        signal(SIGPIPE, SIG_IGN)
        let context = try context(wish)
        do {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let fingerprint = wish.fingerprint
            let isName = IPAddress(wish.host) == nil
            let channel = try ClientBootstrap(group: group)
                .connectTimeout(.seconds(10))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler =
                            if let fingerprint {
                                try NIOSSLClientHandler(
                                    context: context, serverHostname: isName ? wish.host : nil,
                                    customVerificationCallback: { certificates, verdict in
                                        let der = certificates.first.flatMap { try? $0.toDERBytes() } ?? []
                                        let isExpected = CertificateFingerprint(der: der) == fingerprint
                                        verdict.succeed(isExpected ? .certificateVerified : .failed)
                                    })
                            } else {
                                try NIOSSLClientHandler(context: context, serverHostname: isName ? wish.host : nil)
                            }
                        try channel.pipeline.syncOperations.addHandlers([handler, RelayEnd()])
                    }
                }
                .connect(host: wish.host, port: wish.port).wait()
            try startThread { pump(to: channel) }
            try channel.closeFuture.wait()
        } catch let error as ApplianceError {
            throw error
        } catch {
            throw ApplianceError(.failed, "cannot reach \(wish.host) port \(wish.port): \(error)")
        }
    }

    private static func context(_ wish: Wish) throws(ApplianceError) -> NIOSSLContext {
        do {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            if let path = wish.authorities {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(path))
            }
            if let certificate = wish.certificate, let key = wish.key {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate)
                    .map { .certificate($0) }
                configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
            }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw ApplianceError(
                .usage, "a certificate or key cannot be read: \(error)",
                hint: "they are files in PEM, without a passphrase")
        }
    }

    /// Sends what comes from standard input. At its end the other side may still answer.
    private static func pump(to channel: any Channel) {
        while let octets = readOnce(0), !octets.isEmpty {
            guard (try? channel.writeAndFlush(ByteBuffer(bytes: octets)).wait()) != nil else { return }
        }
    }
}

/// Writes what comes from the other end to standard output.
private final class RelayEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let octets = Array(unwrapInboundIn(data).readableBytesView)
        if !writeAll(1, octets) { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let why =
            if case .handshakeFailed? = error as? NIOSSLError {
                "\(error)".contains("CERTIFICATE_VERIFY_FAILED")
                    ? "the certificate there is not the expected one" : "TLS cannot be agreed on with the other end"
            } else {
                "\(error)"
            }
        // The other end may leave without the parting words of TLS.
        if case .uncleanShutdown? = error as? NIOSSLError { return context.close(promise: nil) }
        writeAll(2, Array("\(why)\n".utf8))
        context.close(promise: nil)
    }
}
