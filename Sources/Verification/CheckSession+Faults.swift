import ControlAPI
import EventLoop
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// The damage of a check's faults that is not repaired yet.
struct StandingFaults {
    /// The processes that stand still.
    var stopped: [FaultPlan.Target: [Pidfd]] = [:]
    /// The devices that are down, by node.
    var down: [String: Set<Int32>] = [:]
    /// The nodes whose devices a fault has touched.
    var linkNodes: Set<String> = []
    /// The nodes whose processes a fault has touched.
    var processNodes: Set<String> = []
    /// True if a fault has touched an engine.
    var engines = false
    /// The engines that are drained.
    var drained: Set<Int> = []
    /// The instances to which something was done as operators do it.
    var operated: Set<String> = []
    /// The links that are impaired, with what a command had asked for before.
    var impaired: [ImpairmentPlace: ImpairmentPair?] = [:]

    /// Whether faults have touched a node's links, and its processes.
    func touches(_ node: String) -> (links: Bool, processes: Bool) {
        (linkNodes.contains(node), processNodes.contains(node))
    }
}

extension CheckSession {
    /// Breaks something, or repairs it.
    func cause(_ fault: FaultPlan, _ timeout: Duration) throws(ApplianceError) -> StepOutcome {
        let name: String
        switch fault.target {
        case .engine(let number): return try causeInEngine(fault.kind, number, timeout)
        case .node(let node): name = node
        }
        switch fault.kind {
        case .drain, .undrain, .disable, .enable:
            return try operate(fault.kind, name, fault.duration.map { .milliseconds($0) })
        default: break
        }
        let node = try sources.node(name)
        try remember(node)
        switch fault.kind {
        case .kill:
            faults.processNodes.insert(name)
            let processes = try targets(node)
            faults.stopped[fault.target] = nil
            for process in processes { signal(process, SIGKILL) }
            // A killed process has ended when the next step begins.
            let deadline = monotonicTime() + timeout
            for process in processes {
                _ = process.waitForEnd(within: deadline - monotonicTime())
            }
        case .stop:
            faults.processNodes.insert(name)
            let processes = try targets(node)
            for process in processes { signal(process, SIGSTOP) }
            faults.stopped[fault.target, default: []] += processes
        case .continue:
            resume(fault.target)
        case .restart:
            faults.processNodes.insert(name)
            let spared = node.programPids
            for process in try targets(node) where !spared.contains(process.pid) { signal(process, SIGKILL) }
            faults.stopped[fault.target] = nil
            try node.bringBack(anew: true, sources.cancellation)
        case .linkDown, .linkUp:
            guard let interface = fault.interface,
                let leg = node.plan.legs.first(where: { $0.interface == interface })
            else { return StepOutcome(holds: false, expected: ["a device on the interface"], came: ["there is none"]) }
            faults.linkNodes.insert(name)
            return try setLink(node, leg.device, up: fault.kind == .linkUp)
        case .drain, .undrain, .disable, .enable, .replace:
            return StepOutcome(holds: false, expected: ["an instance or an engine"], came: ["\(name) is none"])
        }
        return .held
    }

    /// The processes in a node, except processes that the check itself started there.
    private func targets(_ node: NodeRuntime) throws(ApplianceError) -> [Pidfd] {
        let own = marks[node.plan.name] ?? []
        let pids = node.members.filter { !ProcessMark.isCarried(own, by: $0) }
        return pids.compactMap { try? Pidfd(pid: $0) }
    }

    private func signal(_ process: Pidfd, _ number: Int32) {
        // One that has ended meanwhile takes it without a word; root may signal every other.
        try? process.signal(number)
    }

    private func setLink(_ node: NodeRuntime, _ device: String, up: Bool) throws(ApplianceError) -> StepOutcome {
        let watch = try remember(node)
        do throws(SystemError) {
            let index = try node.namespace.netlink.existingLink(named: device).index
            try watch.change(device: index, up: up) { (netlink) throws(SystemError) in
                try netlink.setLink(index: index, up: up)
            }
            guard up else {
                faults.down[node.plan.name, default: []].insert(index)
                return .held
            }
            faults.down[node.plan.name]?.remove(index)
            // Going down has cost it routes, and addresses of IPv6.
            let left = try watch.restore(except: faults.down[node.plan.name] ?? [])
            guard left.isEmpty else {
                return StepOutcome(holds: false, expected: ["that \(device) comes up as it was"], came: left)
            }
        } catch {
            throw ApplianceError(.failed, "\(node.place): \(error)")
        }
        return .held
    }

