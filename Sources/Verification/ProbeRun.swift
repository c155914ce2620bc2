import ApplianceClient
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Nodes
import Observation
import Plan
import Reporting
import Synchronization
import Tracing
import Wire

/// Sends the packets of a train and follows each of them, beside the check's own thread.
final class ProbeRun: Sendable {
    /// What is known until now.
    private struct State {
        var measures: ProbeMeasures
        /// The packets by their marks.
        var numbers: [UInt64: Int] = [:]
        /// The packets by their traces, and the answers that came before the end of what they answer.
        var traced: [UInt64: Int] = [:]
        var early: [(trace: UInt64, what: String, time: UInt64?)] = []
        /// When something was taken last.
        var lastNews = monotonicTime()
        /// Packets that the kernel did not send, and the first reason.
        var refused = 0
        var refusal: SystemError?
        var lostRecords: UInt64 = 0
        var evicted: UInt64 = 0
        var failure: ApplianceError?
    }

    /// How it came out.
    struct Outcome {
        var measures: ProbeMeasures
        /// Packets that the kernel of the sender refused; they count as lost.
        var refused: Int
        var refusal: SystemError?
        /// Records that were lost, and packets that were given up, because too many came.
        var lostRecords: UInt64
        /// True if the most packets were sent before the end was asked for.
        var isCutOff: Bool

        /// True if nothing is missing that could have been seen.
        var isWhole: Bool { lostRecords == 0 }
    }

    private let train: ProbeTrain
    private let count: Int?
    private let state: Mutex<State>
    private let sending = RaisedFlag()
    private let stopSending = RaisedFlag()
    private let stopFollowing = RaisedFlag()
    private let following = RaisedFlag()
    private let cancellation: Cancellation

    /// How long nothing may come until everything is thought to have come.
    private static let settling = Duration.milliseconds(150)
    /// How much later than others the records of an engine may come that gets no processor.
    private static let reorder = Duration.milliseconds(100)
    /// How often it is looked whether there is something.
    private static let pause = Duration.milliseconds(5)

    /// Begins to follow, then to send.
    ///
    /// - Parameters:
    ///   - count: How many packets are sent; nil: until `finish`.
    ///   - stay: How long a packet may be inside a node until it counts as lost there.
    /// - Throws: `ApplianceError` if the records of the engines cannot be had, or the sender's node not be entered.
    init(_ plan: ProbeTrainPlan, count: Int?, stay: Duration, _ sources: CheckSources) throws(ApplianceError) {
        train = ProbeTrain(plan, count: count)
        self.count = count
        cancellation = sources.cancellation
        state = Mutex(State(measures: ProbeMeasures(interval: plan.interval, mostPaths: PathPlan.mostPaths)))
        let namespace = try sources.node(plan.packet.from).namespace
        let socket: RawSocket
        do throws(SystemError) { socket = try RawSocket(in: namespace, plan.packet.destination.family) } catch {
            throw ApplianceError(.failed, "\(plan.packet.from): \(error)")
        }
        let limits = PacketTracer.Limits(stay: stay, reorder: Self.reorder, open: 1 << 17)
        let options = LiveTraces.Options(filter: train.filter, limits: limits, scope: .matching)
        let traces = Box(try LiveTraces(ApplianceClient(name: sources.directory.name), options))
        try startThread { [self] in
            follow(traces.value)
            following.raise()
        }
        let carried = Box(SharedSocket(socket))
        do throws(ApplianceError) {
            try startThread { [self] in
                send(carried.value.socket)
                sending.raise()
            }
        } catch {
            stopFollowing.raise()
            throw error
        }
    }

    private final class SharedSocket: Sendable {
        let socket: RawSocket
        init(_ socket: consuming RawSocket) { self.socket = socket }
    }

    // MARK: - Sending

    /// Sends at the rate. A sender that is late goes on from then: packets that follow each other closely would meet queues
    /// that those before have filled, and other processors. A part of the interval makes up for the grain of timers.
    private func send(_ socket: borrowing RawSocket) {
        let plan = train.plan
        let interval = Duration.nanoseconds(Int64(plan.interval))
        let grain = interval / 4
        var next = monotonicTime()
        var number = 0
        while number < count ?? OutagePlan.mostPackets, !cancellation.isRaised {
            let left = next - monotonicTime()
            if left > .zero {
                if stopSending.wait(atMost: left) { return }
            } else if stopSending.wait(atMost: .zero) {
                return
            }
            let octets = train.octets(of: number)
            let mark = train.mark(of: number)
            // Noted first: the trace may come before the call returns.
            state.withLock { state in
                state.numbers[mark] = number
                state.measures.send(flow: train.flow(of: number), at: monotonicTime().nanoseconds)
            }
            do throws(SystemError) { try socket.send(octets, to: plan.packet.destination) } catch {
                let isFirst = state.withLock { state in
                    state.refused += 1
                    if state.refusal == nil { state.refusal = error }
                    return state.refused == number + 1
                }
                // One that cannot send at all need not be waited for.
                if isFirst, count != nil { return }
            }
            number += 1
            next = max(next + interval, monotonicTime() + (.zero - grain))
        }
    }

