import Forwarding
import Wire

// The copies of a packet: where each goes, what is rewritten in it, and why it may be dropped.

extension Forwarder {
    /// Sends a copy to every target of an entry.
    mutating func copyAll(
        _ frame: ReceivedFrame, _ entry: EntryRecord, from interface: Int, sender: Sender, into writes: inout WriteList
    ) {
        var errorSent = false
        joined = (0, 0)
        copy(frame, entry, to: entry.targets, from: interface, sender, &errorSent, into: &writes)
        if joined.skipped > 0, joined.taken == 0, only == nil { counters.countDrop(.noMember, packets) }
    }

    /// Sends a copy for each of the hops.
    private mutating func copy(
        _ frame: ReceivedFrame, _ entry: EntryRecord, to hops: Range<Int>, from interface: Int, _ sender: Sender,
        _ errorSent: inout Bool, into writes: inout WriteList
    ) {
        for index in hops {
            switch table.hop(index) {
            case .target(let target):
                copy(frame, entry, target, table.access(index), from: interface, sender, &errorSent, into: &writes)
            case .instance(let choice):
                var access = table.access(choice)
                if access != 0, only == nil {
                    // A denied packet begins no flow in the eyes of the instances.
                    guard
                        passes(
                            frame, entry, access, table.target(choice, member: 0), from: interface, sender, &errorSent,
                            into: &writes)
                    else { continue }
                    access = 0
                }
                let target = table.target(choice, member: member(choice, of: frame, entry))
                copy(frame, entry, target, access, from: interface, sender, &errorSent, into: &writes)
            case .hops(let hops):
                if let answer = table.downAnswer(index) {
                    counters.countDrop(.applicationDown, packets)
                    if !errorSent, only == nil { tell(answer, about: frame, to: interface, sender, into: &writes) }
                    errorSent = true
                } else {
                    copy(frame, entry, to: hops, from: interface, sender, &errorSent, into: &writes)
                }
            }
        }
    }

    /// The instance that a packet goes to.
    private func member(_ choice: InstanceChoice, of frame: ReceivedFrame, _ entry: EntryRecord) -> Int {
        // The flow outside the application whose address it has just lost.
        var flow = fields.lookupFlow
        if let source = entry.rewriteSource { flow.source = source }
        flow = flow.shifted(entry.direction.portSide, by: choice.portShift)
        switch table.decide(choice, flow) {
        case .member(let member): return member
        case .changes(let slot, let member, let new):
            return drains.moves(slot, of: choice.group, beginning(frame)) ? new : member
        }
    }

    /// Whether a packet begins a flow. In TCP, SYN without ACK does (RFC 9293, section 3.5).
    private func beginning(_ frame: ReceivedFrame) -> DrainTable.Beginning {
        guard fields.transportProtocol == IPProtocol.tcp, fields.fragment == .whole, !fields.hasQuoted else {
            return fields.lookupFlow.protocolNumber == IPProtocol.tcp ? .goesOn : .unknown
        }
        let octets = UnsafeRawBufferPointer(
            start: frame.start + Self.frameOffset, count: frame.length &- Self.frameOffset)
        guard let segment = TCPView(octets.bytes, at: fields.transportOffset) else { return .goesOn }
        return segment.controlBits & (TCPView.syn | TCPView.ack) == TCPView.syn ? .opens : .goesOn
    }

    /// One copy to one place.
    ///
    /// - Parameter access: The access point that judges the packet; 0 if none does, or has done so.
    private mutating func copy(
        _ frame: ReceivedFrame, _ entry: EntryRecord, _ target: TargetRecord, _ access: Int, from interface: Int,
        _ sender: Sender, _ errorSent: inout Bool, into writes: inout WriteList
    ) {
        if target.whileJoined {
            guard isMember(target) else {
                joined.skipped &+= 1
                return
            }
            joined.taken &+= 1
        } else if target.system != .passiveApplication {
            joined.taken &+= 1
        }
        let hop = nextHop(target)
        if let only {
            guard let hop, target.interface == only.interface, hop == only.address else { return }
        }
        guard access == 0 || passes(frame, entry, access, target, from: interface, sender, &errorSent, into: &writes)
        else { return }
        if !target.portShift.isNone, fields.dividesPorts {
            dropFragment(on: interface)
            return
        }
        let mtu = table.interface(target.interface).mtu
        if packetLength > mtu {
            if target.system == .passiveApplication {
                counters.countDrop(.copyTooBig, packets)
                return
            }
            if fields.dontFragment || offload.isSegmented {
                counters.countDrop(.tooBig, packets)
                if !errorSent {
                    sendError(
                        .packetTooBig(fields.family, mtu: mtu), about: frame, to: interface, sender, into: &writes)
                }
                errorSent = true
                return
            }
        }
        let destination: MACAddress
        if let hop {
            switch resolve(hop, for: target, of: frame, from: interface, into: &writes) {
            case .found(let mac): destination = mac
            case .waits:
                wait(frame, for: hop, on: target.interface, from: interface)
                return
            case .unreachable(let reason):
                counters.countDrop(reason, packets)
                if !errorSent, target.system != .passiveApplication, reason == .neighbourUnresolved {
                    sendError(.hostUnreachable(fields.family), about: frame, to: interface, sender, into: &writes)
                    errorSent = true
                }
                return
            }
        } else if case .mac(let mac) = target.address {
            destination = mac
        } else {
            return
        }
        guard writes.hasRoom else {
            counters.countDrop(.tapFull, packets)
            return
        }
        if packetLength > mtu {
            fragment(frame, entry, target, to: destination, mtu: mtu, into: &writes)
        } else {
            copy(frame, entry, target, to: destination, into: &writes)
        }
    }

