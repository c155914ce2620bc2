import Plan
import Reporting
import TopologyFiles
import Wire

/// Paths and outages: numbered packets that are measured.
extension CheckResolver {
    /// The octets of a payload that number a packet.
    private static let numbered = 16
    /// What stands for the engine where nodes are named.
    private static let engine = "engine"

    func path(_ raw: RawPath) -> PathPlan? {
        let through = stages(raw.through)
        for (way, written) in zip(through, raw.through) where way.isEmpty {
            guard written.isEmpty else { continue }
            diagnostics.error(
                raw.train.packet.origin, "a way of `through` has no node", hint: "name the nodes of the way in order")
        }
        let within = raw.within.flatMap { bound -> [PathPlan.TimeBound] in
            if bound.node.value == Self.engine, nodeIndex[Self.engine] == nil {
                return [PathPlan.TimeBound(node: nil, figure: bound.figure, time: bound.time)]
            }
            return timed(bound.node).map { PathPlan.TimeBound(node: $0, figure: bound.figure, time: bound.time) }
        }
        guard let train = train(raw.train, usualFlows: 32, most: raw.count.value) else { return nil }
        checkOrder(raw.order, train)
        // Each name by itself: one may be an application, and another one of its instances.
        var instances: [String: String] = [:]
        for name in through.joined() + within.compactMap(\.node) {
            instances.merge(standIns([[name]])) { first, _ in first }
        }
        return PathPlan(
            train: train, count: raw.count.value, expectation: raw.expectation, paths: raw.paths, through: through,
            within: within, standIns: instances)
    }

    func outage(_ raw: RawOutage, _ entryNames: [String]) -> OutagePlan? {
        let steps = steps(raw.steps, entryNames)
        guard let train = train(raw.train, usualFlows: 1, most: ProbeTrainPlan.mostFlows) else { return nil }
        checkOrder(raw.order, train)
        return OutagePlan(
            train: train, steps: steps, expectation: raw.expectation, longestGap: raw.longestGap,
            countsAnswers: raw.countsAnswers, settle: raw.settle)
    }

    private func train(_ raw: RawTrain, usualFlows: Int, most: Int) -> ProbeTrainPlan? {
        guard let packet = packet(raw.packet) else { return nil }
        let isTCP = packet.protocolNumber == IPProtocol.tcp
        let isEcho = packet.protocolNumber == IPProtocol.icmp || packet.protocolNumber == IPProtocol.icmpv6
        let hasFlows = isTCP || isEcho || packet.protocolNumber == IPProtocol.udp
        let network = packet.destination.family == .ipv4 ? IPv4View.minimumLength : IPv6View.length
        let transport = isTCP ? TCPView.minimumLength : hasFlows ? UDPView.length : 0
        let least = network + transport + (isTCP ? 0 : Self.numbered)
        if let size = raw.packet.size, size.value < least {
            diagnostics.error(
                size.origin, "a size of \(size.value) has no room for the headers and the number, \(least) octets",
                hint: "write \(least) or more, or omit `size`")
            return nil
        }
        if !hasFlows, let flows = raw.flows, flows.value > 1 {
            diagnostics.error(
                flows.origin, "packets without ports are one flow, not \(flows.value)",
                hint: "omit `flows`, or send udp, tcp or icmp")
            return nil
        }
        // The first segments of one connection would be taken for repetitions of one.
        let usual = isTCP ? ProbeTrainPlan.mostFlows : usualFlows
        return ProbeTrainPlan(
            packet: packet, interval: raw.interval, flows: hasFlows ? min(raw.flows?.value ?? usual, most) : 1)
    }

    /// A name whose time can be measured: of an application that passes packets on, or of a router.
    private func timed(_ name: Located<String>) -> [String] {
        let found = every(name)
        guard let first = found.first else { return [] }
        if file.nodes[first].passive {
            diagnostics.error(
                name.origin, "\(quoted(name.value)) is passive: no packet comes out of it, so there is no time in it",
                hint: "name an application that passes packets on")
            return []
        }
        return stages([[name]]).joined().map { $0 }
    }

    /// The order of packets can be judged only within a flow.
    private func checkOrder(_ origin: SourceOrigin?, _ train: ProbeTrainPlan) {
        guard let origin, train.packet.protocolNumber == IPProtocol.tcp, train.flows > 1 else { return }
        diagnostics.remark(
            origin, "order counts within a flow, and packets of TCP have a flow each",
            hint: "write `flows: 1` to judge their order, or send udp or icmp")
    }
}