    // MARK: - Following

    private func follow(_ traces: LiveTraces) {
        do throws(ApplianceError) {
            while !stopFollowing.wait(atMost: .zero), !traces.isOver {
                take(try traces.next(within: Self.pause))
            }
        } catch {
            state.withLock { $0.failure = error }
        }
        take(traces.finish())
        let counts = traces.report.counts
        state.withLock { state in
            state.lostRecords = counts.lost
            state.evicted = counts.evicted
        }
    }

    private func take(_ traces: [PacketTrace]) {
        guard !traces.isEmpty else { return }
        state.withLock { state in
            for trace in traces where take(trace, &state) { state.lastNews = monotonicTime() }
        }
    }

    /// - Returns: True if the trace has to do with the packets.
    private func take(_ trace: PacketTrace, _ state: inout State) -> Bool {
        let packet = train.plan.packet
        let number = train.mark(of: trace).flatMap { state.numbers[$0] }
        let isBack = trace.packet.destination != packet.destination.description && trace.end.node == packet.from
        if let number, !isBack {
            if trace.beginning == .duplicate {
                state.measures.repeats(trace)
            } else if trace.from == packet.from {
                state.traced[trace.id] = number
                state.measures.end(trace, of: number)
                let early = state.early.filter { $0.trace == trace.id }
                state.early.removeAll { $0.trace == trace.id }
                for answer in early { state.measures.answer(answer.what, to: number, at: answer.time) }
            } else {
                state.measures.goOn(trace, of: number)
            }
            return true
        }
        guard isBack, trace.beginning != .duplicate else { return false }
        let isRefusal = trace.packet.isRefusal
        let time = isRefusal ? nil : trace.began + (trace.end.at ?? trace.took)
        // An echo carries what was asked, so it names its question; others are told by the tracer.
        if let number {
            state.measures.answer(trace.packet.kind, to: number, at: time)
        } else if let question = trace.answers, train.plan.packet.protocolNumber == IPProtocol.tcp || isRefusal {
            if let number = state.traced[question.trace] {
                state.measures.answer(trace.packet.kind, to: number, at: time)
            } else {
                state.early.append((question.trace, trace.packet.kind, time))
            }
        } else {
            return false
        }
        return true
    }

    // MARK: - Ending

    /// How many packets were sent until now.
    var sent: Int { state.withLock { $0.measures.sent } }

    /// Why nothing can be followed any more; nil while it can.
    var failure: ApplianceError? { state.withLock { $0.failure } }

    /// True if all packets are sent.
    func waitForSending(atMost time: Duration) -> Bool { sending.wait(atMost: time) }

    /// Ends the sending, and waits until the fate of every packet is known, or for `timeout`.
    func finish(timeout: Duration) throws(ApplianceError) -> Outcome {
        let isCutOff = count == nil && sending.wait(atMost: .zero)
        stopSending.raise()
        sending.wait()
        let deadline = monotonicTime() + timeout
        while !cancellation.isRaised, monotonicTime() < deadline {
            let isDone = state.withLock { state in
                let isKnown = state.measures.known + state.refused >= state.measures.sent
                return state.failure != nil || (isKnown && monotonicTime() - state.lastNews >= Self.settling)
            }
            if isDone { break }
            cancellation.sleep(Self.pause)
        }
        stopFollowing.raise()
        following.wait()
        try cancellation.check()
        return try state.withLock { state throws(ApplianceError) in
            if let failure = state.failure { throw failure }
            return Outcome(
                measures: state.measures, refused: state.refused, refusal: state.refusal,
                lostRecords: state.lostRecords + state.evicted, isCutOff: isCutOff)
        }
    }

    /// Ends everything at once; nothing is measured.
    func abandon() {
        stopSending.raise()
        stopFollowing.raise()
        sending.wait()
        following.wait()
    }
}
