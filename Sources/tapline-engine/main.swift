// The packeting engine. It is started by the control process with one end of a control socket at descriptor 3.
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

// Nothing that was inherited by mistake is open while frames are read.
close_range(UInt32(EngineLink.engineDescriptor) + 1, .max, 0)
do throws(EngineError) {
    var engine = try EngineMain(descriptor: EngineLink.engineDescriptor)
    try engine.run()
} catch {
    fail(error)
}
exit(0)
