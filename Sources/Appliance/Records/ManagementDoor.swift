import CLinux
import ControlAPI
import Fabric
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// The listening sockets of the management address in the namespace of its node, and what they are served with. The process of
/// records gets copies of the sockets whenever it starts, and can open none.
final class ManagementDoor: Sendable {
    let plan: ManagementPlan
    let credentials: ManagementCredentials
    /// In the order of the addresses.
    let listeners: [Int32]
    /// The namespace that they are in.
    private let namespace: UInt64

    /// How many connections may wait until the process takes them.
    private static let backlog: Int32 = 1024

    /// - Parameter other: The door until now: its sockets stay, as far as their places do.
    /// - Throws: `ApplianceError` if a socket cannot listen.
    init(
        _ plan: ManagementPlan, _ credentials: ManagementCredentials, in namespace: NetworkNamespace,
        after other: ManagementDoor? = nil
    ) throws(ApplianceError) {
        self.plan = plan
        self.credentials = credentials
        self.namespace = namespace.identity
        var known: [IPAddress: Int32] = [:]
        if let other, other.namespace == namespace.identity, other.plan.port == plan.port {
            known = Dictionary(zip(other.plan.addresses, other.listeners)) { first, _ in first }
        }
        var opened: [Int32] = []
        do throws(SystemError) {
            for address in plan.addresses {
                if let there = known[address] {
                    let copy = fcntl(there, F_DUPFD_CLOEXEC, 0)
                    guard copy >= 0 else { throw SystemError("keep the socket of", "\(address)", errno: errno) }
                    opened.append(copy)
                    continue
                }
                opened.append(
                    try namespace.perform { () throws(SystemError) in
                        try Self.listen(address, UInt16(clamping: plan.port))
                    })
            }
        } catch {
            for listener in opened { close(listener) }
            throw ApplianceError(.failed, "the management address (\(plan.origin)) cannot be served: \(error)")
        }
        listeners = opened
    }

    deinit { for listener in listeners { close(listener) } }

    /// The door of a plan that has changed, or of a node that was made anew; the same one if it can stay.
    ///
    /// - Throws: `ApplianceError` if the new one cannot be opened, or its certificate cannot serve.
    func following(_ fresh: ManagementPlan, in namespace: NetworkNamespace) throws(ApplianceError) -> ManagementDoor {
        let isHere = namespace.identity == self.namespace
        guard !isHere || !plan.isServed(as: fresh) else { return self }
        // Customers may have noted the certificate that was made: it stays as long as its addresses do.
        let keeps =
            fresh.certificate?.chain.text == plan.certificate?.chain.text
            && fresh.certificate?.key.text == plan.certificate?.key.text
            && (fresh.certificate != nil || fresh.addresses == plan.addresses)
        let credentials = keeps ? self.credentials : try ManagementCredentials(fresh)
        return try ManagementDoor(fresh, credentials, in: namespace, after: self)
    }

    /// What the process of records is told.
    var settings: ManagementSettings {
        ManagementSettings(
            listeners: listeners.count, chain: credentials.chain, key: credentials.key,
            authorities: plan.authorities?.text)
    }

    private static func listen(_ address: IPAddress, _ port: UInt16) throws(SystemError) -> Int32 {
        let what = "\(address) port \(port)"
        let isSix = address.family == .ipv6
        let descriptor = socket(
            isSix ? AF_INET6 : AF_INET,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("make a socket for", what, errno: errno) }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        if isSix {
            setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &one, socklen_t(MemoryLayout<Int32>.size))
        }
        var status = address.withSocketAddress(port: port) { bind(descriptor, $0, $1) }
        if status == 0 { status = Glibc.listen(descriptor, backlog) }
        guard status == 0 else {
            let code = errno
            close(descriptor)
            throw SystemError("listen at", what, errno: code)
        }
        return descriptor
    }
}

extension ManagementDoor {
    /// How many days before its end a certificate is told about.
    private static let notice = 14

    /// What is wrong with the certificate now, or soon; nil: nothing is.
    var trouble: (sentence: String, hasExpired: Bool)? {
        let left = credentials.facts.notAfter - wallClockSeconds()
        guard left < Self.notice * 86_400 else { return nil }
        let at = ApplianceEvent.timeText(credentials.facts.notAfter * 1_000_000).prefix(10)
        return left <= 0
            ? (
                "the certificate of the management address has expired on \(at): name another one, and 'tapline apply'",
                true
            )
            : ("the certificate of the management address expires on \(at)", false)
    }

    /// As `tapline status` shows it.
    var status: StatusReport.Management {
        StatusReport.Management(
            addresses: plan.addresses.map { "\($0)" }, port: plan.port, fingerprint: credentials.facts.fingerprint,
            expires: ApplianceEvent.timeText(credentials.facts.notAfter * 1_000_000), made: credentials.isMade,
            clientCertificates: plan.authorities != nil, certificate: credentials.chain)
    }

    /// The addresses that the certificate is not for: clients that look at its names refuse it there.
    var remark: String? {
        let names = Set(credentials.facts.names)
        // Clients may go by a name that means the address.
        guard !names.contains(where: { IPAddress($0) == nil }) else { return nil }
        let others = plan.addresses.filter { !names.contains("\($0)") }
        guard !others.isEmpty else { return nil }
        return "the certificate of the management address is not for \(others.map { "\($0)" }.joined(separator: ", "))"
    }
}
