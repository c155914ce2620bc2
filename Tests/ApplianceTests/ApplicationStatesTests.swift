import Forwarding
import Plan
import Testing
import Wire

@testable import Appliance
@testable import ControlAPI
@testable import Redundancy
@testable import Reporting

@Suite("What health and operators say of instances becomes the table")
struct ApplicationStatesTests {
    /// Two firewalls of which one works, two servers that share, and two detectors that both get every copy.
    static func states(
        minimum: Int = 1, whenDown: DownPolicy = .drop, heard: [String] = ["fw-a", "fw-b", "web-1", "web-2"]
    ) -> ApplicationStates {
        let groups = [
            InstanceGroup(
                name: "firewall", active: 1,
                members: [GroupMember(name: "fw-a", priority: 200), GroupMember(name: "fw-b")]),
            InstanceGroup(
                name: "web", minimum: minimum,
                members: [GroupMember(name: "web-1", weight: 3), GroupMember(name: "web-2")]),
            InstanceGroup(name: "ids", members: [GroupMember(name: "ids-1")]),
            InstanceGroup(name: "ids", members: [GroupMember(name: "ids-2")]),
        ]
        let applications = [
            ApplicationPlan(
                name: "firewall", origin: .line(SourcePosition(line: 1, column: 1)), redundancy: .activeStandby,
                instances: [
                    InstancePlan(node: "fw-a", group: 0, member: 0), InstancePlan(node: "fw-b", group: 0, member: 1),
                ], whenDown: whenDown, drainTime: 5000),
            ApplicationPlan(
                name: "web", origin: .line(SourcePosition(line: 2, column: 1)), redundancy: .balance,
                instances: [
                    InstancePlan(node: "web-1", group: 1, member: 0), InstancePlan(node: "web-2", group: 1, member: 1),
                ], whenDown: whenDown),
            ApplicationPlan(
                name: "ids", origin: .line(SourcePosition(line: 3, column: 1)), redundancy: .copies,
                instances: [
                    InstancePlan(node: "ids-1", group: 2, member: 0), InstancePlan(node: "ids-2", group: 3, member: 0),
                ], whenDown: .bypass),
        ]
        var states = ApplicationStates(applications: applications, groups: groups, at: moment(0))
        for node in heard { _ = states.hear(health(true), of: node, at: moment(0)) }
        return states
    }

    static func moment(_ milliseconds: Int) -> Moment {
        Moment(
            monotonic: MonotonicTime(nanoseconds: 0) + .milliseconds(1_000_000 + milliseconds),
            microseconds: 1_700_000_000_000_000 + milliseconds * 1000)
    }

    static func health(_ isHealthy: Bool, _ reason: String = "all its checks pass", suppressed: Bool = false)
        -> InstanceHealth
    {
        InstanceHealth(isHealthy: isHealthy, reason: reason, since: 0, isSuppressed: suppressed, checks: [])
    }

    private func availabilities(_ states: ApplicationStates, _ group: Int) -> [Availability] {
        states.groups[group].members.map(\.availability)
    }

    @Test("an instance that comes beside others leaves them what they have for a while, and is nobody's guest alone")
    func joins() {
        var states = Self.states()
        #expect(availabilities(states, 1) == [.up, .up], "nobody joins while nothing is served yet")
        states.isServing = true
        _ = states.hear(Self.health(false, "tcp 80 failed"), of: "web-1", at: Self.moment(0))
        _ = states.hear(Self.health(true), of: "web-1", at: Self.moment(100))
        #expect(availabilities(states, 1) == [.joining, .up])
        #expect(states.nextEnd == Self.moment(30_100).monotonic)
        // It gets what begins, and all where the other one is gone.
        #expect(states.groups[1].slots().owners.allSatisfy { $0 == 1 })
        #expect(states.groups[1].slotsForNew()?.owners.contains(0) == true)
        var alone = states
        _ = alone.hear(Self.health(false, "no"), of: "web-2", at: Self.moment(200))
        #expect(alone.groups[1].slots().owners.allSatisfy { $0 == 0 })
        _ = alone.hear(Self.health(true), of: "web-2", at: Self.moment(300))
        #expect(availabilities(alone, 1) == [.up, .joining])
        _ = states.endTimes(at: Self.moment(30_100))
        #expect(availabilities(states, 1) == [.up, .up])
        #expect(states.nextEnd == nil)
        // Put back is the same.
        _ = try? states.perform(.disable, on: "web-2", at: Self.moment(40_000))
        _ = try? states.perform(.enable, on: "web-2", at: Self.moment(41_000))
        #expect(availabilities(states, 1) == [.up, .joining])
    }

