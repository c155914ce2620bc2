// The process that keeps tenants' records. The control process starts it with the operator's socket at descriptor 3, its way to
// the control process at 4, an eventfd at 5, and the listening sockets of the management address behind that. It is also the
// program for what needs TLS: commands of tenants, and a look at certificates.
import Glibc
import Management
import Reporting

func say(_ text: String, to descriptor: Int32) {
    let line = Array("\(text)\n".utf8)
    _ = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
}

let words = Array(CommandLine.arguments.dropFirst())
do throws(ApplianceError) {
    switch words.first {
    case "--version"?: say("tapline-records \(Release.version)", to: 1)
    case "--certificate"?: CertificateInspection.run()
    case "--connect"?: try TLSRelay.run(Array(words.dropFirst()))
    default: try RecordsServer.run()
    }
} catch {
    if words.first == "--connect" { TLSRelay.tell(error) } else { say("tapline-records: \(error)", to: 2) }
    // Nothing is closed in order: the database is whole at every moment.
    _exit(2)
}
_exit(0)
