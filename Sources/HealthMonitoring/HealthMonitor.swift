import CLinux
import ControlAPI
import EventLoop
import Fabric
import Forwarding
import Glibc
import Health
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// Looks after the instances of a topology: their processes, their links, and all their checks.
///
/// One thread of its own makes all probes. It waits only for the next event, so other work of the control process does
/// not delay it. A probe that hangs does not delay the others. The thread has a high priority, so that a busy machine
/// is not taken for a dead firewall. If it is late nevertheless, answers that have come count. Open probes get as much
/// more time.
///
/// Its methods may be called from any thread.
package final class HealthMonitor: @unchecked Sendable {
    /// A node, and the way in: what `NodeRuntime.enter` gives. Called on threads that may wait.
    package typealias Entrance =
        @Sendable (_ node: String) throws(ApplianceError) -> (entrance: NodeEntrance, node: Pidfd)

    /// The log of one of a node's programs, or of its `run` command. Called on threads that may wait.
    package typealias Logs = @Sendable (_ node: String, _ program: String?) -> LogPlace?

    /// Called on the loop's thread at every change of an instance's health: it became or ceased to be healthy, or to be
    /// kept out although it would be.
    package var changed: ((_ node: String, _ health: InstanceHealth) -> Void)?

    /// Guarded by the lock.
    private(set) var plan: AppliancePlan
    let loop: EventLoop
    let token: UInt64
    let entrance: Entrance
    /// Where a program of a node writes its log; nil for the `run` command's.
    let logs: Logs
    let events: EventSink
    /// The Ethernet source of frames that no node may answer to the engine. No other device has it, and no bridge knows
    /// it.
    let prober: MACAddress
    /// Raised at the end: commands under way are ended.
    let cancellation: Cancellation

    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    let epoll: Int32
    let wake: Int32
    private let home: NetworkNamespace
    let packets: ProbeSocket?
    let links: LinkWatch?
    let fabric: NetworkNamespace?

    // MARK: Guarded by the lock

    var namespaces: [String: NetworkNamespace]
    var instances: [String: WatchedInstance] = [:]
    var slots: [Watched?] = []
    var checksByIdentity: [UInt64: WatchedCheck] = [:]
    var legsByDevice: [Int32: (instance: WatchedInstance, leg: Int)] = [:]
    /// The legs behind tunnels, by the device of the next hop to the far end.
    var farLegs: [Int32: [(instance: WatchedInstance, leg: Int)]] = [:]
    var queue = TimeQueue()
    var touchedChecks: [WatchedCheck] = []
    var touchedInstances: [WatchedInstance] = []
    var pendingEvents: [ApplianceEvent] = []
    /// Counts the commands.
    var serial: UInt64 = 0
    private var isStopping = false
    private var thread: RaisedFlag?
    /// True if the thread has entered a node's namespace.
    var isAway = false

    /// The item of a slot of the queue.
    enum Watched {
        case check(WatchedCheck)
        case instance(WatchedInstance)
    }

    /// - Parameters:
    ///   - built: The namespaces; where it has no fabric, links and packets are not looked at.
    ///   - loop: Where `changed` is called.
    ///   - token: The last eight octets of the topology's probes; not zero.
    ///   - events: Takes failed and passed checks.
    ///   - entrance: The way into a node, for commands.
    ///   - logs: The logs of a node, for checks that look into them.
    /// - Throws: `ApplianceError` if a socket cannot be opened, or if the plan has no node for an instance.
    package init(
        plan: AppliancePlan, built: BuiltTopology, loop: EventLoop, token: UInt64, events: @escaping EventSink,
        entrance: @escaping Entrance, logs: @escaping Logs = { _, _ in nil }
    ) throws(ApplianceError) {
        self.plan = plan
        self.loop = loop
        self.token = token
        self.events = events
        self.entrance = entrance
        self.logs = logs
        namespaces = built.namespaces
        fabric = built.fabric
        prober = Self.freeAddress(plan)
        cancellation = try Cancellation()
        pthread_mutex_init(lock, nil)
        do throws(SystemError) {
            home = try NetworkNamespace.current()
            if let fabric = built.fabric {
                packets = try ProbeSocket(
                    in: fabric, token: token, mac: prober, longest: Self.longestFrame(plan))
                links = try LinkWatch(in: fabric)
            } else {
                packets = nil
                links = nil
            }
        } catch { throw ApplianceError(.failed, "the health checks: \(error)") }
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard epoll >= 0, wake >= 0 else { throw .system("the health checks: cannot wait for events", errno: errno) }
        for (descriptor, key) in [
            (wake, Self.wakeKey), (links?.descriptor ?? -1, Self.linkKey),
            (packets?.descriptor ?? -1, Self.packetKey),
        ]
        where descriptor >= 0 {
            try listen(descriptor, EPOLLIN.rawValue, key)
        }
        for application in plan.applications {
            for instance in application.instances { try add(application: application, instance: instance) }
        }
    }

    deinit {
        close(epoll)
        close(wake)
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    /// The thread's name, at most 15 octets.
    static let threadName = "tapline-health"

    static let wakeKey: UInt64 = 0
    static let linkKey: UInt64 = 1
    static let packetKey: UInt64 = 2
    /// The first of the keys that stand for the connection of the check in a slot.
    static let connectionKeys: UInt64 = 16

    /// A locally administered MAC address that no part of the plan has.
    private static func freeAddress(_ plan: AppliancePlan) -> MACAddress {
        var taken = Set(plan.nodes.flatMap(\.legs).flatMap { [$0.mac] + $0.deliverToo })
        for interface in plan.table.interfaces { taken.formUnion([interface.mac] + interface.aliases) }
        while true {
            let mac = MACAddress(bits: 0x0200_0000_0000 | UInt64.random(in: 0..<1 << 40))
            if !taken.contains(mac) { return mac }
        }
    }

    func listen(_ descriptor: Int32, _ interest: UInt32, _ key: UInt64) throws(ApplianceError) {
        var event = epoll_event(events: interest, data: epoll_data_t(u64: key))
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            throw .system("the health checks: cannot wait for events", errno: errno)
        }
    }

    // MARK: - Life

    /// Begins to look.
    ///
    /// - Throws: `ApplianceError` if no thread can be started.
    package func start() throws(ApplianceError) {
        let flag = RaisedFlag()
        let isFirst = guarded {
            guard thread == nil, !isStopping else { return false }
            thread = flag
            return true
        }
        guard isFirst else { return }
        try startThread { [self] in
            pthread_setname_np(pthread_self(), Self.threadName)
            // Without the right to it, it takes its turn as others do.
            _ = clinux_raise_own_thread(-10)
            run()
            flag.raise()
        }
    }

    /// Ends all checks. It reports nothing afterwards.
    package func stop() {
        let thread = guarded {
            isStopping = true
            return self.thread
        }
        cancellation.raise()
        ring()
        thread?.wait()
        guarded {
            for instance in instances.values { forget(instance) }
            instances = [:]
        }
    }

    private func run() {
        while !guarded({ isStopping }) { turn() }
    }

    // MARK: - Messages of others

    /// Looks after another instance, whose node has been built.
    ///
    /// - Parameters:
    ///   - node: The node, where it is not in the plan.
    ///   - namespace: Its namespace, where it was not built with the others.
    /// - Throws: `ApplianceError` if the plan has no such node.
    package func add(
        application: ApplicationPlan, instance: InstancePlan, node: NodePlan? = nil, namespace: NetworkNamespace? = nil
    ) throws(ApplianceError) {
        guard let node = node ?? plan.nodes.first(where: { $0.name == instance.node }) else {
            throw ApplianceError(.failed, "there is no node '\(instance.node)' to watch", hint: nil)
        }
        act {
            if let namespace { namespaces[node.name] = namespace }
            if let old = instances[node.name] { forget(old) }
            watch(application, node)
            findLinks()
        }
    }

    /// Knows the interfaces and nodes of another plan from here on; whose instances are looked after stays.
    package func take(_ plan: AppliancePlan) { guarded { self.plan = plan } }

    /// A node, which is in somebody else's namespace, is in another one.
    package func move(node: String, to namespace: NetworkNamespace) {
        act {
            // It also forgets the former one of a node that has no checks: nothing may keep that.
            namespaces[node] = namespace
            guard let instance = instances[node] else { return }
            for check in instance.checks { check.abandon() }
            touch(instance)
        }
    }

    /// Looks after an instance no longer.
    package func remove(node: String) {
        act {
            guard let instance = instances.removeValue(forKey: node) else { return }
            forget(instance)
            namespaces[node] = nil
        }
    }

    /// The application of a node has been started.
    package func processBegan(_ node: String) {
        act(on: node) { instance, now in
            instance.condition.processBegan(at: now)
            for check in instance.checks { check.abandon() }
        }
    }

    /// It has ended; what and how, as the end of a sentence: `its application exited with status 1`.
    package func processEnded(_ node: String, summary: String) {
        act(on: node) { instance, now in
            instance.condition.processEnded(summary, at: now)
            for check in instance.checks { check.abandon() }
        }
    }

    /// It is ready.
    package func processReady(_ node: String) { act(on: node) { $0.condition.processReady(at: $1) } }

    /// True if an instance is not healthy only because one of its checks has not passed or failed yet.
    package func isUndecided(_ node: String) -> Bool {
        guarded {
            guard let cause = instances[node]?.condition.cause else { return false }
            if case .undecided = cause { return true }
            return false
        }
    }

    /// The health of every instance, by its node.
    func currentHealth() -> [String: InstanceHealth] { guarded { instances.mapValues(\.health) } }

    /// The health of one instance; nil if it is not looked after.
    package func health(of node: String) -> InstanceHealth? { guarded { instances[node]?.health } }

    // MARK: - Taking turns

    func guarded<Value>(_ body: () throws -> Value) rethrows -> Value {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return try body()
    }

    private func act(on node: String, _ body: (WatchedInstance, MonotonicTime) -> Void) {
        act {
            guard let instance = instances[node] else { return }
            body(instance, HealthClock.now)
            touch(instance)
        }
    }

    /// Does something from any thread, and lets the thread look at what follows.
    private func act(_ body: () -> Void) {
        guarded {
            body()
            settle()
        }
        tell()
        ring()
    }

    func ring() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    /// Enters the namespace of a node with the calling thread; false where that cannot be.
    func enterNamespace(of node: String) -> Bool {
        guard let namespace = namespaces[node], clinux_setns(namespace.descriptor, CLONE_NEWNET) == 0 else {
            return false
        }
        isAway = true
        return true
    }

    /// Leaves the namespaces of nodes, so that one which is taken away goes.
    func goHome() {
        guard isAway else { return }
        isAway = clinux_setns(home.descriptor, CLONE_NEWNET) != 0
    }
}
