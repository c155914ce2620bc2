import CLinux

/// A message received from a Unix socket, with the descriptors that came in it.
@frozen
public struct ReceivedMessage: ~Copyable, Sendable {
    /// The message's octets; none and no descriptors at the end of the connection.
    public let bytes: [UInt8]
    /// The descriptors, in the sender's order, close-on-exec.
    public var descriptors: OwnedDescriptors
}

/// One end of a connection that keeps messages apart and carries descriptors (SOCK_SEQPACKET).
@frozen
public struct UnixSocket: ~Copyable, Sendable {
    /// The socket, owned.
    public let descriptor: OwnedDescriptor

    /// Takes ownership of a connected socket.
    public init(owning descriptor: consuming OwnedDescriptor) {
        self.descriptor = descriptor
    }

    /// A connected pair, both close-on-exec; each end is handed to `body` to be kept.
    ///
    /// - Throws: EMFILE if the process may open no more files.
    public static func pair() throws(SystemError) -> UnixSocketPair {
        var ends: [Int32] = [0, 0]
        try SystemError.checkErrno(clinux_socket_pair(&ends), "make a socket pair", "")
        return UnixSocketPair(
            first: UnixSocket(owning: OwnedDescriptor(owning: ends[0])),
            second: UnixSocket(owning: OwnedDescriptor(owning: ends[1])))
    }

    /// Sends one message with at most 253 descriptors, which stay the caller's.
    ///
    /// - Throws: EPIPE where the other end is gone, EAGAIN where a nonblocking socket is full.
    public borrowing func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws(SystemError) {
        let result = bytes.withUnsafeBytes {
            clinux_send_fds(descriptor.number, $0.baseAddress, $0.count, descriptors, descriptors.count)
        }
        try SystemError.check(result, "send a message with \(descriptors.count) descriptors", "")
    }

    /// Waits for one message of at most `limit` octets and 253 descriptors.
    ///
    /// - Throws: EMSGSIZE where it was longer; EAGAIN where a nonblocking socket is empty.
    public borrowing func receive(limit: Int = 64 << 10) throws(SystemError) -> ReceivedMessage {
        var bytes = [UInt8](repeating: 0, count: max(1, limit))
        var numbers = [Int32](repeating: -1, count: Int(CLINUX_MAX_FDS))
        var count = numbers.count
        let received = bytes.withUnsafeMutableBytes {
            clinux_receive_fds(descriptor.number, $0.baseAddress, $0.count, &numbers, &count)
        }
        try SystemError.check(Int32(clamping: received), "receive a message", "")
        bytes.removeLast(bytes.count - received)
        return ReceivedMessage(bytes: bytes, descriptors: OwnedDescriptors(owning: Array(numbers[..<count])))
    }
}

/// The two ends of a connection.
@frozen
public struct UnixSocketPair: ~Copyable, Sendable {
    /// One end.
    public var first: UnixSocket
    /// The other end.
    public var second: UnixSocket
}
