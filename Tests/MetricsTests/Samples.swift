import ControlAPI

/// Samples made by hand.
enum Samples {
    /// A sample of a topology with one of everything.
    ///
    /// - Parameters:
    ///   - clock: In microseconds.
    ///   - factor: What every count is multiplied by.
    static func one(
        _ name: String = "lab", run: String = "r1", clock: UInt64 = 1_000_000, factor: UInt64 = 1
    ) -> Sample {
        let check = InstanceHealth.Check(
            name: "echo", isPassed: true, made: 12, failed: 2, last: "answered", microseconds: 350)
        let instance = StatusReport.Instance(
            name: "fw-a", state: "active", reason: "all its checks pass", since: 0, isHealthy: true, share: 0.25,
            weight: 100,
            fileWeight: 100, priority: 0, checks: [check])
        var status = StatusReport(
            name: name, state: .up, run: run, file: "/topology.yaml", pid: 7, since: 1_700_000_000,
            engine: StatusReport.Engine(
                state: "running", starts: 1, workers: 1, tables: 0, coalescing: true, joined: 5 * factor,
                closedQueues: 0, turns: 9 * factor, latency: "normal"),
            interfaces: [
                StatusReport.Interface(
                    name: "customers", mac: "02:00:00:00:00:01", mtu: 1500, addresses: [], nodes: ["alice"],
                    receivedPackets: 10 * factor, receivedBytes: 1000 * factor, sentPackets: 8 * factor,
                    sentBytes: 800 * factor, ringDrops: 3 * factor)
            ],
            nodes: [
                StatusReport.Node(
                    name: "fw-a", kind: "application", type: "firewall", namespace: "lab-fw-a", state: "ready", pid: 9,
                    restarts: 4, legs: [])
            ], drops: [])
        status.engines = [
            StatusReport.NumberedEngine(
                number: 1, pid: 8, state: "running", queues: [0], packets: 10 * factor, starts: 2)
        ]
        status.applications = [
            StatusReport.Application(
                name: "firewall", state: "up", redundancy: "balance", whenDown: "drop", minimum: 1,
                instances: [instance])
        ]
        let use = Sample.ProcessUse(processorMilliseconds: 1500 * factor, memoryBytes: 4096, processes: 2)
        return Sample(
            time: 1_700_000_001_500_000, clock: clock, status: status, tableVersion: 6,
            entries: [
                Sample.Entry(
                    name: "shop.request.customers", kind: "distribution", service: "shop",
                    traffic: Sample.Traffic(packets: 10 * factor, bytes: 1000 * factor))
            ],
            services: [
                Sample.Service(
                    name: "shop", requests: Sample.Traffic(packets: 10 * factor, bytes: 1000 * factor),
                    responses: Sample.Traffic(packets: 8 * factor, bytes: 800 * factor))
            ],
            interfaces: [Sample.InterfaceDrops(received: factor, sent: 2 * factor)],
            drops: [
                StatusReport.Drop(reason: "no-service", sentence: "", frames: 6 * factor),
                StatusReport.Drop(reason: "tap-full", sentence: "", frames: 0),
                StatusReport.Drop(reason: "housekeeping", sentence: "", frames: 2 * factor),
            ],
            engines: [
                Sample.Engine(number: 1, packets: 10 * factor, coalesced: 5 * factor, turns: 9 * factor, use: use)
            ], control: use, nodes: [Sample.Node(name: "fw-a", use: use)])
    }
}
