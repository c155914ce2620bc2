import CLinux
import ControlAPI
import EventLoop
import Fabric
import Forwarding
import Glibc
import LinuxNetwork
import Logging
import PortMapping
import Plan
import Reporting
import Synchronization
import Wire

/// Answers what applications ask for by PCP and NAT-PMP, and has what they get planned, proved and published like any other
/// service. All of this is on a thread of its own; the engines forward requests to it as they forward other packets.
final class NegotiationKeeper: @unchecked Sendable {
    /// How often ends are looked for.
    private static let pause = Duration.milliseconds(200)
    /// How long a refusal is not told again that is like the last one, in milliseconds.
    private static let silence: UInt64 = 1000
    /// How many datagrams of one socket are answered before the next socket's turn.
    private static let burst = 32
    /// When announcements follow a loss of state, in milliseconds: packets may be lost, too.
    private static let repetition: [UInt64] = [0, 250, 750, 1750, 3750]

    private unowned let control: ControlProcess
    private let instructions: RecordInstructions
    /// An eventfd: the plan may have changed, or the end has come.
    private let bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    private let state = Mutex(State())
    private let left = RaisedFlag()

    private struct State {
        var hasBegun = false
        var isClosed = false
        var hasChanged = true
        /// Nodes whose programs have ended.
        var ended: [String] = []
        var listing = MappingListing()
    }

    // On its thread.
    private var desk = NegotiationDesk(beginning: 0)
    private var plan = NegotiationPlan(applications: [], servers: [])
    private var askers: [IPAddress: Asker] = [:]
    private var sockets: NegotiationSockets?
    private var requests: [String: Int] = [:]
    private var place = 0
    /// Mappings that ended and could not be taken out of force yet.
    private var overdue: [Mapping] = []
    /// What was told of refusals last, by application.
    private var told: [String: (reason: String, at: UInt64)] = [:]
    /// The namespaces of nodes.
    private var homes: [String: UInt64] = [:]
    /// When announcements are due, in milliseconds, the next one first.
    private var announcements: [UInt64] = []

    init(_ control: ControlProcess) {
        self.control = control
        instructions = RecordInstructions(control)
    }

    deinit { if bell >= 0 { close(bell) } }

    /// Opens the sockets. What arrives there is answered as soon as `serve` was called.
    ///
    /// - Throws: `ApplianceError` if they cannot be opened.
    func open() throws(ApplianceError) {
        desk = NegotiationDesk(beginning: Self.now)
        place = control.events.place(since: nil, count: 0)
        try follow()
    }

    /// Answers by the plan that runs, from now on.
    ///
    /// - Throws: `ApplianceError` if there is no thread.
    func serve() throws(ApplianceError) {
        let isFirst = state.withLock { state in
            defer { (state.hasBegun, state.hasChanged) = (true, true) }
            return !state.hasBegun
        }
        guard isFirst else { return ring() }
        if sockets == nil { try open() }
        do throws(ApplianceError) {
            try startThread { [self] in
                answerUntilClosed()
                left.raise()
            }
        } catch {
            left.raise()
            throw error
        }
    }

    /// A node's `run` has ended, or one of its programs has failed: what it had asked for is nobody's.
    func lose(_ node: String) {
        state.withLock { $0.ended.append(node) }
        ring()
    }

    /// Ends, and waits for that.
    func stop() {
        let hasBegun = state.withLock { state in
            state.isClosed = true
            return state.hasBegun
        }
        ring()
        if hasBegun { left.wait() }
    }

