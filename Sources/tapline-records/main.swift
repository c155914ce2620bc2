// The process that keeps tenants' records. The control process starts it with the operator's socket at descriptor 3, and its way
// to the control process at 4.
import Glibc
import Management
import Reporting

func say(_ text: String, to descriptor: Int32) {
    let line = Array("\(text)\n".utf8)
    _ = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
}

if CommandLine.arguments.dropFirst() == ["--version"] {
    say("tapline-records \(Release.version)", to: 1)
    exit(0)
}
do throws(ApplianceError) {
    try RecordsServer.run()
} catch {
    say("tapline-records: \(error)", to: 2)
    // Nothing is closed in order: the database is whole at every moment.
    _exit(2)
}
_exit(0)
