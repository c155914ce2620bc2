import Forwarding
import Wire

// Frames that the engine itself sends: echo replies and ICMP errors.

extension Forwarder {
    /// Adds a frame that the engine composes, of at most `capacity` octets, to the writes.
    ///
    /// - Parameters:
    ///   - write: Writes the frame into its argument and returns its length in octets; 0 if there is no frame.
    /// - Returns: False if there is no room, or no frame.
    @inline(__always)
    mutating func compose(
        _ capacity: Int, to interface: Int, into writes: inout WriteList,
        write: (inout MutableRawSpan) -> Int
    ) -> Bool {
        guard let buffer = writes.compose(Self.frameOffset + capacity), let start = buffer.baseAddress else {
            return false
        }
        start.initializeMemory(as: UInt8.self, repeating: 0, count: Self.frameOffset)
        let room = UnsafeMutableRawBufferPointer(start: start + Self.frameOffset, count: capacity)
        var span = room.mutableBytes
        let length = write(&span)
        guard length > 0 else { return false }
        writes.keepComposed(Self.frameOffset + length)
        writes.add(
            interface: interface, header: start, headerLength: Self.frameOffset + length,
            body: UnsafeRawPointer(start), bodyLength: 0, packets: 1)
        return true
    }

    /// Answers an echo request to one of the engine's own addresses. They answer nothing else.
    mutating func answerEcho(
        _ frame: RawSpan, from interface: Int, into writes: inout WriteList
    ) -> DropReason? {
        // A packet whose own header routes it further is not for the engine.
        guard fields.message == .echoRequest, fields.fragment == .whole, !fields.destinationMAC.isMulticast,
            fields.bindings.isEmpty
        else { return .toTheEngine }
        guard budgets.take(.answers, account(on: interface), self.fields.flow.source, now: now) else {
            return .answerRateLimited
        }
        let fields = self.fields
        let checksum = offload.checksumState(of: fields)
        let sent = compose(frame.byteCount, to: interface, into: &writes) { span in
            EchoReply.write(
                into: &span, answering: frame, fields, from: fields.destinationMAC, checksum: checksum)
        }
        return sent ? nil : .toTheEngine
    }

    /// Tells the sender of a frame that its application is down, as the file says.
    mutating func tell(
        _ answer: DownAnswer, about frame: ReceivedFrame, to interface: Int, _ sender: Sender,
        into writes: inout WriteList
    ) {
        switch answer {
        case .silence: return
        case .reset where reset(frame, to: interface, sender, into: &writes): return
        case .unreachable, .reset:
            sendError(.hostUnreachable(fields.family), about: frame, to: interface, sender, into: &writes)
        }
    }

    /// Tells the sender of a frame that an access list denies it, as the rule says.
    mutating func tell(
        _ denial: AccessDenial, about frame: ReceivedFrame, to interface: Int, _ sender: Sender,
        into writes: inout WriteList
    ) {
        switch denial {
        case .drop: return
        case .reset
        where fields.filterProtocol == IPProtocol.tcp && reset(frame, to: interface, sender, into: &writes):
            return
        case .icmp, .reset:
            sendError(
                .administrativelyProhibited(fields.family), about: frame, to: interface, sender, into: &writes)
        }
    }

    /// Answers a TCP segment with a reset, unless a rule or the rate forbids it.
    ///
    /// - Returns: False if the frame is no TCP segment between two hosts, so that a reset is no answer to it.
    private mutating func reset(
        _ frame: ReceivedFrame, to interface: Int, _ sender: Sender, into writes: inout WriteList
    ) -> Bool {
        guard fields.transportProtocol == IPProtocol.tcp, fields.fragment == .whole, !fields.hasQuoted,
            fields.bindings.isEmpty, !fields.destinationMAC.isMulticast
        else { return false }
        guard sender.mayBeAnswered else {
            counters.countDrop(.errorForbidden)
            return true
        }
        guard mayTell(on: interface) else {
            counters.countDrop(.errorRateLimited)
            return true
        }
        let octets = UnsafeRawBufferPointer(
            start: frame.start + Self.frameOffset, count: frame.length &- Self.frameOffset)
        let fields = self.fields
        let sent = compose(TCPReset.maximumFrameLength, to: interface, into: &writes) { span in
            TCPReset.write(into: &span, answering: octets.bytes, fields, from: fields.destinationMAC)
        }
        if !sent { counters.countDrop(.errorForbidden) }
        return true
    }

    /// True if the sender of the frame at hand may get one more message about a packet.
    private func mayTell(on interface: Int) -> Bool {
        budgets.take(.errors, account(on: interface), fields.flow.source, now: now)
    }

    /// Sends an ICMP error about a frame back to its sender, unless a rule or the rate forbids it.
    ///
    /// - Parameters:
    ///   - source: The source of the error. Without it, the engine's own address.
    mutating func sendError(
        _ error: ICMPError, about frame: ReceivedFrame, to interface: Int, _ sender: Sender,
        from source: IPAddress? = nil, into writes: inout WriteList
    ) {
        guard sender.mayBeAnswered, error.mayAnswer(fields), !table.isOwnAddress(fields.flow.source),
            let source = source ?? table.ownSource(on: interface, towards: fields.flow.source)
        else {
            counters.countDrop(.errorForbidden)
            return
        }
        guard mayTell(on: interface) else {
            counters.countDrop(.errorRateLimited)
            return
        }
        let octets = UnsafeRawBufferPointer(
            start: frame.start + Self.frameOffset, count: frame.length &- Self.frameOffset)
        let fields = self.fields
        // The source is the address that the frame was sent to, unless that is a group.
        let own = fields.destinationMAC.isMulticast ? table.interface(interface).mac : fields.destinationMAC
        let sent = compose(ICMPError.maximumFrameLength, to: interface, into: &writes) { span in
            error.write(into: &span, about: octets.bytes, fields, from: source, sourceMAC: own)
        }
        if !sent { counters.countDrop(.errorForbidden) }
    }
}
