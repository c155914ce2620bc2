import ControlAPI

/// The metrics of engines, applications and nodes.
extension MetricSet {
    func engines(_ samples: [Sample]) -> [MetricFamily] {
        var running = MetricFamily("tapline_engine_running", .gauge, "Whether the engine forwards: 1 if it does.")
        var starts = MetricFamily(
            "tapline_engine_starts", .counter, "Processes that have begun to serve as the engine.")
        var packets = MetricFamily("tapline_engine_received_packets", .counter, "Packets that the engine received.")
        var coalesced = MetricFamily(
            "tapline_engine_coalesced_packets", .counter,
            "Received packets that the engine coalesced with packets before them.")
        var turns = MetricFamily(
            "tapline_engine_turns", .counter, "Turns of the engine's workers: batches of packets, and idle turns.")
        var use = Use("engine", "the engine's process")
        var closed = MetricFamily(
            "tapline_closed_queues", .counter, "Queues that engines found closed, because a device was deleted.")
        var control = Use("control", "the topology's control process")
        for sample in samples {
            let labels = [MetricFamily.Label("topology", sample.status.name)]
            for engine in sample.status.engines {
                let own = labels + [.init("engine", "\(engine.number)")]
                running.add(own, engine.state == "running")
                starts.add(own, engine.starts)
            }
            for engine in sample.engines {
                let own = labels + [.init("engine", "\(engine.number)")]
                packets.add(own, engine.packets)
                coalesced.add(own, engine.coalesced)
                turns.add(own, engine.turns)
                if let used = engine.use { use.add(own, used) }
            }
            if let engine = sample.status.engine { closed.add(labels, engine.closedQueues) }
            if let used = sample.control { control.add(labels, used) }
        }
        return [running, starts, packets, coalesced, turns] + use.families + [closed] + control.families
    }

    func applications(_ samples: [Sample]) -> [MetricFamily] {
        var up = MetricFamily("tapline_application_up", .gauge, "Whether the application is up: 1 if it is.")
        var healthy = MetricFamily(
            "tapline_instance_healthy", .gauge, "Whether the instance may take packets, apart from operators' words.")
        var state = MetricFamily("tapline_instance_state", .stateset, "The state of the instance.")
        var share = MetricFamily(
            "tapline_instance_share_ratio", .gauge, unit: "ratio", "The instance's share of the application's flows.")
        var weight = MetricFamily("tapline_instance_weight", .gauge, "The weight of the instance.")
        for sample in samples {
            for application in sample.status.applications {
                let labels = [
                    MetricFamily.Label("topology", sample.status.name), .init("application", application.name),
                ]
                up.add(labels, application.state == "up")
                for instance in application.instances {
                    let own = labels + [.init("instance", instance.name)]
                    healthy.add(own, instance.isHealthy)
                    for known in Self.states {
                        state.add(own + [.init("tapline_instance_state", known)], known == instance.state)
                    }
                    share.add(own, instance.share)
                    weight.add(own, instance.weight)
                }
            }
        }
        return [up, healthy, state, share, weight] + checks(samples) + times(samples)
    }

    /// What `StatusReport.Instance.state` may be.
    private static let states = ["active", "standby", "draining", "drained", "taken-out", "suppressed", "down"]

    private func checks(_ samples: [Sample]) -> [MetricFamily] {
        var passed = MetricFamily(
            "tapline_health_check_passed", .gauge, "Whether the health check counts as passed: 1 if it does.")
        var probes = MetricFamily("tapline_health_check_probes", .counter, "Probes of the health check.")
        var failures = MetricFamily(
            "tapline_health_check_failures", .counter, "Probes of the health check that failed.")
        var latency = MetricFamily(
            "tapline_health_check_latency_seconds", .gauge, unit: "seconds",
            "How long the last answer to the health check took.")
        for sample in samples {
            for application in sample.status.applications {
                for instance in application.instances {
                    for check in instance.checks {
                        let labels = [
                            MetricFamily.Label("topology", sample.status.name),
                            .init("application", application.name), .init("instance", instance.name),
                            .init("check", check.name),
                        ]
                        passed.add(labels, check.isPassed)
                        probes.add(labels, check.made)
                        failures.add(labels, check.failed)
                        if let took = check.microseconds { latency.add(labels, microseconds: UInt64(max(0, took))) }
                    }
                }
            }
        }
        return [passed, probes, failures, latency]
    }

