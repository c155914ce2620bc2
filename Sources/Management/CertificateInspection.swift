import ControlAPI
import EventLoop
import Glibc
import Instructions
import NIOSSL
import Reporting
import Wire

/// `tapline-records --certificate`: reads certificates and a key for the control process, which links no TLS.
public enum CertificateInspection {
    /// Reads the question from standard input, and writes the answer to it: a socket.
    public static func run() {
        let channel = LineChannel(owning: 0, longest: 8 << 20)
        guard let line = channel.read(), let question = try? JSONLine.decode(CertificateQuestion.self, line),
            let answer = try? JSONLine.encode(facts(of: question))
        else { return }
        _ = channel.write(answer)
    }

    /// What certificates say, or what is wrong with them now.
    static func facts(of question: CertificateQuestion) -> CertificateFacts {
        let now = wallClockSeconds()
        guard let chain = try? NIOSSLCertificate.fromPEMBytes(Array(question.chain.utf8)), let leaf = chain.first,
            let der = try? leaf.toDERBytes()
        else { return CertificateFacts(fault: "holds no certificate that can be read", part: .chain) }
        guard let key = try? NIOSSLPrivateKey(bytes: Array(question.key.utf8), format: .pem) else {
            return CertificateFacts(fault: "holds no private key that can be read", part: .key)
        }
        _ = key
        var facts = CertificateFacts()
        facts.notBefore = Int(leaf.notValidBefore)
        facts.notAfter = Int(leaf.notValidAfter)
        facts.fingerprint = CertificateFingerprint(der: der).text
        let names = CertificateNames.servers(der: der)
        facts.names = names.addresses.compactMap(Self.address) + names.names
        if facts.notAfter <= now {
            return CertificateFacts(fault: "has expired", part: .chain)
        }
        if facts.notBefore > now {
            return CertificateFacts(fault: "is not valid yet: compare the machine's clock", part: .chain)
        }
        if let authorities = question.authorities {
            guard let read = try? NIOSSLCertificate.fromPEMBytes(Array(authorities.utf8)), !read.isEmpty else {
                return CertificateFacts(fault: "holds no certificate that can be read", part: .authorities)
            }
            guard read.contains(where: { Int($0.notValidAfter) > now }) else {
                return CertificateFacts(fault: "has expired", part: .authorities)
            }
        }
        do { _ = try ManagementEntrance.context(question.chain, question.key, question.authorities) } catch {
            return CertificateFacts(fault: "does not fit the certificate", part: .key)
        }
        return facts
    }

    private static func address(_ octets: [UInt8]) -> String? {
        switch octets.count {
        case 4: IPAddress(ipv4: octets.reduce(0) { $0 << 8 | UInt32($1) }).description
        case 16:
            IPAddress(
                ipv6High: octets[..<8].reduce(0) { $0 << 8 | UInt64($1) },
                low: octets[8...].reduce(0) { $0 << 8 | UInt64($1) }
            ).description
        default: nil
        }
    }
}