    /// What was granted.
    var listing: MappingListing { state.withLock(\.listing) }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
    }

    /// Milliseconds since the machine started.
    private static var now: UInt64 { monotonicTime().nanoseconds / 1_000_000 }

    // MARK: - On its thread

    private func answerUntilClosed() {
        announceSoon()
        tell()
        while !state.withLock(\.isClosed) {
            var polled = ([bell] + (sockets?.descriptors ?? [])).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            poll(&polled, nfds_t(polled.count), Int32(Self.pause / .milliseconds(1)))
            var count: UInt64 = 0
            _ = read(bell, &count, 8)
            let (hasChanged, ended) = state.withLock { state in
                defer { (state.hasChanged, state.ended) = (false, []) }
                return (state.hasChanged, state.ended)
            }
            if hasChanged {
                do throws(ApplianceError) { try follow() } catch { control.logger.error("\(error)") }
            }
            for node in ended { release(node) }
            hearEvents()
            end(desk.expire(at: Self.now), "nobody renewed it")
            retry()
            announceDue()
            for polled in polled.dropFirst() where polled.revents != 0 { answer(polled.fd) }
            tell()
        }
    }

    /// Takes the plan that runs: who may ask for what, and where.
    private func follow() throws(ApplianceError) {
        let (plan, records, namespaces) = control.loop.sync { [control] in
            (control.plan.negotiation, control.plan.serviceRecords, control.built?.namespaces ?? [:])
        }
        let namespace = namespaces[NegotiationPlan.node]
        // A node that was made anew has lost its programs, and one that is gone will not come back as what it was.
        let nodes = Set(self.plan.applications.flatMap(\.instances).map(\.node))
        let before = homes
        homes = namespaces.mapValues(\.identity)
        for node in nodes where before[node] != nil && before[node] != homes[node] { release(node) }
        self.plan = plan ?? NegotiationPlan(applications: [], servers: [])
        askers = [:]
        for application in self.plan.applications {
            for instance in application.instances {
                for address in instance.addresses {
                    askers[address] = Asker(application: application.name, node: instance.node, address: address)
                }
            }
        }
        lose(desk.adopt(self.plan.applications.map(NegotiationRules.init)), "the file does not allow it any more")
        // What the file left no room for is not in force.
        let inForce = Set(records.map(\.id))
        let aside = desk.mappings.values.filter { !inForce.contains($0.recordID) }
        lose(desk.forget(aside.map(\.key)), "the file leaves no room for it")
        guard let namespace, !self.plan.servers.isEmpty else { return sockets = nil }
        if let sockets, sockets.namespace == namespace.identity, sockets.servers == self.plan.servers { return }
        sockets = nil
        do throws(SystemError) {
            sockets = try NegotiationSockets(self.plan.servers, port: NegotiationPlan.port, in: namespace)
        } catch { throw ApplianceError(.failed, "requests for mappings cannot be answered: \(error)") }
    }

    /// Tells all that may ask that something was lost, several times from now on: the epoch has started anew. A program that does
    /// not hear it asks again when its mapping ends.
    private func announceSoon() { announcements = Self.repetition.map { Self.now + $0 } }

    /// Announces where it is due: to all hosts by PCP (RFC 6887, 14.1), and to each application by NAT-PMP (RFC 6886, 3.2.1), since
    /// the address that such an announcement names is the application's own.
    private func announceDue() {
        guard let due = announcements.first, due <= Self.now, let sockets else { return }
        announcements.removeFirst()
        let epoch = desk.epoch(at: Self.now)
        for (server, descriptor) in zip(sockets.servers, sockets.descriptors) {
            sockets.send(
                PCPMessage.announcement(epoch: epoch), from: descriptor, to: NegotiationPlan.hosts(server.family),
                port: PCPMessage.clientPort)
            guard server.family == .ipv4 else { continue }
            for asker in askers.values where asker.address.family == .ipv4 {
                guard let address = desk.rules[asker.application]?.addresses.first(where: { $0.family == .ipv4 })
                else { continue }
                sockets.send(
                    NATPMPMessage.externalAddress(address, epoch: epoch), from: descriptor, to: asker.address,
                    port: PCPMessage.clientPort)
            }
        }
    }

    private func answer(_ descriptor: Int32) {
        guard let sockets else { return }
        for _ in 0..<Self.burst {
            guard let (datagram, sender, port) = sockets.read(descriptor) else { return }
            // The table lets nobody else's packets through; its own node may try.
            guard let asker = askers[sender] else {
                requests["not from an application", default: 0] += 1
                continue
            }
            let known = desk.mappings
            let outcome = desk.answer(
                datagram, from: asker, at: Self.now, office: NegotiationOffice(control, instructions, plan, known))
            requests[outcome.result?.name ?? outcome.drop?.rawValue ?? "", default: 0] += 1
            if let answer = outcome.answer { sockets.send(answer, from: descriptor, to: sender, port: port) }
            report(outcome, asker, known)
        }
    }

    private func report(_ outcome: NegotiationOutcome, _ asker: Asker, _ known: [Mapping.Key: Mapping]) {
        if let result = outcome.result, result != .success {
            let reason = result.name + (outcome.reason.map { ": \($0)" } ?? "")
            // A program that repeats itself fills no log.
            if let last = told[asker.application], last.reason == reason, Self.now < last.at + Self.silence { return }
            told[asker.application] = (reason, Self.now)
            control.happened(
                ApplianceEvent(
                    .mappingRefused, application: asker.application, instance: asker.node, reason: reason))
        } else if let mapping = outcome.mapping {
            let isThere = desk.mappings[mapping.key] != nil
            switch (known[mapping.key] != nil, isThere) {
            case (false, true):
                control.happened(
                    ApplianceEvent(
                        .mappingGranted, application: asker.application, instance: asker.node, reason: mapping.text))
            case (true, false):
                control.happened(
                    ApplianceEvent(
                        .mappingEnded, application: asker.application, instance: asker.node,
                        reason: "\(mapping.text): it ended it"))
            default: break
            }
        }
    }

    /// Takes mappings out of force that their owners still believe in: the epoch starts anew.
    private func lose(_ gone: [Mapping], _ why: String) {
        guard !gone.isEmpty else { return }
        end(gone, why)
        desk.beginAnew(at: Self.now)
        announceSoon()
    }

    /// Takes mappings out of force that are not in the desk any more.
    private func end(_ gone: [Mapping], _ why: String) {
        guard !gone.isEmpty else { return }
        if let trouble = NegotiationOffice(control, instructions, plan, desk.mappings).remove(gone) {
            control.logger.error("mappings that ended are in force still: \(trouble)")
            overdue += gone
        }
        for mapping in gone {
            control.happened(
                ApplianceEvent(
                    .mappingEnded, application: mapping.key.application, instance: mapping.holders.first?.node,
                    reason: "\(mapping.text): \(why)"))
        }
    }

    /// Takes out of force what could not be before, unless somebody has got it again.
    private func retry() {
        let due = overdue.filter { desk.mappings[$0.key] == nil }
        overdue = []
        guard !due.isEmpty, NegotiationOffice(control, instructions, plan, desk.mappings).remove(due) != nil else {
            return
        }
        overdue = due
    }

    /// An instance that is down, or was taken out, loses what it got.
    private func hearEvents() {
        for event in control.events.read(&place) {
            switch event.event {
            case .instanceDown, .instanceDisabled: if let node = event.instance { release(node) }
            case .instanceAdded, .instanceRemoved: state.withLock { $0.hasChanged = true }
            default: break
            }
        }
    }

    /// Takes away what a node got; an instance that works on takes it over.
    private func release(_ node: String) {
        guard let application = plan.applications.first(where: { $0.instances.contains { $0.node == node } })
        else { return }
        lose(desk.lose(node: node, heir: heir(of: node, in: application)), "\(node) does not work any more")
    }

    /// The instance that works on: one that takes its share, else one that has just come, else one that goes.
    private func heir(of node: String, in application: NegotiationPlan.Application) -> Asker? {
        let states = control.loop.sync { [control] in
            let planned = control.plan.applications.first { $0.name == application.name }?.instances ?? []
            return planned.map { ($0.node, control.table.groups[$0.group].members[$0.member].availability) }
        }
        let standing = Dictionary(states) { first, _ in first }
        for availability in [Availability.up, .joining, .draining] {
            let heir = application.instances.first { $0.node != node && standing[$0.node] == availability }
            if let heir { return heir.addresses.first.flatMap { askers[$0] } }
        }
        return nil
    }

    private func tell() {
        var listing = MappingListing()
        let now = Self.now / 1000
        listing.mappings = desk.mappings.values.sorted().map { mapping in
            MappingListing.Mapping(
                application: mapping.key.application, nodes: mapping.holders.map(\.node),
                serviceAddress: "\(mapping.address)", servicePort: mapping.portText,
                port: Int(mapping.key.internalPort),
                filters: mapping.filters.map(\.text), expires: Int(mapping.end - min(now, mapping.end)),
                service: mapping.recordID)
        }
        listing.requests = requests
        listing.epoch = Int(desk.epoch(at: Self.now))
        state.withLock { $0.listing = listing }
    }
}