    private func times(_ samples: [Sample]) -> [MetricFamily] {
        var times = MetricFamily(
            "tapline_time_in_application_seconds", .histogram, unit: "seconds",
            "The time from the write of a packet to an application to the read of what came out, of the flows that are "
                + "measured.")
        for sample in samples {
            for histogram in sample.timesInApplications {
                let labels = [
                    MetricFamily.Label("topology", sample.status.name), .init("application", histogram.application),
                    .init("instance", histogram.instance),
                ]
                var count: UInt64 = 0
                for bucket in histogram.buckets {
                    count &+= bucket.packets
                    let bound = bucket.atMost.map { MetricFamily.seconds($0, digits: 9) } ?? "+Inf"
                    times.add(labels + [.init("le", bound)], suffix: "_bucket", "\(count)")
                }
                times.add(labels, suffix: "_sum", MetricFamily.seconds(histogram.sum, digits: 9))
                times.add(labels, suffix: "_count", "\(count)")
                times.add(
                    labels, suffix: MetricFamily.created,
                    MetricFamily.seconds(UInt64(max(0, histogram.since)), digits: 6))
            }
        }
        return [times]
    }

    func nodes(_ samples: [Sample]) -> [MetricFamily] {
        var info = MetricFamily(
            "tapline_node", .info, "What the node is, and the application that it is an instance of.")
        var ready = MetricFamily(
            "tapline_node_ready", .gauge,
            "Whether the node is as it should be: 1 if its application is ready, or it has none.")
        var restarts = MetricFamily(
            "tapline_node_restarts", .counter, "Restarts of the node's application.")
        var processes = MetricFamily("tapline_node_processes", .gauge, "Processes of the node.")
        var use = Use("node", "the node's processes")
        for sample in samples {
            var applications: [String: String] = [:]
            for application in sample.status.applications {
                for instance in application.instances { applications[instance.name] = application.name }
            }
            for node in sample.status.nodes {
                let labels = [MetricFamily.Label("topology", sample.status.name), .init("node", node.name)]
                let isApplication = node.kind == "application"
                info.add(
                    labels + [
                        .init("kind", node.kind), .init("type", node.type ?? ""),
                        .init("application", applications[node.name] ?? (isApplication ? node.name : "")),
                    ], 1)
                ready.add(labels, ["idle", "ready"].contains(node.state))
                restarts.add(labels, node.restarts)
            }
            for node in sample.nodes {
                let labels = [MetricFamily.Label("topology", sample.status.name), .init("node", node.name)]
                processes.add(labels, node.use.processes)
                use.add(labels, node.use)
            }
        }
        return [info, ready, restarts, processes] + use.families
    }
}

/// Processor time and memory of the same processes.
private struct Use {
    private var processor: MetricFamily
    private var memory: MetricFamily
    var families: [MetricFamily] { [processor, memory] }

    init(_ thing: String, _ whose: String) {
        processor = MetricFamily(
            "tapline_\(thing)_cpu_seconds", .counter, unit: "seconds", "Processor time of \(whose).")
        memory = MetricFamily(
            "tapline_\(thing)_resident_memory_bytes", .gauge, unit: "bytes",
            "Resident memory of \(whose). Memory that processes share counts for each of them.")
    }

    mutating func add(_ labels: [MetricFamily.Label], _ use: Sample.ProcessUse) {
        processor.add(labels, microseconds: use.processorMilliseconds &* 1000)
        memory.add(labels, use.memoryBytes)
    }
}
