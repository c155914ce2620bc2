import Forwarding
import Reporting
import Wire

extension PlannedAccess {
    /// Rules that can never match, because rules before them take all their packets. In lists whose rules overlap so much that
    /// it takes long to find out (`AccessShadows.mostSteps`), those at the end may not be told.
    public var shadows: [AccessRemark] {
        var shadows = AccessShadows()
        return shadows.find(list, sources, count: record.rules.count).map { rule, by in
            let numbers = by.map { $0 + 1 }
            return AccessRemark(
                "/rules/\(rule)",
                "rule \(rule + 1) never matches: "
                    + (numbers.count == 1
                        ? "rule \(numbers[0]) before it takes" : "rules \(words(numbers)) before it take")
                    + " all its packets")
        }
    }

    private func words(_ numbers: [Int]) -> String {
        guard numbers.count <= 8 else {
            return numbers.prefix(7).map { "\($0)" }.joined(separator: ", ") + " and \(numbers.count - 7) more"
        }
        return numbers.dropLast().map { "\($0)" }.joined(separator: ", ") + " and \(numbers[numbers.count - 1])"
    }

    /// A list that stops nothing, although somebody has written it.
    fileprivate var openness: AccessRemark? {
        guard list.otherwise == .allow, list.rules.allSatisfy({ $0.action == .allow }) else { return nil }
        return AccessRemark(
            "/default", "the list allows everything else too, so it stops nothing: set its default to deny")
    }
}

extension PlannedAccess {
    /// What stops one of these packets, in the words of a remark; nil: all of them pass.
    ///
    /// - Parameter packets: As a rule about them.
    fileprivate func stopper(of packets: AccessRule) -> (pointer: String, words: String, rule: AccessRule?)? {
        var left = AccessBox.of(packets)
        for (index, rule) in list.rules.enumerated() where rule.own.family == packets.own.family {
            for box in AccessBox.of(rule) where left.contains(where: box.overlaps) {
                if case .deny = rule.action {
                    return ("/rules/\(sources[index])", "rule \(sources[index] + 1)", rule)
                }
                left = left.flatMap { $0.subtracting(box) }
            }
            if left.isEmpty { return nil }
        }
        if case .deny = list.otherwise { return ("/default", "the default", nil) }
        return nil
    }
}

extension AppliancePlan {
    /// What is hardly intended in an access list that is in force: rules that never match, a list that stops nothing, and what
    /// stops health checks and the management address.
    ///
    /// - Parameter shadows: The rules that never match, if that is known.
    public func remarks(on access: PlannedAccess, shadows: [AccessRemark]? = nil) -> [AccessRemark] {
        (shadows ?? access.shadows) + (access.openness.map { [$0] } ?? [])
            + heartbeats(through: access.record.application).compactMap(access.remark)
            + managementRemarks(access)
    }

    /// The packets that health checks send through an application.
    private func heartbeats(through application: String) -> [HeartbeatPlan] {
        let checks = applications.first { $0.name == application }?.health ?? []
        return checks.compactMap { check in
            if case .heartbeat(let heartbeat) = check.probe, !heartbeat.isNegative { heartbeat } else { nil }
        }
    }

    /// Whether the list stops packets of the tenant's to the management address, where they pass the application.
    ///
    /// Usually they do not: the engines lead them to the address at once. A default is told only if customers of the tenant send
    /// from addresses that the list is about; a rule that names the address is told in any case.
    private func managementRemarks(_ access: PlannedAccess) -> [AccessRemark] {
        guard let management = records?.management,
            let tenant = records?.tenants.first(where: { $0.name == access.record.tenant })
        else { return [] }
        let port = UInt16(clamping: management.port)
        var remarks: [AccessRemark] = []
        for address in management.addresses {
            for own in access.list.own where own.family == address.family {
                let packets = AccessRule(
                    action: .allow, own: own, remote: IPPrefix(host: address),
                    matter: .ports(protocolNumber: IPProtocol.tcp, own: 0...65535, remote: port...port), counter: 0)
                guard let stopper = access.stopper(of: packets),
                    tenant.origins.contains(where: { $0.overlaps(own) }) || stopper.rule?.remote?.length ?? 0 > 0
                else { continue }
                let remark = AccessRemark(
                    stopper.pointer,
                    "\(stopper.words) stops packets to the management address \(address), port \(port), where they pass "
                        + "\(quoted(access.record.application)): instructions would not get there")
                if !remarks.contains(remark) { remarks.append(remark) }
            }
        }
        return remarks
    }
}

extension PlannedAccess {
    /// The remark that the list stops a packet of a health check, or its answer; nil: it does not, or is not about it.
    fileprivate func remark(on heartbeat: HeartbeatPlan) -> AccessRemark? {
        let ways: [(own: IPAddress, remote: IPAddress, ownIsDestination: Bool)] = [
            (heartbeat.destination, heartbeat.source, true), (heartbeat.source, heartbeat.destination, false),
        ]
        for way in ways where list.own.contains(where: { $0.contains(way.own) }) {
            let matter: AccessRule.Matter =
                switch heartbeat.kind {
                case .icmp: .icmp(type: way.own.family == .ipv4 ? 8 : 128)
                case .udp(let source, let destination):
                    .ports(
                        protocolNumber: 17, own: way.ownIsDestination ? destination...destination : source...source,
                        remote: way.ownIsDestination ? source...source : destination...destination)
                }
            let packet = AccessRule(
                action: .allow, own: IPPrefix(host: way.own), remote: IPPrefix(host: way.remote), matter: matter,
                counter: 0)
            guard let stopper = stopper(of: packet) else { continue }
            return AccessRemark(
                stopper.pointer,
                "\(stopper.words) stops a health check of \(quoted(record.application)), from \(heartbeat.source) to "
                    + "\(heartbeat.destination): its instances would count as down")
        }
        return nil
    }
}
