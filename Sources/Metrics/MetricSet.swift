import ControlAPI

/// The metrics of samples, and of topologies that give none.
///
/// Labels are bounded by the topology files: topology, interface, node, application, instance, engine, reason, entry,
/// service, check, direction, kind, state, tenant and rule (at most 1,000 of a list). None comes from a packet.
public struct MetricSet: Sendable {
    /// One of each name, in the order of the output.
    package private(set) var families: [MetricFamily] = []

    /// - Parameters:
    ///   - samples: One for each topology that answers.
    ///   - silent: The names of topologies that do not answer: all that is known of them is that they are not up.
    public init(_ samples: [Sample], silent: [String] = []) {
        families =
            topologies(samples, silent) + traffic(samples) + interfaces(samples) + engines(samples)
            + applications(samples) + nodes(samples)
    }

    /// All of it as text.
    public func text(_ format: Exposition = .openmetrics) -> String { format.text(of: families) }

    private func topologies(_ samples: [Sample], _ silent: [String]) -> [MetricFamily] {
        var up = MetricFamily("tapline_topology_up", .gauge, "Whether the topology is up: 1 if it is.")
        var info = MetricFamily("tapline_topology", .info, "The topology's run and its file.")
        var start = MetricFamily(
            "tapline_topology_start_time_seconds", .gauge, unit: "seconds",
            "When the topology was started, in seconds since 1970.")
        var time = MetricFamily(
            "tapline_sample_timestamp_seconds", .gauge, unit: "seconds",
            "When the values were read, in seconds since 1970.")
        var version = MetricFamily(
            "tapline_table_version", .gauge, "The version of the newest table. It rises with each table.")
        var names = MetricFamily("tapline_table_entry_names", .gauge, "Names of entries in the table.")
        var problems = MetricFamily(
            "tapline_topology_problems", .gauge, "Differences from the state that was built; status names them.")
        for sample in samples {
            let labels = [MetricFamily.Label("topology", sample.status.name)]
            up.add(labels, sample.status.state == .up)
            info.add(labels + [.init("run", sample.status.run), .init("file", sample.status.file)], 1)
            start.add(labels, sample.status.since)
            time.add(labels, microseconds: UInt64(max(0, sample.time)))
            version.add(labels, sample.tableVersion)
            names.add(labels, sample.entries.count)
            problems.add(labels, sample.status.problems.count)
        }
        for name in silent { up.add([.init("topology", name)], false) }
        return [up, info, start, time, version, names, problems]
    }

    private func traffic(_ samples: [Sample]) -> [MetricFamily] {
        var entries = Traffic("entry", "the entries of this name matched")
        var services = Traffic(
            "service", "of the service: requests as customers sent them, responses on their last hop")
        var rules = Traffic(
            "access_rule", "that a rule of a tenant's access list, or its default, decided about",
            octetsOf: "network packets")
        var drops = MetricFamily("tapline_dropped_packets", .counter, "Packets that the engines dropped, by reason.")
        var housekeeping = MetricFamily(
            "tapline_housekeeping_packets", .counter,
            "Packets that nodes' kernels send by themselves: nothing is lost with them.")
        for sample in samples {
            let labels = [MetricFamily.Label("topology", sample.status.name)]
            for entry in sample.entries {
                entries.add(labels + [.init("entry", entry.name), .init("kind", entry.kind)], entry.traffic)
            }
            for service in sample.services {
                let own = labels + [.init("service", service.name)]
                services.add(own + [.init("direction", "request")], service.requests)
                services.add(own + [.init("direction", "response")], service.responses)
            }
            for rule in sample.accessRules {
                let number = rule.rule.map { "\($0)" } ?? "default"
                rules.add(
                    labels + [
                        .init("application", rule.application), .init("tenant", rule.tenant), .init("rule", number),
                    ], rule.traffic)
            }
            for drop in sample.drops {
                if drop.reason == "housekeeping" {
                    housekeeping.add(labels, drop.frames)
                } else {
                    drops.add(labels + [.init("reason", drop.reason)], drop.frames)
                }
            }
        }
        return entries.families + services.families + rules.families + [drops, housekeeping]
    }

    private func interfaces(_ samples: [Sample]) -> [MetricFamily] {
        var received = Traffic("interface_received", "from the interface's nodes")
        var sent = Traffic("interface_sent", "to the interface's nodes")
        var receivedDrops = MetricFamily(
            "tapline_interface_received_dropped_packets", .counter, "Received packets that the engines dropped.")
        var sentDrops = MetricFamily(
            "tapline_interface_sent_dropped_packets", .counter, "Packets that could not be sent.")
        var ringDrops = MetricFamily(
            "tapline_interface_ring_dropped_packets", .counter,
            "Packets that the kernel dropped, because the engines did not read fast enough.")
        for sample in samples {
            for (index, interface) in sample.status.interfaces.enumerated() {
                let labels = [
                    MetricFamily.Label("topology", sample.status.name), .init("interface", interface.name),
                ]
                received.add(
                    labels, Sample.Traffic(packets: interface.receivedPackets, bytes: interface.receivedBytes))
                sent.add(labels, Sample.Traffic(packets: interface.sentPackets, bytes: interface.sentBytes))
                ringDrops.add(labels, interface.ringDrops)
                guard sample.interfaces.indices.contains(index) else { continue }
                receivedDrops.add(labels, sample.interfaces[index].received)
                sentDrops.add(labels, sample.interfaces[index].sent)
            }
        }
        return received.families + sent.families + [receivedDrops, sentDrops, ringDrops]
    }
}

/// A pair of counters: packets and bytes of the same thing.
private struct Traffic {
    private var packets: MetricFamily
    private var bytes: MetricFamily
    var families: [MetricFamily] { [packets, bytes] }

    /// - Parameter what: What the octets are of.
    init(_ thing: String, _ which: String, octetsOf what: String = "frames") {
        packets = MetricFamily("tapline_\(thing)_packets", .counter, "Packets \(which).")
        bytes = MetricFamily(
            "tapline_\(thing)_bytes", .counter, unit: "bytes", "Octets of the \(what) \(which).")
    }

    mutating func add(_ labels: [MetricFamily.Label], _ traffic: Sample.Traffic) {
        packets.add(labels, traffic.packets)
        bytes.add(labels, traffic.bytes)
    }
}
