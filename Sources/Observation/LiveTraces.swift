import ApplianceClient
import ControlAPI
import Engine
import EventLoop
import Glibc
import Reporting
import Tracing
import Wire

/// The traces of a running topology that one person wants, as packets end.
package final class LiveTraces {
    /// What to follow.
    package struct Options: Sendable {
        /// Which traces are shown.
        package var selection: TraceSelection
        /// A filter in the language of pcap-filter; nil for every packet.
        package var filter: String?
        /// One flow in this many.
        package var oneIn: Int
        /// Whether nftables in the nodes is asked which rule dropped a packet.
        package var explains: Bool
        /// The limits of the tracer.
        package var limits: PacketTracer.Limits
        /// What engines copy.
        package var scope: TraceScope
        /// The option that named the sender.
        package var senderOption: String

        /// Memberwise.
        package init(
            selection: TraceSelection = TraceSelection(), filter: String? = nil, oneIn: Int = 1,
            explains: Bool = false, limits: PacketTracer.Limits = PacketTracer.Limits(),
            scope: TraceScope = .byLoad, senderOption: String = "--from"
        ) {
            self.selection = selection
            self.filter = filter
            self.oneIn = oneIn
            self.explains = explains
            self.limits = limits
            self.scope = scope
            self.senderOption = senderOption
        }
    }

    /// The topology's parts.
    package private(set) var network: TracedNetwork
    private let client: ApplianceClient
    private var frames: LiveFrames
    private var session: TraceSession
    private let rules: NodeRules?
    /// True if engines copy only what the filter matches, because the topology is busy.
    private var isNarrow: Bool
    /// What engines are asked for if the topology becomes too busy for everything; nil if there is no filter.
    private var narrower: CaptureRequest?
    /// Records that were lost until then.
    private var lostBefore: UInt64 = 0
    private var untold: [String] = []
    private var hasToldBehind = false
    /// Records that came before the end, and for which there was no time.
    private var unread: UInt64 = 0
    /// True when the topology has gone.
    package private(set) var isOver = false

    /// The octets of each frame that tell a packet from all others: headers, and the payload's first octets.
    private static let snapLength = 256

    /// How long records are followed at the end.
    private static let longestEnd = Duration.seconds(2)
    /// How far behind the packets nft may be with what it reports.
    private static let ruleDelay = Duration.seconds(1)

    /// The fault of a filter; if its first word is a node, with how to select by that.
    private static func naming(_ filter: String?, _ network: TracedNetwork, _ error: ApplianceError) -> ApplianceError {
        guard let word = filter?.split(whereSeparator: \.isWhitespace).first.map(String.init),
            network.node(named: word) != nil
        else { return error }
        return ApplianceError(
            error.status, error.message, hint: "'\(word)' is a node: select by it with --from or --via",
            details: error.details)
    }

    /// Begins to follow packets.
    ///
    /// - Throws: `ApplianceError` if no such topology runs, if the filter does not compile, or if the selection names
    ///   what the topology does not have.
    package init(_ client: ApplianceClient, _ options: Options) throws(ApplianceError) {
        self.client = client
        let network = TracedNetwork(try client.description(entries: true))
        self.network = network
        let problems = options.selection.problems(in: network, sender: options.senderOption)
        if let first = problems.first {
            throw ApplianceError(.usage, first, details: Array(problems.dropFirst()))
        }
        // What a person wrote is judged by itself first: so the message names their words.
        let written: FrameMatch?
        do throws(ApplianceError) { written = try FrameMatch(options.filter) } catch {
            throw Self.naming(options.filter, network, error)
        }
        var request = CaptureRequest(
            oneIn: options.oneIn > 1 ? options.oneIn : nil, snapLength: Self.snapLength)
        let scope = try options.scope.decided(client, oneIn: options.oneIn)
        let narrow = TraceFilter.whole(options.filter, TraceFilter.expression(options.selection, network), network)
        var narrowed = request
        try narrowed.match(narrow)
        try request.match(scope == .everything ? TraceFilter.wide(options.filter) : narrow)
        isNarrow = scope == .busy && narrow != nil
        if options.scope == .byLoad, scope == .everything, narrow != nil { narrower = narrowed }
        // Marks come first: no packet is followed that they miss.
        rules =
            options.explains
            ? try NodeRules(
                client, network, matches: RuleMark.matches(options.filter, options.selection, network)) : nil
        frames = try LiveFrames(client, request, isPaced: true)
        session = TraceSession(
            options.selection, limits: options.limits,
            wants: written.map { match in { match.matches($0) } })
        session.blindness = isNarrow ? .filter : options.oneIn > 1 ? .sample : nil
        if let rules { session.rules = RuleTraces(nodes: rules.nodes) }
        untold = (isNarrow ? [Self.busy] : []) + (rules?.remarks ?? [])
        try take(frames.table)
    }

    private static let behind =
        "packets come faster than they can be followed: short spans of time are followed whole, and the records between them "
        + "count as lost, so that the trace holds up nobody; a filter or --sample 1/64 follows less"
    private static let busy =
        "the topology is too busy to follow every packet: the filter is tried at every hop, and a packet that an "
        + "application changes so that it does not match any more is followed to there"

    /// Removes and returns what a person should know now: where drops are not explained, and what cannot be followed.
    package func takeRemarks() -> [String] {
        defer { untold = [] }
        return untold
    }

    /// Where engines copy faster than this reader reads, has them copy only what the filter matches from now on.
    private func narrowIfBehind() throws(ApplianceError) {
        guard let request = narrower, frames.lost > 0 else { return }
        narrower = nil
        let next = try LiveFrames(client, request, isPaced: true)
        lostBefore &+= frames.lost
        frames = next
        session.missed(before: .now)
        session.blindness = .filter
        isNarrow = true
        untold.append(Self.busy)
        try take(frames.table, isNamedAnew: true)
    }

    private func tellIfBehind() {
        guard frames.isBehind, !hasToldBehind else { return }
        hasToldBehind = true
        untold.append(Self.behind)
    }

    /// True if as many packets as were asked for have been shown; only answers may follow.
    package var isFull: Bool { session.isFull }

    /// The summary of the traces so far.
    package var report: TraceSummaryReport {
        var report = session.report
        report.counts.lost = max(report.counts.lost, lostBefore &+ frames.lost) + unread
        return report
    }

    /// The traces that ended by now.
    ///
    /// - Parameter time: How long to wait while no frame comes.
    /// - Throws: `ApplianceError` if the control process answers with an error.
    package func next(within time: Duration) throws(ApplianceError) -> [PacketTrace] {
        switch try frames.next(within: time) {
        case .frames(let frames):
            for frame in frames { session.add(frame) }
            try narrowIfBehind()
            tellIfBehind()
        case .table(let image, let isNamedAnew): try take(image, isNamedAnew: isNamedAnew)
        case .end:
            isOver = true
            session.finish()
        }
        // Not by the clock: where this reader is behind, what became of a packet is still to be read. On a busy machine nft is
        // behind, too: a packet is given up only when nft has had its time.
        if !isOver { session.advance(to: rules == nil ? frames.horizon : frames.horizon + (.zero - Self.ruleDelay)) }
        readRules()
        return session.takeTraces()
    }

    /// Ends every trace with what is known now.
    package func finish() -> [PacketTrace] {
        // What was captured by now belongs to it, however far behind this reader is.
        let end = monotonicTime()
        while case .table(let image, let isNamedAnew)? = try? frames.news(within: .zero) {
            try? take(image, isNamedAnew: isNamedAnew)
        }
        // A ring is not believed: it may say that frames of old times come for ever.
        while !isOver, monotonicTime() < end + Self.longestEnd * 5 {
            let rest = frames.rest(before: end)
            if rest.isEmpty { break }
            guard monotonicTime() < end + Self.longestEnd else {
                unread += UInt64(rest.count)
                continue
            }
            for frame in rest { session.add(frame) }
        }
        if unread > 0 { session.missed(before: end) }
        // nft may be a little behind.
        if rules != nil { usleep(300_000) }
        readRules()
        session.finish()
        return session.takeTraces()
    }

    private func readRules() {
        guard let rules, session.rules != nil else { return }
        rules.read(into: &session.rules!)
    }

    private func take(_ image: TableImage, isNamedAnew: Bool = false) throws(ApplianceError) {
        if isNamedAnew { network = TracedNetwork(try client.description(entries: true)) }
        do { try session.take(image, network: network) } catch {
            throw ApplianceError(.failed, "the table of the engines cannot be read: \(error)")
        }
    }
}
