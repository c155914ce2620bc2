import CLinux

/// Small files of the kernel's, read and written whole.
enum File {
    static func read(_ path: String) throws(SystemError) -> String {
        let file = OwnedDescriptor(
            owning: try SystemError.checkErrno(clinux_open(path, O_RDONLY, 0), "open", path))
        var bytes: [UInt8] = []
        while true {
            var buffer = [UInt8](repeating: 0, count: 16 << 10)
            let count = buffer.withUnsafeMutableBytes { CLinux.read(file.number, $0.baseAddress, $0.count) }
            if count < 0 {
                let error = currentErrno()
                if error == EINTR { continue }
                throw SystemError("read", path, errno: error)
            }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