    private func kinds(_ events: [ApplianceEvent]) -> [ApplianceEvent.Kind] { events.map(\.event) }

    @Test("nothing is available before it is heard of, and the first instance brings its application up")
    func beginning() {
        var states = Self.states(heard: [])
        #expect(states.groups.allSatisfy { $0.members.allSatisfy { $0.availability == .down } })
        let events = states.hear(Self.health(true, "it is ready"), of: "fw-b", at: Self.moment(0))
        #expect(kinds(events) == [.instanceUp, .applicationUp])
        #expect(
            events[0].instance == "fw-b" && events[0].application == "firewall" && events[0].reason == "it is ready")
        #expect(availabilities(states, 0) == [.down, .up])
        #expect(states.hear(Self.health(true), of: "fw-b", at: Self.moment(0)).isEmpty)
        #expect(states.hear(Self.health(true), of: "alice", at: Self.moment(0)).isEmpty, "a node that is no instance")
    }

    @Test("an instance goes down and comes back; its application follows with its last")
    func health() {
        var states = Self.states()
        let first = states.hear(
            Self.health(false, "its application was ended by signal 9"), of: "web-1", at: Self.moment(0))
        #expect(kinds(first) == [.instanceDown])
        #expect(first[0].reason == "its application was ended by signal 9")
        #expect(availabilities(states, 1) == [.down, .up])
        let second = states.hear(Self.health(false, "its link servers is down"), of: "web-2", at: Self.moment(0))
        #expect(kinds(second) == [.instanceDown, .applicationDown])
        let why = second[1].reason ?? ""
        #expect(why.contains("none of its 2 instances is up"))
        #expect(why.contains("web-1: its application was ended by signal 9"))
        #expect(why.contains("web-2: its link servers is down"))
        #expect(why.hasSuffix("its packets are dropped"))
        #expect(
            kinds(states.hear(Self.health(true), of: "web-1", at: Self.moment(0))) == [.instanceUp, .applicationUp])
    }

    @Test("fewer than the minimum is down")
    func minimum() {
        var states = Self.states(minimum: 2)
        let events = states.hear(Self.health(false, "tcp 80 failed"), of: "web-2", at: Self.moment(0))
        #expect(kinds(events) == [.instanceDown, .applicationDown])
        #expect(events[1].reason?.hasPrefix("1 of its 2 instances is up, but it needs 2; web-2: tcp 80 failed") == true)
    }

    @Test(
        "what becomes of the packets is told, whatever the policy",
        arguments: [
            (DownPolicy.drop, "its packets are dropped"), (.spare, "its packets are dropped"),
            (.bypass, "packets bypass it"),
            (.skipRest, "packets go straight to the end of the chain"),
        ])
    func policies(_ policy: DownPolicy, _ summary: String) {
        var states = Self.states(whenDown: policy)
        _ = states.hear(Self.health(false, "no"), of: "fw-a", at: Self.moment(0))
        let events = states.hear(Self.health(false, "no"), of: "fw-b", at: Self.moment(0))
        #expect(events.last?.event == .applicationDown)
        #expect(events.last?.reason?.hasSuffix(summary) == true, "\(events)")
    }

    @Test("an application of copies is down when nobody is left to copy to")
    func copies() {
        var states = Self.states(heard: ["ids-1", "ids-2"])
        #expect(kinds(states.hear(Self.health(false, "no"), of: "ids-1", at: Self.moment(0))) == [.instanceDown])
        let events = states.hear(Self.health(false, "no"), of: "ids-2", at: Self.moment(0))
        #expect(kinds(events) == [.instanceDown, .applicationDown])
        #expect(events[1].reason?.hasSuffix("no copies are made for it") == true)
    }

    @Test("a flapping instance is told of once, and again when it may come back")
    func suppression() {
        var states = Self.states()
        #expect(kinds(states.hear(Self.health(false, "no"), of: "web-1", at: Self.moment(0))) == [.instanceDown])
        let kept = states.hear(
            Self.health(false, "it came and went 4 times", suppressed: true), of: "web-1", at: Self.moment(0))
        #expect(kinds(kept) == [.instanceSuppressed])
        #expect(
            states.hear(
                Self.health(false, "it came and went 4 times", suppressed: true), of: "web-1", at: Self.moment(0)
            ).isEmpty)
        #expect(availabilities(states, 1) == [.down, .up])
        #expect(kinds(states.hear(Self.health(true), of: "web-1", at: Self.moment(0))) == [.instanceUp])
    }

    @Test("a drain ends by the clock, and undrain takes it back")
    func drain() throws {
        var states = Self.states()
        let (events, summary) = try states.perform(.drain(for: nil), on: "fw-a", at: Self.moment(0))
        #expect(kinds(events) == [.instanceDraining])
        #expect(summary == ["fw-a: no new connections if another can take them; nothing after 5 s"])
        #expect(availabilities(states, 0) == [.draining, .up])
        #expect(states.nextEnd == Self.moment(5000).monotonic)
        #expect(states.endTimes(at: Self.moment(4999)).isEmpty)
        #expect(availabilities(states, 0) == [.draining, .up])
        let over = states.endTimes(at: Self.moment(5000))
        #expect(kinds(over) == [.instanceDrained])
        #expect(availabilities(states, 0) == [.down, .up])
        #expect(states.nextEnd == nil)
        #expect(states.endTimes(at: Self.moment(9000)).isEmpty)
        // Health never takes an operator's word back.
        let back =
            states.hear(Self.health(false, "no"), of: "fw-a", at: Self.moment(0))
            + states.hear(Self.health(true), of: "fw-a", at: Self.moment(0))
        #expect(kinds(back) == [.instanceDown, .instanceUp])
        #expect(back[1].reason?.hasSuffix("it is drained, and gets no packets") == true)
        #expect(availabilities(states, 0) == [.down, .up])
        #expect(kinds(try states.perform(.undrain, on: "fw-a", at: Self.moment(9500)).events) == [.instanceUndrained])
        #expect(availabilities(states, 0) == [.up, .up])
    }

    @Test("a drain that is asked for again takes the new time")
    func drainAgain() throws {
        var states = Self.states()
        _ = try states.perform(.drain(for: nil), on: "web-1", at: Self.moment(0))
        #expect(states.nextEnd == Self.moment(30_000).monotonic, "an application's own time by default")
        _ = try states.perform(.drain(for: Milliseconds(.milliseconds(200))), on: "web-1", at: Self.moment(1000))
        #expect(states.nextEnd == Self.moment(1200).monotonic)
        _ = try states.perform(.drain(for: Milliseconds(.milliseconds(100))), on: "web-2", at: Self.moment(1000))
        #expect(kinds(states.endTimes(at: Self.moment(1100))) == [.instanceDrained])
        #expect(kinds(states.endTimes(at: Self.moment(1200))) == [.instanceDrained, .applicationDown])
    }

    @Test("draining the only one left is allowed, and what follows is told beforehand")
    func drainingTheLast() throws {
        var states = Self.states()
        _ = states.hear(Self.health(false, "its application ended"), of: "fw-b", at: Self.moment(0))
        let (_, summary) = try states.perform(.drain(for: nil), on: "fw-a", at: Self.moment(0))
        #expect(summary.count == 2)
        #expect(summary[1].hasPrefix("firewall is down when the drain is over: none of its 2 instances is up"))
        #expect(kinds(states.endTimes(at: Self.moment(5000))) == [.instanceDrained, .applicationDown])
    }

    @Test("disabled takes effect at once, enabled takes effect with health alone")
    func takingOut() throws {
        var states = Self.states()
        #expect(kinds(try states.perform(.disable, on: "web-1", at: Self.moment(0)).events) == [.instanceDisabled])
        #expect(availabilities(states, 1) == [.down, .up])
        let again = try states.perform(.disable, on: "web-1", at: Self.moment(1))
        #expect(again.events.isEmpty && again.summary[0] == "web-1 is disabled already")
        let (events, summary) = try states.perform(.disable, on: "web-2", at: Self.moment(2))
        #expect(kinds(events) == [.instanceDisabled, .applicationDown])
        #expect(summary.count == 2)
        #expect(summary.contains { $0.hasPrefix("web is down: none of its 2 instances is up") })
        #expect(throws: ApplianceError.self) {
            try states.perform(.drain(for: Milliseconds(.milliseconds(1))), on: "web-1", at: Self.moment(3))
        }
        _ = states.hear(Self.health(false, "tcp 80 failed"), of: "web-1", at: Self.moment(0))
        let back = try states.perform(.enable, on: "web-1", at: Self.moment(4))
        #expect(kinds(back.events) == [.instanceEnabled])
        #expect(back.summary.contains("it gets no packets until it is healthy: tcp 80 failed"))
        #expect(availabilities(states, 1) == [.down, .down])
        #expect(
            kinds(states.hear(Self.health(true), of: "web-1", at: Self.moment(0))) == [.instanceUp, .applicationUp])
        #expect(availabilities(states, 1) == [.up, .down])
    }

    @Test("a weight holds until the file's holds again")
    func weights() throws {
        var states = Self.states()
        #expect(try states.perform(.setWeight(7), on: "web-1", at: Self.moment(0)).events[0].reason == "weight 7")
        #expect(states.groups[1].members.map(\.weight) == [7, 1])
        #expect(states.fileWeight(of: "web-1") == 3)
        #expect(throws: ApplianceError.self) { try states.perform(.setWeight(1001), on: "web-1", at: Self.moment(0)) }
        #expect(throws: ApplianceError.self) { try states.perform(.setWeight(-1), on: "web-1", at: Self.moment(0)) }
        _ = try states.perform(.setWeight(nil), on: "web-1", at: Self.moment(1))
        #expect(states.groups[1].members.map(\.weight) == [3, 1])
        let standby = try states.perform(.setWeight(2), on: "fw-a", at: Self.moment(2)).summary
        #expect(standby.contains { $0.contains("active-standby") })
    }

    @Test("another file keeps what has been said of those that stay")
    func adopting() throws {
        var states = Self.states()
        _ = try states.perform(.disable, on: "web-1", at: Self.moment(0))
        _ = try states.perform(.setWeight(9), on: "web-2", at: Self.moment(0))
        var (applications, groups) = (states.applications, states.fileGroups)
        // The groups stand in another order, one instance is gone, one is new.
        groups.swapAt(0, 1)
        groups[0].members.append(GroupMember(name: "web-3"))
        groups[1].members.removeFirst()
        applications[0].instances = [InstancePlan(node: "fw-b", group: 1, member: 0)]
        applications[1].instances = (0..<3).map { InstancePlan(node: "web-\($0 + 1)", group: 0, member: $0) }
        let health = ["web-2": Self.health(true), "web-3": Self.health(true), "alice": Self.health(true)]
        let events = states.adopt(applications: applications, groups: groups, health: health, at: Self.moment(5))
        #expect(kinds(events) == [.instanceUp] && events[0].instance == "web-3")
        #expect(availabilities(states, 0) == [.down, .up, .up])
        #expect(states.groups[0].members.map(\.weight) == [3, 9, 1])
        #expect(availabilities(states, 1) == [.up])
        #expect(states.instances["fw-a"] == nil)
    }

    @Test("a wrong name is answered with what there is")
    func names() {
        var states = Self.states()
        states.otherNodes = ["alice": "a customer"]
        func error(_ name: String) -> ApplianceError? {
            do throws(ApplianceError) {
                _ = try states.perform(.disable, on: name, at: Self.moment(0))
                return nil
            } catch {
                return error
            }
        }
        #expect(error("fw_a")?.hint == "did you mean 'fw-a'?")
        #expect(error("firewall")?.hint == "they are: fw-a, fw-b")
        #expect(error("alice")?.message.contains("a customer") == true)
        #expect(error("somebody-else")?.hint?.contains("fw-a, fw-b, web-1, web-2, ids-1, ids-2") == true)
        #expect(error("fw_a")?.status == .name)
        states = ApplicationStates(applications: [], groups: [], at: Self.moment(0))
        #expect(error("web")?.hint?.contains("instances") == true)
    }

    @Test("status tells states, shares and reasons")
    func report() throws {
        var states = Self.states()
        var report = states.report(at: Self.moment(0))
        #expect(report.map(\.name) == ["firewall", "web", "ids"])
        #expect(report[0].instances.map(\.state) == ["active", "standby"])
        #expect(report[0].instances.map(\.share) == [1, 0])
        #expect(abs(report[1].instances[0].share - 0.75) < 0.02)
        #expect(report[2].state == "down" && report[2].reason?.contains("never been ready") == true)
        _ = try states.perform(.drain(for: Milliseconds(.milliseconds(4000))), on: "fw-a", at: Self.moment(1000))
        _ = states.hear(Self.health(false, "flaps", suppressed: true), of: "web-1", at: Self.moment(0))
        _ = try states.perform(.disable, on: "fw-b", at: Self.moment(1000))
        report = states.report(at: Self.moment(2000))
        #expect(report[0].instances.map(\.state) == ["draining", "taken-out"])
        #expect(report[0].instances[0].drainLeft == Milliseconds(.seconds(3)))
        #expect(report[0].instances[1].since == Self.moment(1000).microseconds)
        #expect(report[1].instances.map(\.state) == ["suppressed", "active"])
        #expect(report[1].instances.map(\.share) == [0, 1])
        _ = states.endTimes(at: Self.moment(6000))
        report = states.report(at: Self.moment(6000))
        #expect(report[0].state == "down")
        #expect(report[0].instances.map(\.state) == ["drained", "taken-out"])
        #expect(report[0].instances[0].since == Self.moment(5000).microseconds)
    }
}
