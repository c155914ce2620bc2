import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// What the management address proves itself with: a certificate and its key. A key that is made here is in memory alone.
struct ManagementCredentials: Sendable {
    /// The certificate, and those between it and its authority, in PEM.
    var chain: String
    /// Its private key, in PEM.
    var key: String
    /// What the certificate says.
    var facts: CertificateFacts
    /// True if it was made here.
    var isMade: Bool

    /// How long a certificate that is made here is valid, in days.
    private static let life = 3650
    /// How long a program may take to make or read a certificate.
    private static let patience = Duration.seconds(20)

    /// The file's certificate, or a fresh one.
    ///
    /// - Throws: `ApplianceError` with the line of what is wrong: a certificate that has expired, a key that does not fit, an
    ///   authority that is none; or `openssl` is not installed.
    init(_ plan: ManagementPlan) throws(ApplianceError) {
        isMade = plan.certificate == nil
        (chain, key) =
            if let given = plan.certificate {
                (given.chain.text, given.key.text)
            } else {
                try Self.made(for: plan.addresses)
            }
        facts = try Self.look(CertificateQuestion(chain: chain, key: key, authorities: plan.authorities?.text))
        guard let fault = facts.fault else { return }
        let file: ManagementPlan.File? =
            switch facts.part {
            case .chain, nil: plan.certificate?.chain
            case .key: plan.certificate?.key
            case .authorities: plan.authorities
            }
        guard let file else {
            throw ApplianceError(.failed, "the certificate that was made for the management address \(fault)")
        }
        throw ApplianceError(
            .file, "\(quoted(file.path)) (\(file.origin)) \(fault)",
            hint: facts.part == .key
                ? "name the key that the certificate was made with"
                : "name a valid one" + (facts.part == .chain ? ", or leave `certificate` out: one is made then" : ""))
    }

    /// Looks at the certificate of a plan before anything is changed.
    ///
    /// - Parameter current: The plan that runs: what it has was looked at.
    /// - Throws: `ApplianceError` with the line of what is wrong.
    static func check(_ plan: AppliancePlan, besides current: AppliancePlan? = nil) throws(ApplianceError) {
        guard let management = plan.records?.management, management.certificate != nil || management.authorities != nil
        else { return }
        if let known = current?.records?.management, known.isServed(as: management) { return }
        _ = try ManagementCredentials(management)
    }

    // MARK: - Programs

    /// Asks the program that links TLS.
    private static func look(_ question: CertificateQuestion) throws(ApplianceError) -> CertificateFacts {
        let program = try Machine.recordsPath()
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw .system("cannot make a pair of sockets", errno: errno)
        }
        let channel = LineChannel(owning: ends[0], longest: 1 << 20)
        let child: Pidfd
        do throws(SystemError) {
            defer { close(ends[1]) }
            child = try ProcessLauncher.spawn(
                Command(
                    program, arguments: ["tapline-records", "--certificate"],
                    environment: ["SWIFT_BACKTRACE=enable=no"], workingDirectory: "/", descriptors: [0: ends[1]],
                    diesWithParent: true))
        } catch {
            throw ApplianceError(.failed, "the program that reads certificates cannot be started: \(error)")
        }
        defer {
            channel.shutDown()
            if !child.waitForEnd(within: .seconds(1)) { try? child.signal(SIGKILL) }
            _ = try? child.wait()
        }
        guard channel.write(try JSONLine.encode(question)), let line = channel.read(within: patience) else {
            throw ApplianceError(.failed, "the program that reads certificates does not answer")
        }
        return try JSONLine.decode(CertificateFacts.self, line)
    }

    /// A certificate for the addresses, and its key, by `openssl`.
    private static func made(for addresses: [IPAddress]) throws(ApplianceError) -> (chain: String, key: String) {
        let names = addresses.map { "IP:\($0)" }.joined(separator: ",")
        // The settings come from here, so that those of the machine do not matter.
        let script = """
            exec openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days \(life) \
            -config /dev/stdin -keyout /dev/stdout -out /dev/stdout 2>&1 <<'END'
            [req]
            distinguished_name = name
            x509_extensions = extensions
            prompt = no
            [name]
            CN = Tapline management address
            [extensions]
            basicConstraints = critical,CA:FALSE
            extendedKeyUsage = serverAuth
            subjectAltName = \(names)
            END
            """
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var command = Command.shell(script, environment: ["PATH=\(ProcessPlan.path)"], workingDirectory: "/")
        command.descriptors = [1: ends[1]]
        command.diesWithParent = true
        let child: Pidfd
        do throws(SystemError) {
            child = try ProcessLauncher.spawn(command)
            close(ends[1])
        } catch {
            close(ends[1])
            throw ApplianceError(.failed, "no certificate can be made for the management address: \(error)")
        }
        let outcome = CommandRun.finish(
            child, output: ends[0], timeout: patience, cancellation: try Cancellation())
        let (key, chain) = (block("PRIVATE KEY", of: outcome.text), block("CERTIFICATE", of: outcome.text))
        guard let key, let chain else {
            let isMissing = outcome.text.contains("not found")
            throw ApplianceError(
                isMissing ? .machine : .failed, "no certificate can be made for the management address",
                hint: isMissing
                    ? "install openssl, or name a certificate: `certificate: { chain: FILE, key: FILE }`" : nil,
                details: outcome.text.contains("PRIVATE KEY")
                    ? [] : outcome.text.split(separator: "\n").suffix(3).map(String.init))
        }
        return (chain, key)
    }

    /// A block of PEM whose label ends so.
    private static func block(_ label: String, of text: String) -> String? {
        let lines = text.split(separator: "\n")
        guard let first = lines.firstIndex(where: { $0.hasPrefix("-----BEGIN ") && $0.hasSuffix("\(label)-----") }),
            let last = lines[first...].firstIndex(where: { $0.hasPrefix("-----END ") })
        else { return nil }
        return lines[first...last].joined(separator: "\n") + "\n"
    }
}
