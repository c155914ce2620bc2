import CLinux
import Glibc
import Reporting

/// Signals as a descriptor: readable when one has come.
///
/// The signals are blocked in the calling thread and in the threads that it starts afterwards. So it is made before any
/// other thread is there.
package struct SignalDescriptor: Sendable {
    /// Readable when a signal has come. It stays open as long as the process lives.
    package let descriptor: Int32

    /// - Throws: Where the kernel gives no descriptor.
    package init(_ numbers: [Int32]) throws(ApplianceError) {
        var set = Self.block(numbers)
        descriptor = signalfd(-1, &set, 0x80000 | 0x800)  // SFD_CLOEXEC | SFD_NONBLOCK
        guard descriptor >= 0 else { throw .system("cannot take signals", errno: errno) }
    }

    /// Takes all signals that have come until now.
    package func drain() {
        while readOnce(descriptor, limit: 4096)?.isEmpty == false {}
    }

    /// Blocks signals in the calling thread and in threads that it starts afterwards.
    ///
    /// - Returns: The signals as a set, for sigwait(3).
    @discardableResult
    package static func block(_ numbers: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        return set
    }
}
