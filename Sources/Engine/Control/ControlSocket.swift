import CLinux

/// One end of the control protocol's socket.
struct ControlSocket {
    /// The descriptor. The owner of the socket closes it.
    let descriptor: Int32

    /// Sends one message with its descriptors, at most `CLINUX_MAX_FDS`. The caller still owns them.
    ///
    /// - Throws: `EngineError` with the errno of the send.
    func send(_ message: ControlMessage, descriptors: [Int32] = []) throws(EngineError) {
        let bytes = message.bytes
        if descriptors.isEmpty {
            // The engine's filter permits only this way to send, which takes no descriptors.
            var sent: Int
            repeat {
                sent = CLinux.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            } while sent < 0 && clinux_errno() == EINTR
            guard sent >= 0 else {
                throw EngineError("send a control message", errno: clinux_errno())
            }
            return
        }
        let result = bytes.withUnsafeBytes { bytes in
            descriptors.withUnsafeBufferPointer { descriptors in
                clinux_send_fds(
                    descriptor, bytes.baseAddress, bytes.count, descriptors.baseAddress, descriptors.count)
            }
        }
        guard result >= 0 else { throw EngineError("send a control message", errno: -result) }
    }

    /// Waits for one message; nil at the end. The caller owns the descriptors.
    ///
    /// - Parameter room: The largest number of descriptors. A message with more is refused, and none of them is opened
    ///   here.
    /// - Throws: `EngineError` with the errno of the receive, or if the message is of another version.
    func receive(
        descriptors room: Int = Int(CLINUX_MAX_FDS)
    ) throws(EngineError) -> (message: ControlMessage, descriptors: [Int32])? {
        var descriptors = [Int32](repeating: -1, count: room)
        var bytes = [UInt8](repeating: 0, count: ControlMessage.length)
        var count = room
        let result = bytes.withUnsafeMutableBytes { bytes in
            descriptors.withUnsafeMutableBufferPointer { descriptors in
                clinux_receive_fds(descriptor, bytes.baseAddress, bytes.count, descriptors.baseAddress, &count)
            }
        }
        guard result >= 0 else { throw EngineError("receive a control message", errno: Int32(-result)) }
        guard result > 0 else { return nil }
        descriptors.removeLast(room - count)
        let message = bytes.withUnsafeBytes { ControlMessage(UnsafeRawBufferPointer(rebasing: $0[..<result])) }
        guard let message else {
            for descriptor in descriptors { close(descriptor) }
            throw EngineError("read a control message", because: "it is not of this version")
        }
        return (message, descriptors)
    }
}
