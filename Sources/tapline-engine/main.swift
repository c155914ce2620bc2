// The packeting engine. The control process starts it with one end of a control socket at descriptor 3.
import CLinux
import Engine
import Reporting

func fail(_ error: EngineError) -> Never {
    let line = Array("tapline-engine: \(error)\n".utf8)
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    exit(2)
}

if CommandLine.arguments.dropFirst() == ["--version"] {
    let line = Array("tapline-engine \(Release.version)\n".utf8)
    exit(line.withUnsafeBytes { write(1, $0.baseAddress, $0.count) } == line.count ? 0 : 2)
}

// Close every descriptor that was inherited by mistake before frames are read.
close_range(UInt32(EngineLink.engineDescriptor) + 1, .max, 0)
do throws(EngineError) {
    var engine = try EngineMain(descriptor: EngineLink.engineDescriptor)
    try engine.run()
} catch {
    fail(error)
}
exit(0)
