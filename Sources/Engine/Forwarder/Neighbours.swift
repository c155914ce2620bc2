import Forwarding
import Wire

// Answers ARP and neighbour discovery, learns from answers, and asks for neighbours.

extension Forwarder {
    /// What happens to a copy for a neighbour.
    enum Reachability {
        case found(MACAddress)
        case waits
        case unreachable(DropReason)
    }

    /// Looks up the neighbour of a copy, and asks for it if that is due.
    mutating func resolve(
        _ hop: IPAddress, for target: TargetRecord, of frame: ReceivedFrame, from interface: Int,
        into writes: inout WriteList
    ) -> Reachability {
        if let mac = table.staticNeighbour(hop, on: target.interface) { return .found(mac) }
        if hop.isMulticast {
            return .found(
                hop.family == .ipv6
                    ? .ipv6Multicast(for: hop) : MACAddress(bits: 0x0100_5E00_0000 | (hop.low & 0x7F_FFFF)))
        }
        if hop.isLimitedBroadcast { return .found(.broadcast) }
        // Only a host on the link can answer, and the engine does not ask for itself.
        guard table.isOnLink(hop, on: target.interface), !table.isOwnAddress(hop) else {
            return .unreachable(.neighbourUnresolved)
        }
        let account = account(on: interface)
        let source = fields.flow.source
        let found = neighbours.resolve(
            hop, on: target.interface, for: account.tag, now: now,
            mayAsk: budgets.allows(.requests, account, source, now: now))
        switch found {
        // Another worker has just learnt it, and earlier frames still wait. This frame goes behind them.
        case .resolved where only == nil && pending.wait(for: hop, on: target.interface): return .waits
        case .resolved(let mac): return .found(mac)
        case .stale(let mac):
            ask(for: hop, on: target.interface, at: mac, account, source, into: &writes)
            return .found(mac)
        case .wait(let due):
            if due { ask(for: hop, on: target.interface, at: nil, account, source, into: &writes) }
            return .waits
        case .failed: return .unreachable(.neighbourUnresolved)
        case .limited: return .unreachable(.answerRateLimited)
        case .full: return .unreachable(.neighbourTableFull)
        }
    }

    /// True if a neighbour of waiting frames may have answered since `retryPending` last looked. Then these frames go
    /// first.
    @inline(__always)
    var mayHaveAnswered: Bool { pending.waiting > 0 && neighbours.lessons != lessonsSeen }

    /// Looks after the waiting frames in the order of arrival. It forwards frames whose neighbour has answered, asks
    /// again, and gives up.
    ///
    /// - Returns: False if the writes have to be sent before the rest.
    mutating func retryPending(into writes: inout WriteList) -> Bool {
        let lessons = neighbours.lessons
        var place = 0
        while place < pending.waiting {
            guard writes.isComfortable else { return false }
            let index = Int(pending.order[place])
            let slot = pending.slots[index].place
            let found = neighbours.resolve(
                slot.address, on: slot.interface, for: slot.account.tag, now: now,
                mayAsk: budgets.allows(.requests, slot.account, slot.source, now: now))
            switch found {
            case .resolved, .stale:
                pending.leave(place)
                forwardAgain(index, into: &writes)
            case .wait(let due):
                if due {
                    ask(for: slot.address, on: slot.interface, at: nil, slot.account, slot.source, into: &writes)
                }
                place &+= 1
            case .failed, .full, .limited:
                pending.leave(place)
                giveUp(index, into: &writes)
            }
        }
        lessonsSeen = lessons
        return true
    }

    /// The neighbour did not answer. The sender gets an error, unless all waiting copies were for passive applications.
    private mutating func giveUp(_ index: Int, into writes: inout WriteList) {
        let slot = pending.slots[index].place
        let frame = pending.frame(index)
        packets = 1
        let isPacket = readAgain(frame)
        counters.countDrop(.neighbourUnresolved, packets)
        guard isPacket else { return }
        let sender = table.sender(of: fields.sourceMAC, on: slot.receivedInterface)
        guard case .forward(let entry)? = decide(from: sender, on: slot.receivedInterface) else { return }
        guard table.reach(table.entry(entry).targets, slot.interface) else { return }
        sendError(.hostUnreachable(fields.family), about: frame, to: slot.receivedInterface, sender, into: &writes)
    }

