import CLinux

/// One end of the control protocol's socket.
struct ControlSocket {
    /// The descriptor; whoever made the socket closes it.
    let descriptor: Int32

    /// Sends one message with its descriptors, at most `CLINUX_MAX_FDS`, which stay the caller's.
    func send(_ message: ControlMessage, descriptors: [Int32] = []) throws(EngineError) {
        let bytes = message.bytes
        if descriptors.isEmpty {
            var sent: Int
            repeat {
                sent = CLinux.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            } while sent < 0 && clinux_errno() == EINTR
            guard sent >= 0 else {
                throw EngineError("send to the control socket's other end", errno: clinux_errno())
            }
            return
        }
        let result = bytes.withUnsafeBytes { bytes in
            descriptors.withUnsafeBufferPointer { descriptors in
                clinux_send_fds(
                    descriptor, bytes.baseAddress, bytes.count, descriptors.baseAddress, descriptors.count)
            }
        }
        guard result >= 0 else { throw EngineError("send to the control socket's other end", errno: -result) }
    }

    /// Waits for one message; nil at the end. The descriptors become the caller's.
    func receive() throws(EngineError) -> (message: ControlMessage, descriptors: [Int32])? {
        let room = Int(CLINUX_MAX_FDS)
        var descriptors = [Int32](repeating: -1, count: room)
        var bytes = [UInt8](repeating: 0, count: ControlMessage.length)
        var count = room
        let result = bytes.withUnsafeMutableBytes { bytes in
            descriptors.withUnsafeMutableBufferPointer { descriptors in
                clinux_receive_fds(descriptor, bytes.baseAddress, bytes.count, descriptors.baseAddress, &count)
            }
        }
        guard result >= 0 else { throw EngineError("receive from the control socket", errno: Int32(-result)) }
        guard result > 0 else { return nil }
        descriptors.removeLast(room - count)
        do throws(EngineError) { return (try Self.message(bytes, result), descriptors) } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
    }

    /// Waits for one message of an engine's; nil at the end. It brings no descriptors: none is taken.
    func receiveUntrusted() throws(EngineError) -> ControlMessage? {
        var bytes = [UInt8](repeating: 0, count: ControlMessage.length)
        let result = bytes.withUnsafeMutableBytes { clinux_receive_no_fds(descriptor, $0.baseAddress, $0.count) }
        guard result != -Int(EBADMSG) else {
            throw EngineError("read a control message", because: "the engine sent descriptors, which no engine does")
        }
        guard result >= 0 else { throw EngineError("receive from the control socket", errno: Int32(-result)) }
        return result > 0 ? try Self.message(bytes, result) : nil
    }

    private static func message(_ bytes: [UInt8], _ count: Int) throws(EngineError) -> ControlMessage {
        let message = bytes.withUnsafeBytes { ControlMessage(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        guard let message else {
            throw EngineError("read a control message", because: "it is of another version, or none")
        }
        return message
    }
}
