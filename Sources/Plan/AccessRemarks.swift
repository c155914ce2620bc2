import Forwarding
import Reporting
import Wire

extension PlannedAccess {
    /// Rules that can never match, because rules before them take all their packets.
    public var shadows: [AccessRemark] {
        record.rules.indices.compactMap { index in
            let own = list.rules.indices.filter { sources[$0] == index }
            let covers = own.map { one in
                list.rules[..<one].indices.first { sources[$0] < index && list.rules[$0].covers(list.rules[one]) }
            }
            guard !own.isEmpty, !covers.contains(nil) else { return nil }
            let numbers = Set(covers.compactMap { $0.map { sources[$0] + 1 } }).sorted()
            return AccessRemark(
                "/rules/\(index)",
                "rule \(index + 1) never matches: "
                    + (numbers.count == 1
                        ? "rule \(numbers[0]) before it takes" : "rules \(words(numbers)) before it take")
                    + " all its packets")
        }
    }

    private func words(_ numbers: [Int]) -> String {
        numbers.dropLast().map { "\($0)" }.joined(separator: ", ") + " and \(numbers[numbers.count - 1])"
    }
}

extension AccessRule {
    /// True if every packet that `other` matches is matched by this one. Later fragments do not count: nothing can be done with
    /// them alone.
    func covers(_ other: AccessRule) -> Bool {
        guard own.contains(other.own) else { return false }
        if let remote {
            guard let others = other.remote, remote.contains(others) else { return false }
        }
        let family = own.family
        switch (matter, other.matter) {
        case (.any, _): return true
        case (.protocolNumber(let number), _): return other.matter.upperProtocol(family) == number
        case (.ports(let number, let own, let remote), .ports(let others, let otherOwn, let otherRemote)):
            return number == others && own.contains(otherOwn) && remote.contains(otherRemote)
        case (.ports(let number, 0...65535, 0...65535), _): return other.matter.upperProtocol(family) == number
        case (.icmp(let type), .icmp(let others)):
            return Set(Self.types(type, family)).isSuperset(of: Self.types(others, family))
        case (.ports, _), (.icmp, _): return false
        }
    }
}

extension AppliancePlan {
    /// What is hardly intended in an access list that is in force: rules that never match, and what stops health checks.
    public func remarks(on access: PlannedAccess) -> [AccessRemark] {
        access.shadows + heartbeats(through: access.record.application).compactMap(access.remark)
    }

    /// The packets that health checks send through an application.
    private func heartbeats(through application: String) -> [HeartbeatPlan] {
        let checks = applications.first { $0.name == application }?.health ?? []
        return checks.compactMap { check in
            if case .heartbeat(let heartbeat) = check.probe, !heartbeat.isNegative { heartbeat } else { nil }
        }
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
            let first = list.rules.firstIndex { $0.covers(packet) }
            guard case .deny = first.map({ list.rules[$0].action }) ?? list.otherwise else { continue }
            return AccessRemark(
                first.map { "/rules/\(sources[$0])" } ?? "/default",
                (first.map { "rule \(sources[$0] + 1)" } ?? "the default")
                    + " stops a health check of \(quoted(record.application)), from \(heartbeat.source) to "
                    + "\(heartbeat.destination): its instances would count as down")
        }
        return nil
    }
}
