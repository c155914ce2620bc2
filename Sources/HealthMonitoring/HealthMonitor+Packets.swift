import Forwarding
import Health
import LinuxNetwork
import Plan
import Wire

/// Probes that are frames. They go in at the fabric's end of a leg. They are heard where they come out, before a bridge
/// or an engine has them.
extension HealthMonitor {
    /// Between two announcements of the engine's addresses: less than a kernel takes to doubt a neighbour (half of its
    /// 30 s).
    private static let announcementPause = Duration.seconds(10)
    /// Between two where probes fail.
    private static let shortestPause = Duration.milliseconds(20)

    /// The packet of a check that has one.
    func shape(of plan: HealthCheckPlan, _ instance: WatchedInstance) -> ProbeShape? {
        switch plan.probe {
        case .heartbeat(let heartbeat):
            let kind: ProbeShape.Kind =
                switch heartbeat.kind {
                case .icmp: .echo
                case .udp(let source, let destination): .udp(source: source, destination: destination)
                }
            return ProbeShape(
                kind: kind, source: heartbeat.source, destination: heartbeat.destination, size: heartbeat.size,
                hopLimit: UInt8(clamping: heartbeat.hopLimit), trafficClass: UInt8(clamping: heartbeat.trafficClass))
        case .echo(let leg, let written):
            guard instance.legs.indices.contains(leg) else { return nil }
            let address = written ?? instance.legs[leg].probed
            guard let source = echoSource(instance.legs[leg], address) else { return nil }
            return ProbeShape(source: source, destination: address)
        default: return nil
        }
    }

    /// The source of an echo: the engine's own address there, as if the gateway sent it. The reply is heard on the
    /// veth. The engine drops it, like every probe.
    private func echoSource(_ leg: WatchedLeg, _ address: IPAddress) -> IPAddress? {
        let own = leg.engine.filter { $0.family == address.family }
        let near = leg.addresses.filter { $0.address.family == address.family }
        return own.first { candidate in near.contains { $0.prefix.contains(candidate) } } ?? own.first
            ?? (address.family == .ipv6 ? Self.linkLocal(prober) : nil)
    }

    /// The link-local address of a MAC address (RFC 4291, appendix A).
    static func linkLocal(_ mac: MACAddress) -> IPAddress {
        let high = mac.bits >> 24, low = mac.bits & 0xFF_FFFF
        return IPAddress(
            ipv6High: 0xFE80_0000_0000_0000, low: (high ^ 0x02_0000) << 40 | 0xFF_FE00_0000 | low)
    }

    // MARK: - Sending

    func sendHeartbeat(_ check: WatchedCheck, _ plan: HeartbeatPlan, _ number: UInt64) {
        check.paths[number] = HeartbeatPath(isNegative: plan.isNegative)
        send(check, leg: 0, number)
    }

    func sendEcho(_ check: WatchedCheck, _ leg: Int, _ number: UInt64) { send(check, leg: leg, number) }

    private func send(_ check: WatchedCheck, leg: Int, _ number: UInt64) {
        guard let shape = check.shape, let device = device(of: check, leg) else { return }
        let watched = check.instance.legs[leg], inward = watched.inward
        let trailer = ProbeTrailer(probe: check.identity, number: number, token: token)
        queue(watched, on: device) { frame, _ in
            shape.write(into: &frame, to: inward.destination, from: inward.source, trailer)
        }
    }

    private func device(of check: WatchedCheck, _ leg: Int) -> Int32? {
        check.instance.legs.indices.contains(leg) ? check.instance.legs[leg].device : nil
    }

    /// ARP: a probe (RFC 5227), from which no host learns anything. IPv6: from the prober's link-local address, because
    /// an answer to a question from :: goes to all, including the engine.
    func askNeighbour(_ check: WatchedCheck, _ leg: Int, _ address: IPAddress, _ number: UInt64) {
        guard let device = device(of: check, leg) else { return }
        queue(check.instance.legs[leg], on: device) { frame, _ in
            switch address.family {
            case .ipv4: ARPFields(requestFor: address, from: prober, IPAddress(ipv4: 0)).write(into: &frame)
            case .ipv6:
                NeighbourMessage(solicitationFor: address, from: prober, Self.linkLocal(prober)).write(into: &frame)
            }
        }
    }

    // MARK: - Seeing

    /// A frame came out of a leg.
    func saw(_ frame: RawSpan, on device: Int32) {
        if let far = farLegs[device] { return saw(frame, beyond: far) }
        guard let (instance, leg) = legsByDevice[device] else { return }
        saw(frame, instance, leg)
    }

