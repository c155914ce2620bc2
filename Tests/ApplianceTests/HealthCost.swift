import Foundation
import Glibc
import LinuxNetwork
import Testing
import Topology
import Wire

@testable import Appliance

/// What looking after 200 instances costs, and how soon what happens is told: printed where TAPLINE_HEALTH_COST is set,
/// for people who compare. What it finds depends on the machine, so that nothing is expected of it but that all is
/// well.
@Suite(.serialized, .enabled(if: getenv("TAPLINE_HEALTH_COST") != nil, "a measurement, made when asked for"))
struct HealthCost {
    private static let count = getenv("TAPLINE_HEALTH_COUNT").flatMap { Int(String(cString: $0)) } ?? 200

    private static var text: String {
        let nodes = (0..<count).map { "  fw\($0): { type: firewall, attach: { in: inspection, out: inspected } }" }
        return """
            name: NAME
            interfaces:
              customers:  { address: 192.0.2.1/24 }
              inspection: { address: 198.18.0.1/22 }
              inspected:  { address: 198.18.4.1/22 }
            customers:
              alice: { interface: customers }
            applications:
            \(nodes.joined(separator: "\n"))
            """
    }

    /// The processor time of the monitor's thread so far, in nanoseconds, and the ticks of it in user mode and in the
    /// kernel.
    private func spent() throws -> (all: Int, user: Int, kernel: Int) {
        for task in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task") {
            let name = (try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)) ?? ""
            guard name == HealthMonitor.threadName + "\n" else { continue }
            let line = try String(contentsOfFile: "/proc/self/task/\(task)/schedstat", encoding: .utf8)
            let ticks =
                try String(contentsOfFile: "/proc/self/task/\(task)/stat", encoding: .utf8)
                .split(separator: ")").last?.split(separator: " ").compactMap { Int($0) } ?? []
            return (Int(line.split(separator: " ")[0]) ?? 0, ticks[10], ticks[11])
        }
        throw CancellationError()
    }

    private func measure(
        _ what: String, _ probe: (NodePlan) -> HealthCheckPlan.Probe, prepare: (HealthLab) throws -> Void
    ) throws {
        let lab = try HealthLab(Self.text) { plan in
            plan.nodes.filter { $0.kind == .application }.map { node in
                ApplicationPlan(
                    name: node.name, line: 9, redundancy: .activeStandby,
                    instances: [InstancePlan(node: node.name, group: 0, member: 0)],
                    health: [
                        HealthCheckPlan(
                            name: what, line: 9, probe: probe(node), interval: 100, fastInterval: 50, timeout: 100,
                            rise: 2, fall: 3)
                    ])
            }
        }
        try prepare(lab)
        try lab.monitor.start()
        try lab.eventually("all are healthy") { lab.monitor.picture().values.allSatisfy { $0.isHealthy } }
        sleep(2)
        let made = lab.monitor.picture().values.reduce(0) { $0 + $1.checks[0].made }
        let before = try spent()
        let began = HealthClock.now
        sleep(8)
        let took = HealthClock.now - began
        let after = try spent()
        let share = Double(after.all - before.all) / Double(took) / 10
        let picture = lab.monitor.picture()
        let probes = picture.values.reduce(0) { $0 + $1.checks[0].made } - made
        let failed = picture.values.reduce(0) { $0 + $1.checks[0].failed }
        let times = picture.values.compactMap { $0.checks[0].microseconds }.sorted()
        print(
            String(
                format: "%@: %d instances at 100 ms: %.2f %% of a processor (%d ticks in user mode, %d in the kernel), "
                    + "%d probes a second, %d failed, median %d us",
                what, Self.count, share, after.user - before.user, after.kernel - before.kernel,
                probes * 1_000_000 / took, failed, times[times.count / 2]))
        #expect(picture.values.allSatisfy { $0.isHealthy })
    }

    @Test func heartbeats() throws {
        try measure(
            "heartbeat",
            { _ in .heartbeat(HeartbeatPlan(source: IPAddress("198.18.0.1")!, destination: IPAddress("198.18.4.1")!)) },
            prepare: { _ in })
    }

    @Test func neighbours() throws {
        try measure("neighbour", { .neighbour(leg: 0, address: $0.legs[0].addresses[0].address) }, prepare: { _ in })
    }

    @Test func echoes() throws {
        try measure("echo", { .echo(leg: 0, address: $0.legs[0].addresses[0].address) }, prepare: { _ in })
    }

    @Test func connections() throws {
        let address = IPAddress("127.0.0.1")!
        try measure("tcp", { _ in .tcp(address: address, port: 80) }) { lab in
            for namespace in lab.built.namespaces.values {
                let listener = try namespace.perform { () throws(SystemError) -> Int32 in
                    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                    _ = address.withSocketAddress(port: 80) { bind(listener, $0, $1) }
                    listen(listener, 128)
                    return listener
                }
                try startThread {
                    while true {
                        let taken = accept(listener, nil, nil)
                        if taken < 0 { return }
                        close(taken)
                    }
                }
            }
        }
    }

    /// From the moment at which the call that makes it so returns (a link) or is made (a process) to the call of
    /// `changed`.
    @Test func promptness() throws {
        let lab = try HealthLab(
            Self.text.replacingOccurrences(of: "out: inspected } }", with: "out: inspected }, run: sleep 1000 }")
        ) { _ in
            [
                ApplicationPlan(
                    name: "fw0", line: 9, redundancy: .activeStandby,
                    instances: [InstancePlan(node: "fw0", group: 0, member: 0)], damping: nil)
            ]
        }
        try lab.monitor.start()
        lab.monitor.processReady("fw0")
        try lab.becomes("fw0", healthy: true)
        let netlink = try lab.built.namespaces["fw0"]!.netlink
        let index = try netlink.existingLink(named: lab.leg("fw0", 1).device).index
        var links: [Int] = [], processes: [Int] = []
        for _ in 0..<50 {
            let began = HealthClock.now
            try netlink.setLink(index: index, up: false)
            try lab.becomes("fw0", healthy: false)
            links.append(lab.changes.last!.at - began)
            try netlink.setLink(index: index, up: true)
            try lab.becomes("fw0", healthy: true)

            let process = try lab.start(in: "fw0", "exec sleep 1000")
            let (loop, monitor) = (lab.loop, lab.monitor)
            try loop.sync {
                loop.watch(process.descriptor) { _ in
                    loop.unwatch(process.descriptor)
                    monitor.processEnded("fw0", told: "ended")
                }
            }
            let killed = HealthClock.now
            try process.signal(SIGKILL)
            try lab.becomes("fw0", healthy: false)
            processes.append(lab.changes.last!.at - killed)
            monitor.processReady("fw0")
            try lab.becomes("fw0", healthy: true)
        }
        for (what, times) in [
            ("link switched off in the node", links.sorted()), ("process killed", processes.sorted()),
        ] {
            print("\(what): told after \(times[25]) us (median), \(times[49]) us (worst of 50)")
        }
        #expect(links.count == 50)
    }
}
