import CLinux
import CNetlink

/// A route netlink socket. It stays bound to the network namespace of the thread that opened it, and works from any
/// thread; requests take turns.
///
/// libnl sends, receives and numbers. Every request waits for the kernel's answer, and throws its error with the
/// extended message where there is one. A dump that a change has interrupted is repeated. The socket keeps its
/// namespace alive.
public final class NetlinkSocket: @unchecked Sendable {
    /// The socket, which also answers SIOCETHTOOL for its namespace's devices.
    let descriptor: Int32
    /// How often a dump is asked for, before the changes that interrupt it are an error.
    private let dumpAttempts: Int
    // Guarded by `lock`.
    private let exchange: NetlinkExchange
    private var dumpsRepeated = 0
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    /// Opens a socket in the calling thread's network namespace.
    ///
    /// - Throws: The kernel's refusal of the socket; ENOMEM.
    public convenience init() throws(SystemError) {
        try self.init(dumpAttempts: 32)
    }

    /// Opens a socket in the calling thread's network namespace.
    ///
    /// - Parameter dumpAttempts: How often a dump is asked for, before the changes that interrupt it are an error.
    /// - Throws: The kernel's refusal of the socket; ENOMEM.
    init(dumpAttempts: Int) throws(SystemError) {
        self.dumpAttempts = dumpAttempts
        do throws(NetlinkFailure) {
            exchange = try NetlinkExchange()
        } catch {
            lock.deallocate()
            throw SystemError("open a netlink socket", "", errno: error.errno)
        }
        descriptor = exchange.descriptor
        pthread_mutex_init(lock, nil)
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    /// The port number by which notifications name its requests.
    public var port: UInt32 { locked { exchange.port } }

    /// How many dumps have been asked for once more since the socket was opened.
    var repeatedDumps: Int { locked { dumpsRepeated } }

    private func locked<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    /// Builds a request, sends it, and waits for the acknowledgement, or for the end of a dump.
    ///
    /// - Parameters:
    ///   - operation: The attempt, as the words after "cannot".
    ///   - object: On what.
    ///   - message: Builds the request.
    ///   - reply: Called with each message that answers, when all have come.
    /// - Throws: The kernel's refusal; EINTR if changes have interrupted every attempt of a dump; EMSGSIZE or EINVAL if
    ///   libnl refuses what the request was to hold; EPROTO if it cannot read an answer.
    func request(
        _ operation: @autoclosure () -> String, _ object: @autoclosure () -> String,
        _ message: () throws(NetlinkFailure) -> NetlinkMessage,
        reply: (NetlinkReply) throws(NetlinkFailure) -> Void = { (_) throws(NetlinkFailure) in }
    ) throws(SystemError) {
        pthread_mutex_lock(lock)
        defer {
            exchange.clear()
            pthread_mutex_unlock(lock)
        }
        do throws(NetlinkFailure) {
            let message = try message()
            var attempts = 1
            try exchange.run(message)
            while exchange.isInterrupted {
                guard attempts < dumpAttempts else { throw NetlinkFailure(errno: EINTR) }
                attempts += 1
                dumpsRepeated += 1
                try exchange.run(message)
            }
            for answer in exchange.answers { try reply(NetlinkReply(answer)) }
        } catch {
            throw SystemError(operation(), object(), errno: error.errno, kernelMessage: error.message)
        }
    }
}