    private func causeInEngine(
        _ kind: FaultPlan.Kind, _ number: Int, _ timeout: Duration
    ) throws(ApplianceError) -> StepOutcome {
        faults.engines = true
        let target = FaultPlan.Target.engine(number)
        switch kind {
        case .drain:
            faults.drained.insert(number)
            try sources.operateEngine(.drain, number)
            return .held
        case .undrain:
            try sources.operateEngine(.undrain, number)
            faults.drained.remove(number)
            return .held
        case .replace:
            try sources.operateEngine(.replace, number)
            return .held
        case .kill, .stop, .continue, .restart: break
        case .linkDown, .linkUp, .disable, .enable:
            return StepOutcome(
                holds: false, expected: ["a node with a device"], came: ["the engine has none of its own"])
        }
        let engines = sources.engines()
        guard engines.indices.contains(number - 1), let pid = engines[number - 1].pid,
            let process = try? Pidfd(pid: pid)
        else { return StepOutcome(holds: false, expected: ["that engine \(number) runs"], came: ["it does not"]) }
        switch kind {
        case .stop:
            signal(process, SIGSTOP)
            faults.stopped[target, default: []].append(process)
        case .continue:
            resume(target)
        default:
            faults.stopped[target] = nil
            signal(process, SIGKILL)
            _ = process.waitForEnd(within: timeout)
            if kind == .restart, !waitForEngines(timeout) {
                return StepOutcome(
                    holds: false, expected: ["that another engine forwards"], came: ["none does yet"])
            }
        }
        return .held
    }

    private func resume(_ target: FaultPlan.Target) {
        for process in faults.stopped[target] ?? [] { signal(process, SIGCONT) }
        faults.stopped[target] = nil
    }

    private var enginesRun: Bool {
        let engines = sources.engines()
        return !engines.isEmpty && engines.allSatisfy(\.isRunning)
    }

    private func waitForEngines(_ timeout: Duration) -> Bool {
        let deadline = monotonicTime() + timeout
        while monotonicTime() < deadline, !sources.cancellation.isRaised {
            if enginesRun { return true }
            sources.cancellation.sleep(.milliseconds(10))
        }
        return enginesRun
    }

    // MARK: - Afterwards

    /// How long the return to the state before the check may take, beside the time that applications need to be
    /// ready.
    private static let patience = Duration.seconds(10)

    /// Ends the processes of the check, and leaves the rest as it is: the whole topology is about to be taken away.
    func abandon() {
        endCommands()
        for capture in captures.values { capture.stop() }
    }

    /// Ends everything that the check started, and restores the state before it: stopped processes go on, devices come
    /// up, addresses and routes come back, applications and the engine run.
    ///
    /// - Returns: Unexpected changes by commands of the check that were not reported yet, and everything that could not
    ///   be restored.
    func restore() -> [String] {
        abandon()
        var summary: [String] = []
        for name in kept.subtracting(reportedNodes).subtracting(faults.linkNodes).sorted() {
            let changes = watches[name]?.changes ?? []
            summary += changes.map { "a command that ran beside changed \(name): \($0)" }
        }
        // An application needs time to end after a signal: the effect of a command may show only now.
        for name in kept.subtracting(reportedNodes).subtracting(faults.processNodes).sorted()
        where nodeStates[name] == .ready && applications[name]?.hasEnded == true && hasSignalled(name) {
            summary.append("a command harmed \(name): its application has ended")
        }
        for target in faults.stopped.keys { resume(target) }
        for number in faults.drained { try? sources.operateEngine(.undrain, number) }
        guard !sources.cancellation.isRaised else { return summary }
        summary += restoreLinks()
        for (name, watch) in watches { summary += restoreNetwork(name, watch) }
        for node in sources.plan.nodes { summary += restoreApplication(node.name) }
        if faults.engines || !enginesRun, !waitForEngines(Self.patience) {
            summary.append("after the check, some engine does not forward")
        }
        return summary + restoreInstances()
    }

    private func restoreNetwork(_ name: String, _ watch: NodeWatch) -> [String] {
        do {
            return try watch.restore().map { "after the check, \(name) could not be put back: \($0)" }
        } catch {
            return ["after the check, \(name) could not be put back: \(error)"]
        }
    }

    /// True if a command of the check has sent a signal to a process in a node that is not the check's.
    private func hasSignalled(_ name: String) -> Bool { watches[name]?.hasSignalled ?? false }

    /// An application that ran when the check began, in a node that the check has touched, runs and is ready again; its
    /// programs, too.
    private func restoreApplication(_ name: String) -> [String] {
        guard nodeStates[name] == .ready,
            watches[name] != nil || faults.processNodes.contains(name)
        else { return [] }
        // One that has ended by itself, and is not started again, is as its file wants it.
        guard faults.processNodes.contains(name) || hasSignalled(name) || comesBack(name) else { return [] }
        if let before = applications[name] {
            if isDying(before.pid) { _ = before.waitForEnd(within: Self.patience) }
            guard before.hasEnded || !isCurrent(before, name) || !isReady(name) else { return [] }
        } else {
            guard !isReady(name) else { return [] }
        }
        do throws(ApplianceError) {
            try sources.node(name).bringBack(anew: false, sources.cancellation)
            return []
        } catch {
            return sources.cancellation.isRaised ? [] : ["after the check, \(name) did not come back: \(error)"]
        }
    }

    /// True if all programs of a node are.
    private func isReady(_ name: String) -> Bool {
        guard let node = try? sources.node(name) else { return false }
        return node.glimpse().state == .ready
    }

    /// True if its node starts an application again, or it runs.
    private func comesBack(_ name: String) -> Bool {
        guard let node = try? sources.node(name) else { return false }
        return ![.ended, .failed].contains(node.glimpse().state)
    }

    private func isCurrent(_ application: Pidfd, _ name: String) -> Bool {
        guard let node = try? sources.node(name) else { return false }
        return node.glimpse().application === application
    }
}
