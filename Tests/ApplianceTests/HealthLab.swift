import Foundation
import Glibc
import Testing

@testable import Appliance
@testable import ControlAPI
@testable import EventLoop
@testable import Fabric
@testable import Health
@testable import HealthMonitoring
@testable import LinuxNetwork
@testable import Nodes
@testable import Plan
@testable import Planning
@testable import Reporting
@testable import TopologyFiles
@testable import Wire

/// The namespaces and devices of a topology, without engine and control process, and a monitor of their health.
final class HealthLab: @unchecked Sendable {
    let plan: AppliancePlan
    let built: BuiltTopology
    let loop: EventLoop
    let monitor: HealthMonitor
    private let cancellation: Cancellation
    typealias Change = (node: String, health: InstanceHealth, at: MonotonicTime)
    private let inits = Guarded<[String: Pidfd]>([:])
    private let programs = Guarded<[Pidfd]>([])
    private let summary = Guarded<(changes: [Change], events: [ApplianceEvent])>(([], []))

    /// - Parameters:
    ///   - text: A topology file; NAME in it becomes a name of its own.
    ///   - applications: What is looked after in its plan.
    init(_ text: String, _ applications: (AppliancePlan) -> [ApplicationPlan]) throws {
        try #require(geteuid() == 0, "the tests of health need root: run them with sudo")
        let name = "h" + String(UInt32.random(in: .min ... .max), radix: 36)
        let file = try TopologyFile.parse(text.replacingOccurrences(of: "NAME", with: name), path: "/t.yaml")
        var plan = Self.bridged(try Planner.plan(file))
        plan.applications = applications(plan)
        self.plan = plan
        cancellation = try Cancellation()
        let mark = ApplianceState.mark(name: name, run: ApplianceState.newRun())
        loop = try EventLoop()
        let (inits, summary) = (inits, summary)
        do {
            built = try NetworkBuilder(plan: plan, mark: mark, cancellation: cancellation).build()
            let namespaces = built.namespaces
            monitor = try HealthMonitor(
                plan: plan, built: built, loop: loop, token: .random(in: 1 ... .max),
                events: { event in summary.withLock { $0.events.append(event) } },
                entrance: { node throws(ApplianceError) in
                    guard let namespace = namespaces[node] else { throw .cancelled }
                    do {
                        let process = try inits.withLock { inits in
                            if let there = inits[node] { return there }
                            let started = try ProcessLauncher.startInit(in: namespace)
                            inits[node] = started
                            return started
                        }
                        return (
                            NodeEntrance(
                                pid: process.pid, started: 0,
                                environment: ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                                directory: "/"), process
                        )
                    } catch { throw .wrapping(error, "cannot enter") }
                })
        } catch {
            Self.delete(plan)
            throw error
        }
        monitor.changed = { node, health in
            summary.withLock { $0.changes.append((node, health, HealthClock.now)) }
        }
    }

    deinit {
        monitor.stop()
        for process in inits.withLock({ Array($0.values) }) + programs.withLock({ $0 }) {
            try? process.signal(SIGKILL)
        }
        for process in programs.withLock({ $0 }) + inits.withLock({ Array($0.values) }) {
            if process.waitForEnd(within: .seconds(5)) { _ = try? process.statusIfEnded() }
        }
        Self.delete(plan)
    }

    private static func delete(_ plan: AppliancePlan) {
        for name in NetworkBuilder.namespaces(of: plan) { try? NetworkNamespace.delete(name) }
    }

    /// Every interface on a bridge, as those of watched applications are.
    private static func bridged(_ plan: AppliancePlan) -> AppliancePlan {
        var plan = plan
        for index in plan.interfaces.indices {
            guard case .direct = plan.interfaces[index].attachment else { continue }
            plan.interfaces[index].attachment = .bridge(bridgeDevice: "b\(index)", tapDevice: "t\(index)")
            for node in plan.nodes.indices {
                for leg in plan.nodes[node].legs.indices where plan.nodes[node].legs[leg].interface == index {
                    plan.nodes[node].legs[leg].fabricDevice = "v\(index).\(node)"
                }
            }
        }
        return plan
    }

    // MARK: - Doing

    /// Runs a command in a node's network namespace, or in the fabric's.
    @discardableResult
    func run(in node: String, _ command: String) throws -> String {
        let namespace =
            node == "fabric" ? plan.fabricNamespace : plan.nodes.first { $0.name == node }?.namespace ?? ""
        let result = try CommandLineRun.Started(
            ["/usr/bin/env", "ip", "netns", "exec", namespace, "/bin/sh", "-c", command]
        ).finish()
        try #require(result.status == 0, "\(command): \(result.errors)\(result.output)")
        return result.output
    }

    /// Starts a program in a node; it ends with the lab.
    func start(in node: String, _ command: String) throws -> Pidfd {
        let (way, process) = try monitor.entrance(node)
        let null = open("/dev/null", O_RDWR)
        defer { close(null) }
        let program = try ProcessLauncher.spawn(way.command(command, output: null), node: process)
        programs.withLock { $0.append(program) }
        return program
    }

    func leg(_ node: String, _ index: Int) -> LegPlan {
        plan.nodes.first { $0.name == node }!.legs[index]
    }

    // MARK: - Seeing

    var events: [ApplianceEvent] { summary.withLock { $0.events } }
    var changes: [Change] { summary.withLock { $0.changes } }

    func health(_ node: String) -> InstanceHealth? { monitor.currentHealth()[node] }

    func check(_ node: String, _ name: String) -> InstanceHealth.Check? {
        health(node)?.checks.first { $0.name == name }
    }

    /// Waits, with much patience, until what was told of a node last is so.
    func becomes(_ node: String, healthy: Bool, _ place: SourceLocation = #_sourceLocation) throws {
        for _ in 0..<12_000 {
            if let last = changes.last(where: { $0.node == node }), last.health.isHealthy == healthy { return }
            usleep(5_000)
        }
        let seen = health(node)
        Issue.record(
            "\(node) did not become \(healthy ? "healthy" : "unhealthy"): \(seen?.reason ?? "?") \(seen?.checks ?? [])",
            sourceLocation: place)
        throw CancellationError()
    }

    func eventually(
        _ what: String, _ place: SourceLocation = #_sourceLocation, _ holds: () -> Bool
    ) throws {
        for _ in 0..<12_000 {
            if holds() { return }
            usleep(5_000)
        }
        Issue.record("it did not come true: \(what)", sourceLocation: place)
        throw CancellationError()
    }
}

/// A value that several threads change.
private final class Guarded<Value>: @unchecked Sendable {
    private var value: Value
    private let lock = NSLock()

    init(_ value: Value) { self.value = value }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}

extension HealthCheckPlan {
    /// As quick as the file allows, but patient enough for a machine that runs other tests.
    static func quick(
        _ name: String, _ probe: Probe, interval: Int = 20, timeout: Int = 200, rise: Int = 2, fall: Int = 2
    ) -> HealthCheckPlan {
        HealthCheckPlan(
            name: name, origin: .line(SourcePosition(line: 9, column: 1)), probe: probe, interval: interval,
            fastInterval: 10, timeout: timeout, rise: rise,
            fall: fall)
    }
}