    /// Sends an ARP request or a neighbour solicitation.
    ///
    /// - Parameters:
    ///   - mac: The neighbour that is asked whether it is still there; nil asks all.
    ///   - account: The account that the request counts for.
    ///   - cause: The source of the packet that is for the neighbour.
    private mutating func ask(
        for address: IPAddress, on interface: Int, at mac: MACAddress?, _ account: Account, _ cause: IPAddress,
        into writes: inout WriteList
    ) {
        guard budgets.take(.requests, account, cause, now: now) else { return }
        let own = table.interface(interface).mac
        var source = table.ownSource(on: interface, towards: address)
        if let found = source, !table.isOwnAddress(found, on: interface) { source = nil }
        switch address.family {
        case .ipv4:
            // Without an address of its own, the engine asks as a probe does (RFC 5227).
            var request = ARPFields(requestFor: address, from: own, source ?? IPAddress(ipv4: 0))
            if let mac { request.destinationMAC = mac }
            _ = compose(ARPFields.frameLength, to: interface, into: &writes) { request.write(into: &$0) }
        case .ipv6:
            var request = NeighbourMessage(
                solicitationFor: address, from: own, source ?? TableInterface.linkLocal)
            if let mac {
                request.destinationMAC = mac
                request.destination = address
            }
            _ = compose(NeighbourMessage.frameLength, to: interface, into: &writes) { request.write(into: &$0) }
        }
    }

    // MARK: - ARP

    mutating func answerARP(
        _ frame: RawSpan, from interface: Int, _ sender: Sender, into writes: inout WriteList
    ) -> DropReason? {
        let packet: ARPFields
        do throws(MalformedReason) {
            packet = try ARPFields(frame)
        } catch {
            return error == .badARP ? .badNeighbourMessage : .truncatedNetworkHeader
        }
        (seen.source, seen.destination) = (packet.senderAddress, packet.targetAddress)
        guard packet.senderMAC == packet.sourceMAC else { return .badNeighbourMessage }
        if let reason = lie(packet.senderAddress, at: packet.senderMAC, sender, on: interface) { return reason }
        // A gratuitous request or reply (RFC 5227), or a reply to a question of the engine.
        let isAnnounced = packet.operation == .reply || packet.senderAddress == packet.targetAddress
        if isAnnounced, moved(packet.senderAddress, to: packet.senderMAC, on: interface) { return nil }
        switch packet.operation {
        case .request:
            guard answers(for: packet.targetAddress, to: packet.senderAddress, packet.senderMAC, on: interface) else {
                return .neighbourNotOurs
            }
            if let reason = note(packet.senderAddress, at: packet.senderMAC, on: interface) { return reason }
            guard budgets.take(.answers, account(on: interface), packet.senderAddress, now: now) else {
                return .answerRateLimited
            }
            let reply = ARPFields(replyTo: packet, from: table.interface(interface).mac)
            return compose(ARPFields.frameLength, to: interface, into: &writes) { reply.write(into: &$0) }
                ? nil : .answerRateLimited
        case .reply:
            guard !packet.destinationMAC.isMulticast else { return .neighbourNotOurs }
            return believe(packet.senderAddress, at: packet.senderMAC, on: interface)
        }
    }

    // MARK: - Neighbour discovery

    mutating func answerDiscovery(
        _ frame: RawSpan, from interface: Int, _ sender: Sender, into writes: inout WriteList
    ) -> DropReason? {
        let message: NeighbourMessage
        do throws(MalformedReason) {
            message = try NeighbourMessage(frame, fields, checksum: offload.checksumState(of: fields))
        } catch {
            return .badNeighbourMessage
        }
        let mac = message.linkLayerAddress ?? message.sourceMAC
        (seen.source, seen.destination) = (message.source, message.target)
        guard mac == message.sourceMAC else { return .badNeighbourMessage }
        switch message.kind {
        case .neighbourSolicitation:
            if let reason = lie(message.source, at: mac, sender, on: interface) { return reason }
            guard answers(for: message.target, to: message.source, mac, on: interface) else {
                // Without a source, the node asks whether an address is free (RFC 4862, 5.4).
                return message.source.isUnspecified ? .housekeeping : .neighbourNotOurs
            }
            if message.linkLayerAddress != nil, let reason = note(message.source, at: mac, on: interface) {
                return reason
            }
            guard budgets.take(.answers, account(on: interface), message.source, now: now) else {
                return .answerRateLimited
            }
            let reply = NeighbourMessage(advertisementFor: message, from: table.interface(interface).mac)
            return compose(NeighbourMessage.frameLength, to: interface, into: &writes) { reply.write(into: &$0) }
                ? nil : .answerRateLimited
        case .neighbourAdvertisement:
            if let reason = lie(message.target, at: mac, sender, on: interface) { return reason }
            if message.isOverriding, moved(message.target, to: mac, on: interface) { return nil }
            guard !message.destinationMAC.isMulticast, message.isSolicited else { return .neighbourNotOurs }
            return believe(message.target, at: mac, on: interface)
        case .routerSolicitation: return .housekeeping
        case .routerAdvertisement, .redirect:
            return .neighbourNotOurs
        }
    }