    /// Counts a copy of a fragment that no application gets, because its service port is translated there.
    private mutating func dropFragment(on interface: Int) {
        counters.countDrop(.fragmentOfTranslatedPort, packets)
        guard counters.isUnnoted(.fragmentOfTranslatedPort, at: now) else { return }
        seen = Seen(ethernet: true, source: fields.flow.source, destination: fields.flow.destination)
        noteDrop(.fragmentOfTranslatedPort, on: interface)
    }

    /// The network address that the copy's frame goes to; nil if a MAC address is given.
    @inline(__always)
    private func nextHop(_ target: TargetRecord) -> IPAddress? {
        switch target.address {
        case .mac: nil
        case .network(let address): address
        case .neighbour(let via): via ?? fields.flow.destination
        }
    }

    /// Keeps the frame until its neighbour answers. It is kept once, even if several copies go there.
    private mutating func wait(
        _ frame: ReceivedFrame, for hop: IPAddress, on interface: Int, from receivedInterface: Int
    ) {
        guard only == nil else {
            counters.countDrop(.neighbourUnresolved, packets)
            return
        }
        let place = PendingFrames.Place(
            receivedInterface: receivedInterface, account: account(on: receivedInterface), source: fields.flow.source,
            number: frameNumber, packets: packets, interface: interface, address: hop)
        let lost = pending.keep(frame, place)
        if lost > 0 { counters.countDrop(.neighbourQueueFull, lost) }
    }

    /// One write: the headers that differ, and the rest of the frame as it was read.
    @inline(__always)
    private mutating func copy(
        _ frame: ReceivedFrame, _ entry: EntryRecord, _ target: TargetRecord, to destination: MACAddress,
        into writes: inout WriteList
    ) {
        var leading = EthernetView.length
        var rewrites = entry.rewriteSource != nil || !target.portShift.isNone
        if case .network = target.address { rewrites = true }
        if rewrites { leading = fields.headerLength }
        let slot = writes.nextHeader
        let length = Self.frameOffset &+ leading
        slot.copyMemory(from: frame.start, byteCount: length)
        // DATA_VALID is about the received frame. Only NEEDS_CSUM is a request.
        slot.storeBytes(of: offload.flags & VirtioNetHeader.needsChecksum, as: UInt8.self)
        let header = UnsafeMutableRawBufferPointer(start: slot + Self.frameOffset, count: leading)
        guard edit(header, entry, target, to: destination) else {
            counters.countDrop(.rewriteImpossible, packets)
            return
        }
        writes.add(
            interface: target.interface, header: slot, headerLength: length,
            body: UnsafeRawPointer(frame.start + length),
            bodyLength: frame.length &- length, packets: packets, octets: frame.length &- Self.frameOffset)
    }

    /// Writes the Ethernet addresses, and the network addresses and the service port if they are rewritten.
    @inline(__always)
    private func edit(
        _ header: UnsafeMutableRawBufferPointer, _ entry: EntryRecord, _ target: TargetRecord,
        to destination: MACAddress
    ) -> Bool {
        let header = header
        var span = header.mutableBytes
        EthernetView.rewrite(&span, destination: destination, source: target.sourceMAC)
        let checksum = offload.checksumState(of: fields)
        if let source = entry.rewriteSource {
            guard fields.rewriteSource(to: source, in: &span, checksum: checksum) else { return false }
        }
        if case .network(let address) = target.address {
            guard fields.rewriteDestination(to: address, in: &span, checksum: checksum) else { return false }
        }
        return target.portShift.isNone
            || fields.shiftPort(entry.direction.portSide, by: target.portShift, in: &span, checksum: checksum)
    }

    /// Fragments an IPv4 packet that is larger than the send interface's MTU and may be fragmented. This is a slow
    /// path, with copies.
    private mutating func fragment(
        _ frame: ReceivedFrame, _ entry: EntryRecord, _ target: TargetRecord, to destination: MACAddress, mtu: Int,
        into writes: inout WriteList
    ) {
        guard let whole = writes.compose(fields.end), let base = whole.baseAddress else {
            counters.countDrop(.tapFull, packets)
            return
        }
        writes.keepComposed(fields.end)
        base.copyMemory(from: frame.start + Self.frameOffset, byteCount: fields.end)
        guard edit(whole, entry, target, to: destination) else {
            counters.countDrop(.rewriteImpossible, packets)
            return
        }
        if offload.flags & VirtioNetHeader.needsChecksum != 0 {
            // Fragments have full checksums, because nothing could complete a checksum over several frames.
            var span = whole.mutableBytes
            guard
                InternetChecksum.complete(
                    &span, start: Int(offload.checksumStart), offset: Int(offload.checksumOffset), end: fields.end)
            else {
                counters.countDrop(.badOffloadHeader, packets)
                return
            }
        }
        let packet = UnsafeRawBufferPointer(whole)
        guard var fragments = IPv4Fragmentation(packet.bytes, fields, mtu: mtu) else {
            counters.countDrop(.tooBig, packets)
            return
        }
        while true {
            guard let buffer = writes.compose(Self.frameOffset + EthernetView.length + mtu),
                let start = buffer.baseAddress
            else {
                counters.countDrop(.tapFull, packets)
                return
            }
            start.initializeMemory(as: UInt8.self, repeating: 0, count: Self.frameOffset)
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[Self.frameOffset...])
            var span = room.mutableBytes
            guard let length = fragments.next(of: packet.bytes, into: &span) else { return }
            writes.keepComposed(Self.frameOffset + length)
            writes.add(
                interface: target.interface, header: start, headerLength: Self.frameOffset + length,
                body: UnsafeRawPointer(start), bodyLength: 0, packets: 1)
        }
    }
}
