import FuzzProperties
import Glibc

/// One line to standard error.
private func say(_ line: String) {
    let text = line + "\n"
    _ = text.withCString { write(2, $0, text.utf8.count) }
}

/// The target that the environment names; Scripts/fuzz does.
private let target: FuzzTarget = {
    let name = getenv("TAPLINE_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
        say("TAPLINE_FUZZ_TARGET must be one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
        exit(64)
    }
    return target
}()

/// What libFuzzer, which brings the main function, calls with every input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    do throws(BrokenProperty) {
        try target.check(UnsafeRawBufferPointer(start: bytes, count: count))
    } catch {
        say("\(target.rawValue): \(error)")
        abort()
    }
    return 0
}
