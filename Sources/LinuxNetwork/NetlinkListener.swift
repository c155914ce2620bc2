import CLinux
import CNetlink

/// A socket that hears what the kernel tells of its own accord (rtnetlink(7), the groups RTNLGRP_…).
final class NetlinkListener {
    /// A message that the listener heard.
    enum Notification {
        /// A message, valid until the call that hands it over returns.
        case message(NetlinkReply)
        /// The kernel had more to tell than the socket's buffer holds.
        case lost
    }

    private let callbacks: NetlinkCallbacks
    private let handle: NetlinkHandle
    private var heard: [OpaquePointer] = []

    /// Opens a socket, which does not block, in the calling thread's network namespace.
    ///
    /// - Parameter groups: Numbers of groups.
    /// - Throws: The kernel's refusal; ENOMEM.
    init(_ groups: [rtnetlink_groups]) throws(NetlinkFailure) {
        callbacks = try NetlinkCallbacks()
        handle = try NetlinkHandle(callbacks)
        // Notifications have the numbers of others' requests, or none.
        nl_socket_disable_seq_check(handle.pointer)
        for group in groups {
            let result = nl_socket_add_membership(handle.pointer, Int32(group.rawValue))
            guard result >= 0 else { throw NetlinkFailure.ofCall(result) }
        }
        let result = nl_socket_set_nonblocking(handle.pointer)
        guard result >= 0 else { throw NetlinkFailure.ofCall(result) }
        callbacks.set(NL_CB_VALID, Unmanaged.passUnretained(self).toOpaque()) { message, context in
            nlmsg_get(message)
            Unmanaged<NetlinkListener>.fromOpaque(context!).takeUnretainedValue().heard.append(message!)
            return Int32(NL_OK.rawValue)
        }
    }

    deinit {
        for message in heard { nlmsg_free(message) }
    }

    /// The socket's descriptor: readable when something has been told, and valid as long as this object lives.
    var descriptor: Int32 { handle.descriptor }

    /// Calls `body` with all that has been told. True if there was anything.
    func drain(_ body: (Notification) -> Void) -> Bool {
        var hasHeard = false
        while true {
            let result = nl_recvmsgs(handle.pointer, callbacks.pointer)
            // libnl has one number for two errors.
            let isLost = result == -NLE_MSG_TRUNC || (result == -NLE_NOMEM && currentErrno() == ENOBUFS)
            if !heard.isEmpty || isLost { hasHeard = true }
            for message in heard {
                body(.message(NetlinkReply(message)))
                nlmsg_free(message)
            }
            heard = []
            if isLost { body(.lost) }
            guard result >= 0 || isLost else { return hasHeard }
        }
    }
}
