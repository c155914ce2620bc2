import CLinux
import CNetlink

/// A socket with its callbacks, and what they have told of one request. One thread uses it at a time.
final class NetlinkExchange {
    private let callbacks: NetlinkCallbacks
    private let handle: NetlinkHandle
    /// The messages that answer, valid until `clear`.
    private(set) var answers: [OpaquePointer] = []
    /// Whether a change has made the answers of a dump disagree (NLM_F_DUMP_INTR).
    private(set) var isInterrupted = false
    private var failure: NetlinkFailure?
    private var isFinished = false
    private var sequence: UInt32 = 0

    /// Opens a socket in the calling thread's network namespace.
    ///
    /// - Throws: The kernel's refusal of the socket; ENOMEM.
    init() throws(NetlinkFailure) {
        callbacks = try NetlinkCallbacks()
        handle = try NetlinkHandle(callbacks)
        let context = Unmanaged.passUnretained(self).toOpaque()
        // Ignore answers to requests that were given up.
        callbacks.set(NL_CB_SEQ_CHECK, context) { message, context in
            let isOurs = nlmsg_hdr(message).pointee.nlmsg_seq == NetlinkExchange.of(context).sequence
            return Int32((isOurs ? NL_OK : NL_SKIP).rawValue)
        }
        callbacks.set(NL_CB_VALID, context) { message, context in
            nlmsg_get(message)
            NetlinkExchange.of(context).answers.append(message!)
            return Int32(NL_OK.rawValue)
        }
        callbacks.set(NL_CB_DUMP_INTR, context) { _, context in
            NetlinkExchange.of(context).isInterrupted = true
            return Int32(NL_OK.rawValue)
        }
        callbacks.set(NL_CB_ACK, context) { _, context in
            NetlinkExchange.of(context).isFinished = true
            return Int32(NL_STOP.rawValue)
        }
        callbacks.set(NL_CB_FINISH, context) { message, context in
            NetlinkExchange.of(context).finish(nlmsg_hdr(message))
            return Int32(NL_STOP.rawValue)
        }
        callbacks.setError(context) { _, error, context in
            NetlinkExchange.of(context).fail(error!)
            return Int32(NL_STOP.rawValue)
        }
        clinux_ask_extended_errors(handle.descriptor)
    }

    deinit { clear() }

    /// The socket's descriptor, valid as long as this object lives.
    var descriptor: Int32 { handle.descriptor }

    /// The socket's port number.
    var port: UInt32 { nl_socket_get_local_port(handle.pointer) }

    /// Sends a request, and waits for its acknowledgement or for the end of its dump. `answers` then has the messages
    /// that answer.
    ///
    /// - Throws: The kernel's refusal; EPROTO if the answer is malformed.
    func run(_ message: borrowing NetlinkMessage) throws(NetlinkFailure) {
        clear()
        let header = nlmsg_hdr(message.pointer)!
        // Has libnl give the next number, to a repeated request as well.
        header.pointee.nlmsg_seq = UInt32(NL_AUTO_SEQ)
        nl_complete_msg(handle.pointer, message.pointer)
        sequence = header.pointee.nlmsg_seq
        var result: Int32
        repeat {
            result = nl_send(handle.pointer, message.pointer)
        } while result < 0 && currentErrno() == EINTR
        while result >= 0 && !isFinished {
            result = nl_recvmsgs(handle.pointer, callbacks.pointer)
        }
        if let failure { throw failure }
        if !isFinished { throw NetlinkFailure.ofCall(result) }
    }

    /// Frees the answers.
    func clear() {
        for answer in answers { nlmsg_free(answer) }
        answers = []
        failure = nil
        isInterrupted = false
        isFinished = false
    }

    private static func of(_ context: UnsafeMutableRawPointer?) -> NetlinkExchange {
        Unmanaged<NetlinkExchange>.fromOpaque(context!).takeUnretainedValue()
    }

    /// NLMSG_DONE carries the error number of a dump that broke off, and zero else.
    private func finish(_ header: UnsafeMutablePointer<nlmsghdr>) {
        isFinished = true
        guard nlmsg_datalen(header) >= 4, let data = nlmsg_data(header) else { return }
        let error = data.loadUnaligned(as: Int32.self)
        if error < 0 { fail(-error, header) }
    }

    /// NLMSG_ERROR. libnl has checked that the message holds an nlmsgerr.
    private func fail(_ error: UnsafeMutablePointer<nlmsgerr>) {
        fail(-error.pointee.error, cnetlink_header(error))
    }

    private func fail(_ number: Int32, _ header: UnsafeMutablePointer<nlmsghdr>) {
        isFinished = true
        failure = NetlinkFailure(
            errno: number, message: cnetlink_extended_message(header).map { String(cString: $0) })
    }
}
