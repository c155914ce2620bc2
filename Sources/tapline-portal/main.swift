// The live page's process. `tapline serve` starts it with the listening socket at descriptor 3, and its way to the topology at 4.
import Glibc
import Portal
import Reporting

func say(_ text: String, to descriptor: Int32) {
    let line = Array("\(text)\n".utf8)
    _ = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
}

if CommandLine.arguments.dropFirst() == ["--version"] {
    say("tapline-portal \(Release.version)", to: 1)
    exit(0)
}
do throws(ApplianceError) {
    try PortalServer.run()
} catch {
    say("tapline-portal: \(error)", to: 2)
    exit(2)
}
exit(0)