    // MARK: - Which claims are true

    /// True if the engine answers the question of a node: for addresses that are its own or claimed, and for packets
    /// that an entry by hand would take from the node.
    private func answers(
        for target: IPAddress, to source: IPAddress, _ mac: MACAddress, on interface: Int
    ) -> Bool {
        let isProbe = source.isUnspecified || source == target
        // A node that probes for its own address (RFC 5227; RFC 4862, section 5.4) or announces it takes an answer for
        // a conflict, and gives the address up.
        if isProbe, table.mayAnnounce(target, from: mac, on: interface) { return false }
        if table.answersNeighbour(for: target, on: interface) { return true }
        guard !isProbe, !table.isOwnAddress(target), !table.mayAnnounce(target, from: mac, on: interface) else {
            return false
        }
        let sender = table.sender(of: mac, on: interface)
        return table.answersForEntries(target, to: source, sender, on: interface)
    }

    /// Why a claim to an address is false: the address is the engine's, a service's, a named neighbour's, or one that
    /// the sender cannot have. A node without an address may ask whether one is free (RFC 5227).
    private func lie(_ address: IPAddress, at mac: MACAddress, _ sender: Sender, on interface: Int) -> DropReason? {
        if sender.isStranger { return .spoofedSource }
        if address.isUnspecified { return nil }
        if table.isOwnAddress(address) { return .neighbourConflict }
        // A server has the service address as its own, even on the link where it is claimed.
        if table.mayAnnounce(address, from: mac, on: interface) { return nil }
        if table.contradictsClaim(address, on: interface) { return .neighbourConflict }
        if table.isMovable(address, on: interface) { return .neighbourConflict }
        if !mayHave(address, sender, on: interface) { return .spoofedSource }
        return table.staticNeighbour(address, on: interface) == nil ? nil : .neighbourConflict
    }

    /// Moves an address to the node that announces it, if the node may have it.
    private func moved(_ address: IPAddress, to mac: MACAddress, on interface: Int) -> Bool {
        guard table.mayMove(address, to: mac, on: interface), table.isOnLink(address, on: interface) else {
            return false
        }
        neighbours.move(
            address, on: interface, to: mac, for: account(of: mac, on: interface).tag, now: now)
        return true
    }

    /// Notes the sender of a request to the engine, because the answer and later packets go there.
    private func note(_ address: IPAddress, at mac: MACAddress, on interface: Int) -> DropReason? {
        guard !address.isUnspecified, table.isOnLink(address, on: interface),
            table.staticNeighbour(address, on: interface) == nil,
            !table.mayAnnounce(address, from: mac, on: interface)
        else { return nil }
        let lesson = neighbours.learn(
            address, on: interface, mac: mac, for: account(of: mac, on: interface).tag, evenUnasked: true, now: now)
        return lesson == .conflict ? .neighbourConflict : nil
    }

    /// Takes an answer if the engine has asked for it.
    private func believe(_ address: IPAddress, at mac: MACAddress, on interface: Int) -> DropReason? {
        if table.staticNeighbour(address, on: interface) == mac { return nil }
        guard table.isOnLink(address, on: interface) else { return .neighbourNotOurs }
        switch neighbours.learn(address, on: interface, mac: mac, for: 0, evenUnasked: false, now: now) {
        case .learned, .confirmed: return nil
        case .unasked: return .neighbourNotOurs
        case .conflict: return .neighbourConflict
        }
    }
}
