import ControlAPI
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
            let hasCertificate = wish.certificate != nil
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
                        try channel.pipeline.syncOperations.addHandlers([
                            handler, RelayEnd(hasCertificate: hasCertificate),
                        ])
                    }
                }
                .connect(host: wish.host, port: wish.port).wait()
            try startThread { pump(to: channel) }
            try channel.closeFuture.wait()
        } catch let error as ApplianceError {
            throw error
        } catch {
            throw ApplianceError(
                .failed, "cannot reach \(wish.host) port \(wish.port): \(reason(error))",
                hint: "is this node one of the customers that reach the management address, and is the topology up?")
        }
    }

    /// Why there is no connection, in the kernel's words.
    private static func reason(_ error: any Error) -> String {
        if let error = error as? NIOConnectionError {
            if let first = error.connectionErrors.first { return reason(first.error) }
            if let first: any Error = error.dnsAError ?? error.dnsAAAAError { return reason(first) }
        }
        if let error = error as? IOError { return errorText(error.errnoCode) }
        if case .connectTimeout(let time)? = error as? ChannelError {
            return "no answer in \(time.nanoseconds / 1_000_000_000) s"
        }
        return "\(error)"
    }

    /// Tells the command that started this program why it ends.
    public static func tell(_ error: ApplianceError) {
        if let line = try? JSONLine.encode(error) { writeAll(2, line) }
    }

    private static func context(_ wish: Wish) throws(ApplianceError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        // Whose certificate it is, the fingerprint says: it may have any name.
        if wish.fingerprint != nil { configuration.certificateVerification = .noHostnameVerification }
        if let path = wish.authorities {
            configuration.trustRoots = .certificates(try certificates(path))
        }
        if let chain = wish.certificate, let path = wish.key {
            configuration.certificateChain = try certificates(chain).map { .certificate($0) }
            let octets = try text(of: path)
            guard let key = try? NIOSSLPrivateKey(bytes: octets, format: .pem) else {
                throw ApplianceError(
                    .usage, "\(path) holds no private key that can be read",
                    hint: "it is a file in PEM, without a passphrase: openssl pkey -in \(path) -out FILE")
            }
            configuration.privateKey = .privateKey(key)
        }
        do { return try NIOSSLContext(configuration: configuration) } catch {
            throw wish.key == nil
                ? ApplianceError(.failed, "TLS cannot be spoken: \(error)")
                : ApplianceError(
                    .usage, "the key does not fit the client certificate",
                    hint: "name the key that the certificate was made with")
        }
    }

    private static func certificates(_ path: String) throws(ApplianceError) -> [NIOSSLCertificate] {
        let text = try text(of: path)
        guard let read = try? NIOSSLCertificate.fromPEMBytes(text), !read.isEmpty else {
            throw ApplianceError(
                .usage, "\(path) holds no certificate that can be read", hint: "it is a file in PEM")
        }
        return read
    }

    /// The octets of a file.
    private static func text(of path: String) throws(ApplianceError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw ApplianceError(
                .usage, "cannot read \(path): \(errorText(errno))", hint: "name a file in PEM that you can read")
        }
        defer { close(descriptor) }
        var octets: [UInt8] = []
        while octets.count <= longestFile, let part = readOnce(descriptor), !part.isEmpty { octets += part }
        return octets
    }

    private static let longestFile = 1 << 20

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

    private let hasCertificate: Bool

    /// - Parameter hasCertificate: Whether this end shows a client certificate.
    init(hasCertificate: Bool) { self.hasCertificate = hasCertificate }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let octets = Array(unwrapInboundIn(data).readableBytesView)
        if !writeAll(1, octets) { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The other end may leave without the parting words of TLS.
        if case .uncleanShutdown? = error as? NIOSSLError { return context.close(promise: nil) }
        TLSRelay.tell(explained(error))
        context.close(promise: nil)
    }

    private func explained(_ error: any Error) -> ApplianceError {
        let text = "\(error)"
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return ApplianceError(
                .failed, "the certificate there is not the expected one, or has expired",
                hint: "the operator's 'tapline status NAME' shows the fingerprint: --certificate-fingerprint SHA256")
        }
        if text.contains("failedToValidateHostname") {
            return ApplianceError(
                .failed, "the certificate there has another name or address",
                hint: "use the one that it is for, or --certificate-fingerprint in the place of --ca")
        }
        // Its alert comes behind the handshake (RFC 8446, section 4.4.2.4).
        if hasCertificate, ["ALERT", "reset by peer", "Broken pipe"].contains(where: text.contains) {
            return ApplianceError(
                .failed, "the other end does not take the client certificate",
                hint: "it must be of an authority that `client-certificates` of the file names, and not have expired")
        }
        guard case .handshakeFailed? = error as? NIOSSLError else { return ApplianceError(.failed, text) }
        return ApplianceError(
            .failed, "TLS cannot be agreed on with the other end", hint: "is that the management address, and its port?"
        )
    }
}
