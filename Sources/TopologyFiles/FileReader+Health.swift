import Plan
import Reporting
import Wire
import Yams

extension FileReader {
    /// One health check.
    func health(_ node: Node, of subject: String) -> RawHealthCheck? {
        let fields = nodes.fields(node, "a health check", Grammar.health)
        guard fields.isMapping else { return nil }
        guard let kind = nodes.kind(of: fields, Grammar.health) else {
            diagnostics.error(
                node.origin,
                "a health check of \(subject) must have one of "
                    + Grammar.health.kinds.map { "`\($0)`" }.joined(separator: ", "),
                hint: "write { heartbeat: true }, { tcp: 80 } or { run: command }, for example")
            return nil
        }
        let unread = unread(node).map { RawHealthCheck.Probe.unread($0) }
        guard let probe = unread ?? probe(kind, fields) else { return nil }
        return timed(probe, Timing.usual(kind), fields)
    }

    private func probe(_ kind: String, _ fields: Fields) -> RawHealthCheck.Probe? {
        switch kind {
        case "neighbour", "echo":
            guard let flag = nodes.flag(fields[kind], "`\(kind)`") else { return nil }
            guard flag.value else {
                diagnostics.error(
                    flag.origin, "a health check with the value false", hint: "write `\(kind): true`, or remove it")
                return nil
            }
            return kind == "echo" ? .echo : .neighbour
        case "run": return nodes.text(fields["run"], "`run` of a health check").map { .command($0.value) }
        case "tcp": return asked(fields, kind, of: "a health check").map { .tcp(address: $0.address, port: $0.port) }
        case "http":
            let body = nodes.text(fields["body"], "`body`")?.value
            return asked(fields, kind, of: "a health check").map {
                .http(
                    address: $0.address, port: $0.port, path: $0.path, host: $0.host, status: $0.status, body: body)
            }
        case _ where Grammar.questionKinds.contains(kind):
            return question(kind, fields, of: "a health check").map { .question($0) }
        default:
            return fields[kind].flatMap { heartbeat($0, isNegative: kind == "negative-heartbeat") }
                .map { .heartbeat($0) }
        }
    }

    // MARK: - Times

    /// The times of a kind of check, in milliseconds.
    private struct Timing {
        var interval: Int
        /// nil: the interval, within a range.
        var timeout: Int?
        var rise = 2
        var fall = 3

        /// The usual values of network engineers. `Topologies/FORMAT.md` gives the reasons.
        static func usual(_ kind: String) -> Timing {
            switch kind {
            case "heartbeat": Timing(interval: 100)
            case "negative-heartbeat": Timing(interval: 1_000, timeout: 100, rise: 3, fall: 1)
            case "neighbour", "echo": Timing(interval: 1_000)
            case "tcp", "udp": Timing(interval: 2_000, timeout: 1_000)
            case "log", "file": Timing(interval: 1_000, timeout: 1_000)
            case "http", "dns": Timing(interval: 2_000, timeout: 2_000)
            default: Timing(interval: 5_000, timeout: 5_000, fall: 2)
            }
        }
    }

    /// The limits of the timeout for a packet that is answered at once, in milliseconds. The timeout is at most the
    /// interval, so each packet is answered before the next. It is long enough for a busy machine.
    private static let packetTimeouts = 10...1_000

    private func timed(_ probe: RawHealthCheck.Probe, _ usual: Timing, _ fields: Fields) -> RawHealthCheck {
        let interval =
            spaced(fields["interval"], "the interval", least: Grammar.shortestInterval)
            ?? Located(usual.interval, fields.origin)
        let fast = spaced(fields["fast-interval"], "the fast interval", least: Grammar.shortestFastInterval)
        if let fast, fast.value > interval.value {
            diagnostics.error(
                fast.origin, "the fast interval is longer than the interval, \(interval.value)ms",
                hint: "write \(interval.value)ms or less")
        }
        let timeout = nodes.duration(fields["timeout"], "the timeout")
        if let timeout, timeout.value == 0 {
            diagnostics.error(
                timeout.origin, "a timeout of zero fails every check", hint: "write 10ms or more")
        }
        let bounds = Self.packetTimeouts
        let packet = min(max(interval.value, bounds.lowerBound), bounds.upperBound)
        return RawHealthCheck(
            origin: fields.origin, probe: probe, interval: interval.value,
            fastInterval: fast?.value ?? max(Grammar.shortestFastInterval, interval.value / 5),
            timeout: timeout?.value ?? usual.timeout ?? packet,
            rise: nodes.integer(fields["rise"], "`rise`", in: Grammar.counts)?.value ?? usual.rise,
            fall: nodes.integer(fields["fall"], "`fall`", in: Grammar.counts)?.value ?? usual.fall)
    }

