import CLinux
import CNetlink

/// Why an exchange with the kernel failed, or why libnl could not build or read a message. `NetlinkSocket.request` adds
/// what was attempted, and on which object.
struct NetlinkFailure: Error, Equatable {
    /// The error number, positive.
    var errno: Int32
    /// The kernel's extended message, where there is one.
    var message: String?

    /// - Parameter errno: Positive.
    init(errno: Int32, message: String? = nil) {
        self.errno = errno
        self.message = message
    }

    /// The failure of a function of libnl that does not ask the kernel.
    ///
    /// - Parameter library: A negative NLE_ number (netlink/errno.h).
    init(library: Int32) {
        let number: Int32
        switch -library {
        case NLE_NOMEM: number = ENOMEM
        case NLE_MSGSIZE, NLE_ATTRSIZE: number = EMSGSIZE
        case NLE_RANGE: number = ERANGE
        case NLE_AF_MISMATCH, NLE_AF_NOSUPPORT: number = EAFNOSUPPORT
        case NLE_MSG_TOOSHORT, NLE_MSG_TRUNC, NLE_MISSING_ATTR, NLE_MSGTYPE_NOSUPPORT: number = EPROTO
        default: number = EINVAL
        }
        self.init(errno: number)
    }

    /// The result of a function of libnl that returns a negative NLE_ number where it fails, and asks no kernel.
    @discardableResult
    static func check(_ result: Int32) throws(NetlinkFailure) -> Int32 {
        guard result >= 0 else { throw NetlinkFailure(library: result) }
        return result
    }

    /// The object that a function of libnl has allocated.
    ///
    /// - Throws: ENOMEM for NULL.
    static func check(allocated pointer: OpaquePointer?) throws(NetlinkFailure) -> OpaquePointer {
        guard let pointer else { throw NetlinkFailure(errno: ENOMEM) }
        return pointer
    }

    /// The failure of a call that `errno` tells about. To be asked at once.
    ///
    /// - Parameter library: The result of libnl, a negative NLE_ number.
    static func ofCall(_ library: Int32) -> NetlinkFailure {
        let isMalformed = [NLE_MSG_TOOSHORT, NLE_MSG_TRUNC, NLE_INVAL, NLE_NOADDR].contains(-library)
        return NetlinkFailure(errno: isMalformed ? EPROTO : currentErrno())
    }
}

/// A set of libnl's callbacks (nl_cb). Their context outlives it.
struct NetlinkCallbacks: ~Copyable {
    let pointer: OpaquePointer

    /// - Throws: ENOMEM.
    init() throws(NetlinkFailure) {
        pointer = try NetlinkFailure.check(allocated: nl_cb_alloc(NL_CB_DEFAULT))
    }

    deinit {
        nl_cb_put(pointer)
    }

    /// Sets the callback for one kind of message.
    borrowing func set(
        _ kind: nl_cb_type, _ context: UnsafeMutableRawPointer, _ function: @escaping nl_recvmsg_msg_cb_t
    ) {
        _ = nl_cb_set(pointer, kind, NL_CB_CUSTOM, function, context)
    }

    /// Sets the callback for errors that the kernel tells.
    borrowing func setError(_ context: UnsafeMutableRawPointer, _ function: @escaping nl_recvmsg_err_cb_t) {
        _ = nl_cb_err(pointer, NL_CB_CUSTOM, function, context)
    }
}

/// A libnl socket (nl_sock) of NETLINK_ROUTE, connected, in the network namespace of the thread that made it.
///
/// libnl picks its port number, and the kernel where all 1,024 of libnl's are in use. One thread uses it at a time.
struct NetlinkHandle: ~Copyable {
    let pointer: OpaquePointer

    /// Octets that the kernel keeps for the socket to read.
    private static let receiveBuffer: Int32 = 1 << 20
    /// Octets of the longest message that is read. The kernel's dumps send at most 32 KiB at once. So no message needs
    /// MSG_PEEK, which costs one more call.
    private static let messageBuffer = 64 << 10

    /// - Throws: The kernel's refusal of the socket; ENOMEM.
    init(_ callbacks: borrowing NetlinkCallbacks) throws(NetlinkFailure) {
        let pointer = try NetlinkFailure.check(allocated: nl_socket_alloc_cb(callbacks.pointer))
        let result = nl_connect(pointer, NETLINK_ROUTE)
        guard result >= 0 else {
            let failure = NetlinkFailure.ofCall(result)
            nl_socket_free(pointer)
            throw failure
        }
        // A kernel that does not allow this leaves the socket as it was.
        _ = clinux_receive_buffer(nl_socket_get_fd(pointer), Self.receiveBuffer)
        _ = nl_socket_set_msg_buf_size(pointer, Self.messageBuffer)
        self.pointer = pointer
    }

    deinit {
        nl_socket_free(pointer)
    }

    /// The socket's descriptor, valid as long as this owner lives.
    var descriptor: Int32 { nl_socket_get_fd(pointer) }
}
