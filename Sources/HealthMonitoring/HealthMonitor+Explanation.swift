import EventLoop
import Health
import Plan
import Reporting
import Wire

/// Explains a check that does not pass: the packet, the place where it vanished, and the hint.
extension HealthMonitor {
    /// Waits until every check has passed once.
    ///
    /// - Throws: `ApplianceError` if a check does not pass within its node's ready timeout. Other checks that failed
    ///   are in the details.
    package func proveOnce(_ cancellation: Cancellation) throws(ApplianceError) {
        let began = monotonicTime()
        while true {
            try cancellation.check()
            let passed = monotonicTime() - began
            let waiting = guarded {
                instances.values.filter { instance in instance.checks.contains { !$0.state.hasPassed } }
                    .map { Duration.milliseconds($0.node.process.readyTimeout) }
            }
            guard let longest = waiting.min() else { return }
            if passed > longest {
                var errors = explainFailures()
                // The last of them may have passed just now.
                guard !errors.isEmpty else { continue }
                var first = errors.removeFirst()
                first.details += errors.map { "\($0)" }
                throw first
            }
            cancellation.sleep(.milliseconds(3))
        }
    }

    /// The reasons of the checks that have never passed, in the order of the plan.
    func explainFailures() -> [ApplianceError] {
        guarded {
            let order = Dictionary(
                plan.nodes.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
            let ordered = instances.values.sorted {
                order[$0.node.name, default: .max] < order[$1.node.name, default: .max]
            }
            return ordered.flatMap { instance in instance.checks.compactMap { explain($0) } }
        }
    }

    private func explain(_ check: WatchedCheck) -> ApplianceError? {
        guard !check.state.hasPassed else { return nil }
        let instance = check.instance
        let subject =
            "\(instance.node.name) (\(instance.node.origin)): its health check '\(check.plan.name)' "
            + "(\(check.plan.origin)) never passed"
        guard check.state.made > 0 else {
            return ApplianceError(.failed, "\(subject): it was never made, because \(waitingReason(instance))")
        }
        let last = check.last ?? "no result was seen"
        guard case .heartbeat(let heartbeat) = check.plan.probe else {
            return ApplianceError(.failed, "\(subject): \(last)", hint: hint(check))
        }
        let packet = summary(heartbeat)
        guard let path = check.lastPath else {
            return ApplianceError(.failed, "\(subject): the packet (\(packet)): \(last)")
        }
        return ApplianceError(
            .failed, "\(subject): the packet (\(packet)) \(summary(path, check))", hint: hint(path, heartbeat, instance)
        )
    }

    private func waitingReason(_ instance: WatchedInstance) -> String {
        switch instance.condition.cause {
        case .link(let leg, let why): "its link to \(instance.legs[leg].name) \(why)"
        case .processEnded(let summary): summary
        default: "its application was not ready"
        }
    }

    // MARK: - Heartbeats

    /// The packet, for a person: protocol, addresses, ports, size.
    private func summary(_ plan: HeartbeatPlan) -> String {
        let size = "\(plan.size) octets"
        return switch plan.kind {
        case .icmp: "ICMP echo request from \(plan.source) to \(plan.destination), \(size)"
        case .udp(let source, let destination):
            "UDP from \(plan.source) port \(source) to \(plan.destination) port \(destination), \(size)"
        }
    }

    /// How far a heartbeat came, as the end of a sentence.
    func summary(_ path: HeartbeatPath, _ check: WatchedCheck) -> String {
        let instance = check.instance
        let (first, last) = (instance.legs.first?.name ?? "", instance.legs.last?.name ?? "")
        var text =
            switch path.stage {
            case _ where path.isNegative && path.stage != .sent:
                "must not pass, but came out at \(last)"
            case .sent: "went in at \(first) but did not come out at \(last)"
            case .broken: "came out at \(last) damaged: its checksum is wrong, or a part is missing"
            case .answered: "came out at \(last); its answer went in there and did not come out at \(first)"
            case .returned: "passed, and so did its answer"
            }
        switch path.oddity {
        case nil: break
        case .cameBack: text += ", but again at \(first)"
        case .answerCameBack: text += ", but again at \(last)"
        case .refused(let leg, .refusal(let type, let code, let family)):
            text +=
                "; an ICMP error came out at \(instance.legs[leg].name): "
                + ICMPView.errorName(type, code, family)
        case .refused: break
        }
        return text
    }

    private func hint(_ path: HeartbeatPath, _ plan: HeartbeatPlan, _ instance: WatchedInstance) -> String {
        let name = instance.node.name
        if plan.isNegative {
            return "let \(name) drop it, or write a negative heartbeat that \(name) has a rule against"
        }
        let family = plan.source.family == .ipv4 ? "ip" : "ip6"
        let icmp = plan.source.family == .ipv4 ? "icmp" : "icmpv6"
        switch (path.stage, path.oddity) {
        case (.sent, .cameBack):
            return "\(name) sends it back to its sender: give it a route to \(plan.destination) by "
                + "\(instance.legs.last?.name ?? "its other leg"), or choose another destination"
        case (.broken, _):
            return "whatever \(name) rewrites, it must complete the checksums"
        case (.answered, _), (.returned, _):
            let rule =
                switch plan.kind {
                case .icmp: "\(icmp) type echo-reply accept"
                case .udp(let source, let destination): "udp sport \(destination) udp dport \(source) accept"
                }
            return "\(name) drops the answer: permit it with a rule like `ct state established accept` or `\(rule)`"
        case (.sent, _):
            let rule =
                switch plan.kind {
                case .icmp: "\(icmp) type echo-request"
                case .udp(_, let destination): "udp dport \(destination)"
                }
            return "\(name) drops it: permit it with a rule like `\(family) saddr \(plan.source) "
                + "\(family) daddr \(plan.destination) \(rule) accept`, "
                + "or shape the heartbeat so that its rules let it pass"
        }
    }

    private func hint(_ check: WatchedCheck) -> String? {
        let name = check.instance.node.name
        return switch check.plan.probe {
        case .heartbeat: nil
        case .neighbour(let leg, let address):
            "give \(name) the address \(address ?? check.instance.node.probedAddress(leg: leg)) on "
                + (check.instance.legs.indices.contains(leg) ? check.instance.legs[leg].name : "its leg")
        case .echo(let leg, let address):
            "let \(name) answer echo requests to \(address ?? check.instance.node.probedAddress(leg: leg))"
        case .tcp(let address, let port), .http(let address, let port, _, _, _, _):
            "let its application listen on \(address) port \(port), or correct the check"
        case .question(let question): hint(question, name)
        case .command: "try it with 'tapline exec \(plan.name) \(name) -- sh', or correct the check"
        }
    }
}