    /// A time between two checks.
    private func spaced(_ node: Node?, _ what: String, least: Int) -> Located<Int>? {
        guard let duration = nodes.duration(node, what) else { return nil }
        guard duration.value >= least else {
            diagnostics.error(
                duration.origin, "\(what) is \(duration.value)ms",
                hint: "write \(least)ms or more")
            return nil
        }
        return duration
    }

    // MARK: - Heartbeats

    /// BFD's echo port (RFC 5881), and the first port that a sender may use. For packets that must not pass, the
    /// discard port (RFC 863), which no firewall permits on purpose.
    private static let ports = (source: UInt16(49_152), echo: UInt16(3_785), discard: UInt16(9))

    private func heartbeat(_ node: Node, isNegative: Bool) -> RawHeartbeat? {
        let what = isNegative ? "`negative-heartbeat`" : "`heartbeat`"
        var fields: Fields?
        if case .scalar = node {
            guard let flag = nodes.flag(node, what) else { return nil }
            guard flag.value else {
                diagnostics.error(flag.origin, "a health check with the value false", hint: "remove it")
                return nil
            }
        } else {
            fields = nodes.fields(node, what, Grammar.heartbeat)
        }
        let chosen: Located<HeartbeatProtocol>? = nodes.choice(fields?["protocol"], "`protocol`")
        let hasPorts = fields?["source-port"] != nil || fields?["destination-port"] != nil
        let isDatagram = chosen.map { $0.value == .udp } ?? (isNegative || hasPorts)
        var kind = HeartbeatPlan.Kind.icmp
        if isDatagram {
            let source = nodes.integer(fields?["source-port"], "the source port", in: 1...65535)
            let destination = nodes.integer(fields?["destination-port"], "the destination port", in: 1...65535)
            kind = .udp(
                source: source.map { UInt16($0.value) } ?? Self.ports.source,
                destination: destination.map { UInt16($0.value) }
                    ?? (isNegative ? Self.ports.discard : Self.ports.echo))
        } else if let fields {
            for key in ["source-port", "destination-port"] where fields[key] != nil {
                diagnostics.error(
                    fields.origin(of: key), "an ICMP echo has no ports", hint: "remove it, or write `protocol: udp`")
            }
        }
        let position = fields?.origin ?? node.origin
        return RawHeartbeat(
            isNegative: isNegative, kind: kind, source: end(fields?["source"], "the source"),
            destination: end(fields?["destination"], "the destination"),
            size: nodes.integer(fields?["size"], "the size", in: Grammar.heartbeatSizes) ?? Located(84, position),
            hopLimit: nodes.integer(fields?["hop-limit"], "`hop-limit`", in: 2...255)?.value ?? 64,
            trafficClass: nodes.integer(fields?["traffic-class"], "`traffic-class`", in: 0...255)?.value ?? 0)
    }

    /// An end of a heartbeat: an address that a packet of one host may have.
    private func end(_ node: Node?, _ what: String) -> Located<IPAddress>? {
        guard let written = nodes.address(node, what) else { return nil }
        let address = written.value.value.address
        guard !address.isMulticast, !address.isUnspecified, !address.isLoopback, !address.isLinkLocal,
            !address.isLimitedBroadcast
        else {
            diagnostics.error(
                written.origin, "\(what) of a heartbeat cannot be \(address): no node passes it on",
                hint: "write an address that one host may have, or omit it")
            return nil
        }
        return Located(address, written.origin)
    }
}