    /// The same of a known leg.
    func saw(_ frame: RawSpan, _ instance: WatchedInstance, _ leg: Int) {
        guard let seen = SeenProbe(frame, token: token) else {
            sawAnswer(frame, instance, leg)
            return
        }
        guard let check = checksByIdentity[seen.trailer.probe], check.instance === instance else { return }
        let number = seen.trailer.number
        guard case .heartbeat = check.plan.probe else {
            if seen.kind == .answer, case .echo(leg, _) = check.plan.probe {
                conclude(check, number, nil, seen: "answered")
            }
            return
        }
        let out = instance.legs.count - 1
        // A probe whose time is over is ignored.
        switch check.paths[number]?.saw(seen.kind, leg: leg, out: out) {
        case nil, .some(.none): break
        case .answer: answer(check, frame, number, leg)
        case .decided(passed: true): conclude(check, number, nil, seen: "it passed, and so did its answer")
        case .decided(passed: false):
            guard let path = check.paths[number] else { return }
            let seen = summary(path, check)
            conclude(check, number, seen, seen: seen)
        }
    }

    private func answer(_ check: WatchedCheck, _ frame: RawSpan, _ number: UInt64, _ leg: Int) {
        guard let shape = check.shape, let device = device(of: check, leg) else { return }
        let watched = check.instance.legs[leg], inward = watched.inward
        let isSent = queue(watched, on: device, answering: frame) { answer, request in
            shape.writeAnswer(
                into: &answer, to: request, destinationMAC: inward.destination, sourceMAC: inward.source, token: token)
        }
        check.paths[number]?.answered(isSent)
    }

    /// A frame to the prober: a neighbour's answer.
    private func sawAnswer(_ frame: RawSpan, _ instance: WatchedInstance, _ leg: Int) {
        guard let ethernet = EthernetView(frame), ethernet.destinationAddress == prober else { return }
        var address: IPAddress?
        if ethernet.type == EtherType.arp {
            if let fields = try? ARPFields(frame), fields.operation == .reply { address = fields.senderAddress }
        } else {
            var fields = PacketFields()
            if fields.parse(frame) == .packet, fields.message == .neighbourDiscovery,
                let message = try? NeighbourMessage(frame, fields), message.kind == .neighbourAdvertisement
            {
                address = message.target
            }
        }
        guard let address else { return }
        for check in instance.checks {
            guard case .neighbour(leg, let wanted) = check.plan.probe,
                address == wanted ?? instance.legs[leg].probed
            else { continue }
            if let number = check.state.running.first?.number { conclude(check, number, nil, seen: "answered") }
        }
    }

    // MARK: - The engine's addresses

    /// The time of the next announcement of the engine to an instance; nil if no probe needs it.
    func nextAnnouncement(to instance: WatchedInstance) -> MonotonicTime? {
        guard instance.checks.contains(where: { $0.shape != nil && instance.condition.isLooking($0.index) }),
            !instance.isTransparent,
            instance.legs.contains(where: { $0.device != nil })
        else { return nil }
        // At once where it has just become one to be looked at.
        return instance.isIntroduced ? instance.announced + Self.announcementPause : instance.announced
    }

    func announceIfDue(to instance: WatchedInstance, at now: MonotonicTime) {
        guard let next = nextAnnouncement(to: instance), next <= now else { return }
        announce(to: instance, at: now, asking: !instance.isIntroduced)
        instance.isIntroduced = true
    }

    /// The same at once, where a probe failed: it may have been for want of it.
    func announceAgain(to instance: WatchedInstance, at now: MonotonicTime) {
        guard nextAnnouncement(to: instance) != nil, now - instance.announced > Self.shortestPause else { return }
        announce(to: instance, at: now, asking: false)
    }

    /// Announces the engine's addresses to the node, so that its probes find their way even while no engine runs. The
    /// announcement is the engine's own, and no answer is asked for.
    ///
    /// - Parameter asking: True: sends the question that the engine sends when it looks for the node. So a node learns
    /// addresses that it has not asked for yet.
    private func announce(to instance: WatchedInstance, at now: MonotonicTime, asking: Bool) {
        instance.announced = now
        for (leg, planned) in zip(instance.legs, instance.node.legs) {
            guard let device = leg.device else { continue }
            let mac = plan.table.interfaces[planned.interface].mac
            for address in leg.engine {
                let own =
                    leg.addresses.first { $0.prefix.contains(address) }?.address
                    ?? (address.family == .ipv6 ? Self.linkLocal(leg.mac) : nil)
                guard let own else { continue }
                if asking { ask(leg, device, own, as: address, mac) }
                queue(leg, on: device) { frame, _ in
                    switch address.family {
                    case .ipv4:
                        ARPFields(replyTo: ARPFields(requestFor: address, from: leg.mac, own), from: mac)
                            .write(into: &frame)
                    case .ipv6:
                        NeighbourMessage(
                            advertisementFor: NeighbourMessage(solicitationFor: address, from: leg.mac, own), from: mac
                        ).write(into: &frame)
                    }
                }
            }
        }
    }

    private func ask(_ leg: WatchedLeg, _ device: Int32, _ own: IPAddress, as address: IPAddress, _ mac: MACAddress) {
        queue(leg, on: device) { frame, _ in
            switch address.family {
            case .ipv4:
                var request = ARPFields(requestFor: own, from: mac, address)
                request.destinationMAC = leg.mac
                return request.write(into: &frame)
            case .ipv6:
                var request = NeighbourMessage(solicitationFor: own, from: mac, address)
                request.destinationMAC = leg.mac
                request.destination = own
                return request.write(into: &frame)
            }
        }
    }
}
