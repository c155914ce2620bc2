import Glibc
import Reporting
import Wire

/// One end of a stream socket on which both ends write lines. It blocks, so each end is for one thread.
package final class LineChannel: @unchecked Sendable {
    /// The end of this process. It stays open as long as the channel.
    package let descriptor: Int32
    private var input: [UInt8] = []
    private var scanned = 0
    private let longest: Int

    /// - Parameters:
    ///   - descriptor: It is closed with the channel.
    ///   - longest: The octets that a line may have.
    package init(owning descriptor: Int32, longest: Int) {
        self.descriptor = descriptor
        self.longest = longest
    }

    deinit { close(descriptor) }

    /// The next line, without its end; nil if the other end is gone, or a line is too long.
    ///
    /// - Parameter time: How long to wait; nil: for ever.
    package func read(within time: Duration? = nil) -> [UInt8]? {
        let deadline = time.map { monotonicTime() + $0 }
        while true {
            if let end = input[scanned...].firstIndex(of: 10) {
                let line = Array(input[..<end])
                input.removeSubrange(...end)
                scanned = 0
                return line
            }
            scanned = input.count
            guard input.count <= longest else { return nil }
            if let deadline {
                let left = deadline - monotonicTime()
                guard left > .zero, pollOne(descriptor, POLLIN, within: left) else { return nil }
            }
            guard let bytes = readOnce(descriptor) else {
                if errno == EINTR { continue }
                return nil
            }
            guard !bytes.isEmpty else { return nil }
            input += bytes
        }
    }

    /// Writes a line, its end included.
    ///
    /// - Returns: False if the other end is gone.
    package func write(_ line: [UInt8]) -> Bool {
        var sent = 0
        while sent < line.count {
            let count = line.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, line.count - sent, noSignal)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            sent += count
        }
        return true
    }

    /// Lets a read of either end return: nothing more comes.
    package func shutDown() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}
