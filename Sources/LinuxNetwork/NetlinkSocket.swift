import CLinux
import CNetlink

/// A route netlink socket. It stays bound to the network namespace of the thread that opened it, and works from any
/// thread; requests take turns.
///
/// Every request waits for the kernel's answer, and throws its error with the extended message where there is one.
/// The socket keeps its namespace alive.
public final class NetlinkSocket: @unchecked Sendable {
    /// The socket, which also answers SIOCETHTOOL for its namespace's devices.
    let descriptor: Int32
    // Guarded by `lock`.
    private var sequence: UInt32 = 0
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 8)
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    /// Opens a socket in the calling thread's network namespace.
    public init() throws(SystemError) {
        let socket = OwnedDescriptor(
            owning: try SystemError.checkErrno(
                clinux_route_socket(), "open a netlink socket", ""))
        pthread_mutex_init(lock, nil)
        descriptor = socket.release()
    }

    deinit {
        close(descriptor)
        pthread_mutex_destroy(lock)
        lock.deallocate()
        buffer.deallocate()
    }

    /// What notifications name its requests by.
    public var port: UInt32 { clinux_netlink_port(descriptor) }

    /// Sends a request and waits for the acknowledgement, or for the end of a dump.
    ///
    /// - Parameters:
    ///   - operation: What is attempted, after "cannot".
    ///   - object: On what.
    ///   - reply: Called with each message that answers.
    func request(
        _ message: consuming NetlinkMessage, _ operation: String, _ object: @autoclosure () -> String,
        reply: (NetlinkReply) -> Void = { _ in }
    ) throws(SystemError) {
        let header = nlmsg_hdr(message.pointer)!
        header.pointee.nlmsg_flags |= UInt16(NLM_F_ACK)
        let failure = exchange(header, reply)
        if let failure, failure.errno != 0 {
            throw SystemError(operation, object(), errno: failure.errno, kernelMessage: failure.message)
        }
    }

    private func exchange(
        _ header: UnsafeMutablePointer<nlmsghdr>, _ reply: (NetlinkReply) -> Void
    ) -> (errno: Int32, message: String?)? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        sequence &+= 1
        header.pointee.nlmsg_seq = sequence
        header.pointee.nlmsg_pid = 0
        var sent: Int
        repeat {
            sent = send(descriptor, header, Int(header.pointee.nlmsg_len), 0)
        } while sent < 0 && currentErrno() == EINTR
        guard sent >= 0 else { return (currentErrno(), nil) }
        return receive(reply)
    }

    private func receive(_ reply: (NetlinkReply) -> Void) -> (errno: Int32, message: String?)? {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count < 0 {
                if currentErrno() == EINTR { continue }
                return (currentErrno(), nil)
            }
            var header = buffer.baseAddress!.assumingMemoryBound(to: nlmsghdr.self)
            var left = Int32(count)
            while nlmsg_ok(header, left) != 0 {
                if header.pointee.nlmsg_seq == sequence {
                    switch Int32(header.pointee.nlmsg_type) {
                    case NLMSG_ERROR: return Self.failure(in: header)
                    case NLMSG_DONE: return nil
                    case NLMSG_NOOP: break
                    default: reply(NetlinkReply(header: header))
                    }
                }
                header = nlmsg_next(header, &left)
            }
        }
    }

    /// The error number and text of an NLMSG_ERROR (linux/netlink.h); the socket asked for capped acknowledgements,
    /// so that attributes follow the quoted header at once.
    private static func failure(in header: UnsafeMutablePointer<nlmsghdr>) -> (errno: Int32, message: String?)? {
        let size = MemoryLayout<nlmsgerr>.size
        guard nlmsg_valid_hdr(header, Int32(size)) != 0, let data = nlmsg_data(header) else { return (EPROTO, nil) }
        let error = data.loadUnaligned(as: Int32.self)
        guard error != 0 else { return nil }
        var text: String?
        if header.pointee.nlmsg_flags & UInt16(NLM_F_ACK_TLVS) != 0 {
            let rest = UnsafeRawBufferPointer(start: data + size, count: Int(nlmsg_datalen(header)) - size)
            NetlinkReply.forEachAttribute(in: rest) { type, payload in
                if type == Int(NLMSGERR_ATTR_MSG.rawValue) { text = payload.text }
            }
        }
        return (-error, text)
    }
}
