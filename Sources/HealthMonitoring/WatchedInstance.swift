import ControlAPI
import EventLoop
import Health
import Nodes
import Plan
import Reporting
import Wire

/// The two clocks of health.
enum HealthClock {
    /// It never steps back.
    static var now: MonotonicTime { monotonicTime() }
    /// Microseconds since 1970.
    static var wall: Int { wallClockMicroseconds() }
}

/// A leg of an instance as its probes see it.
struct WatchedLeg {
    /// The interface's name, for a person.
    let name: String
    /// The end of its veth in the fabric; nil if there is none, and nothing can be seen.
    let fabricDevice: String?
    /// Where it is behind a tunnel: what frames look like there. The device is that of the next hop to the far end.
    let tunnel: Tunnel?
    /// The number of that end now; nil while there is none.
    var device: Int32?
    /// The leg's own MAC address, and its addresses.
    let mac: MACAddress
    let addresses: [InterfaceAddress]
    /// The Ethernet destination and source of frames that the engine sends in here.
    let inward: (destination: MACAddress, source: MACAddress)
    /// The node's next hops here, which are addresses of the engine; none if it is transparent.
    let engine: [IPAddress]

    /// The address that it is asked by where the file names none: `NodePlan.probedAddress`.
    var probed: IPAddress {
        let own = addresses.map(\.address)
        return own.first { $0.family == .ipv4 } ?? own.first ?? HealthMonitor.linkLocal(mac)
    }
}

/// One check of an instance: what it looks at, and what it saw last.
final class WatchedCheck {
    let plan: HealthCheckPlan
    let index: Int
    unowned let instance: WatchedInstance
    /// By which the queue and the probes know it.
    let slot: Int
    let identity: UInt64
    /// The packet of a heartbeat or an echo.
    let shape: ProbeShape?
    /// The time at which the queue has it.
    var queuedAt: MonotonicTime?
    /// Set while it waits to be looked at again in this turn of the loop.
    var isTouched = false

    // The answer that it saw.
    var last: String?
    /// The reason of its last failure, even if a probe of the same moment saw another one.
    var lastFailure: String?
    /// The duration of the last probe.
    var took: Duration?
    /// The heartbeats under way, by their numbers.
    var paths: [UInt64: HeartbeatPath] = [:]
    /// How far the last heartbeat that failed had come.
    var lastPath: HeartbeatPath?
    /// The connection under way.
    var connection: (any OpenProbe)?
    /// Looks into the log or for a file of the node.
    var inquiry: NodeInquiry?
    /// The command under way, even if its time is over and it has not ended.
    var command: UInt64?

    init(
        _ plan: HealthCheckPlan, index: Int, instance: WatchedInstance, slot: Int, identity: UInt64, shape: ProbeShape?
    ) {
        self.plan = plan
        self.index = index
        self.instance = instance
        self.slot = slot
        self.identity = identity
        self.shape = shape
    }

    var state: CheckState { instance.condition.checks[index] }

    /// Forgets what is under way.
    func abandon() {
        paths = [:]
        connection = nil
    }
}

/// One instance that is looked after.
final class WatchedInstance {
    let application: String
    let node: NodePlan
    let slot: Int
    var condition: InstanceCondition
    var legs: [WatchedLeg]
    var checks: [WatchedCheck] = []
    /// The time at which the queue has it.
    var queuedAt: MonotonicTime?
    var isTouched = false
    /// The last report.
    var reported: (isHealthy: Bool, isSuppressed: Bool) = (false, false)
    /// When `told.isHealthy` changed last, since 1970.
    var since = HealthClock.wall
    /// When the engine's addresses were announced to it last.
    var announced = MonotonicTime(nanoseconds: 0)
    /// False if it may not have heard of them.
    var isIntroduced = false

    init(_ application: ApplicationPlan, node: NodePlan, slot: Int, legs: [WatchedLeg], condition: InstanceCondition) {
        self.application = application.name
        self.node = node
        self.slot = slot
        self.legs = legs
        self.condition = condition
    }

    /// True for one whose frames pass through as they are.
    var isTransparent: Bool { node.legs.count == 2 && !node.legs[0].deliverToo.isEmpty }

    /// The health for reports.
    var health: InstanceHealth {
        InstanceHealth(
            isHealthy: condition.isHealthy, reason: reason, since: since, isSuppressed: condition.isSuppressed,
            checks: checks.map { check in
                InstanceHealth.Check(
                    name: check.plan.name, isPassed: check.state.verdict == .passed, made: check.state.made,
                    failed: check.state.failed, last: check.last,
                    microseconds: check.took.map { Int($0.wholeMicroseconds) })
            })
    }

    /// Why it may or may not take packets.
    private var reason: String {
        switch condition.cause {
        case .healthy: checks.isEmpty ? "there is no problem" : "all its checks pass"
        case .processStarting: "its application is starting"
        case .processEnded(let summary): summary
        case .link(let leg, let why): "its link to \(legs[leg].name) \(why)"
        case .check(let index):
            "\(checks[index].plan.name): \(checks[index].lastFailure ?? checks[index].last ?? "failed")"
        case .undecided(let index): "\(checks[index].plan.name) has not passed yet"
        case .suppressed: "it went up and down too often, and gets no packets until it is stable"
        }
    }
}
