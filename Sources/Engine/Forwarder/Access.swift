import Forwarding
import Wire

// Access lists: before a copy is sent to an application, the application's lists judge the packet.

extension Forwarder {
    /// Whether the lists of an access point let the packet at hand pass. Counts for their rules. A denied packet is counted, and
    /// its sender is told as the rule says.
    ///
    /// A packet that waited for a neighbour was counted before. It is judged again, because the table may have changed.
    ///
    /// - Parameters:
    ///   - access: The access point, at least 1.
    ///   - target: Where the copy would go.
    mutating func passes(
        _ frame: ReceivedFrame, _ entry: EntryRecord, _ access: Int, _ target: TargetRecord, from interface: Int,
        _ sender: Sender, _ errorSent: inout Bool, into writes: inout WriteList
    ) -> Bool {
        let packet = AccessPacket(fields, rewriteSource: entry.rewriteSource)
        let verdict = table.judge(packet.shifted(entry.direction.portSide, by: entry.outerShift), at: access)
        if only == nil || verdict.denial != nil {
            count(verdict, packets: packets, octets: fields.packetLength)
        }
        guard let denial = verdict.denial else { return true }
        counters.countDrop(.accessDenied, packets)
        lastDenial = verdict.denyingCounter
        if counters.isUnnoted(.accessDenied, at: now) {
            seen = Seen(ethernet: true, source: fields.flow.source, destination: fields.flow.destination)
            noteDrop(.accessDenied, on: interface)
        }
        // A copy never causes an error.
        if !errorSent, target.system != .passiveApplication {
            tell(denial, about: frame, to: interface, sender, into: &writes)
            errorSent = true
        }
        return false
    }

    /// Counts packets of one flow for the rules that decided about them.
    ///
    /// - Parameter octets: Of network packets, as nftables counts them.
    @inline(__always)
    func count(_ verdict: AccessVerdict, packets: Int, octets: Int) {
        counters.countRule(verdict.counters.first, packets: packets, bytes: octets)
        counters.countRule(verdict.counters.second, packets: packets, bytes: octets)
    }
}

/// The verdicts of access lists about the packet of the fast path at hand, one for each copy that is judged. Its memory is allocated
/// once.
struct AccessVerdicts: ~Copyable {
    private let verdicts: UnsafeMutablePointer<AccessVerdict>
    private var count = 0

    init() {
        verdicts = .allocate(capacity: CopyPlan.mostCopies)
        verdicts.initialize(repeating: AccessVerdict(), count: CopyPlan.mostCopies)
    }

    deinit { verdicts.deallocate() }

    /// Judges a packet by every access point that its copies go to.
    ///
    /// - Returns: False if a copy is denied.
    @inline(never)
    mutating func judge(
        _ flow: FlowFields, _ plan: UnsafeMutablePointer<CopyPlan>, _ copies: UnsafeMutablePointer<FastPathCopy>,
        by table: borrowing Snapshot
    ) -> Bool {
        count = 0
        let packet = AccessPacket(
            source: plan.pointee.rewritesSource ? plan.pointee.source : flow.source, destination: flow.destination,
            protocolNumber: flow.protocolNumber,
            upper: .ports(source: flow.sourcePort, destination: flow.destinationPort)
        ).shifted(plan.pointee.portSide, by: plan.pointee.outerShift)
        for index in 0..<plan.pointee.count where copies[index].access != 0 {
            let verdict = table.judge(packet, at: copies[index].access)
            guard verdict.denial == nil else { return false }
            verdicts[count] = verdict
            count &+= 1
        }
        return true
    }

    /// Counts packets of the flow that was judged last.
    ///
    /// - Parameter octets: Of their network packets.
    @inline(never)
    func count(packets: Int, octets: Int, in counters: CounterBlock) {
        for index in 0..<count {
            let (first, second) = verdicts[index].counters
            counters.countRule(first, packets: packets, bytes: octets)
            counters.countRule(second, packets: packets, bytes: octets)
        }
    }
}
