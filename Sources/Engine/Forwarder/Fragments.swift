import Forwarding
import Wire

// Fragments to an address whose services lead to different applications by port. The first fragment of a datagram has
// the ports, and decides for the others. All other fragments are decided by their addresses alone.

extension Forwarder {
    /// What the table says about the packet at hand, which is from `sender`.
    ///
    /// - Returns: nil for a fragment that cannot be decided before the first one comes.
    mutating func decide(from sender: Sender, on interface: Int) -> Decision? {
        guard fields.fragment != .whole, IPProtocol.hasPorts(fields.flow.protocolNumber) else {
            return table.decide(fields.lookupFlow, from: sender, receivedInterface: interface)
        }
        switch table.decideFragment(fields.flow, from: sender, receivedInterface: interface) {
        case .alike(let decision): return decision
        case .byPorts: break
        }
        let key = DatagramKey(fields, on: interface)
        var flow = fields.flow
        if let ports = fields.firstPorts {
            (flow.sourcePort, flow.destinationPort) = ports
            datagrams.note(
                key, for: account(on: interface).tag, sourcePort: ports.source, destinationPort: ports.destination,
                now: now)
        } else if let ports = datagrams.ports(of: key, now: now) {
            (flow.sourcePort, flow.destinationPort) = ports
        } else {
            return nil
        }
        flow.hasPorts = true
        return table.decide(flow, from: sender, receivedInterface: interface)
    }

    /// Keeps a fragment until the first one of its datagram comes.
    ///
    /// - Returns: Why it is dropped; nil if it waits.
    mutating func hold(_ frame: ReceivedFrame, on interface: Int) -> DropReason? {
        switch held.keep(frame, DatagramKey(fields, on: interface), for: account(on: interface), now: now) {
        case .kept: return nil
        case .replaced:
            counters.countDrop(.fragmentUndecided)
            return nil
        case .refused: return .fragmentUndecided
        }
    }

    /// Forwards the fragments whose first one has come, in the order of arrival, and drops fragments that have waited
    /// too long.
    mutating func retryHeld(into writes: inout WriteList) {
        var number: UInt64 = 0
        while let index = held.next(after: number) {
            guard writes.isComfortable else { return }
            let slot = held.slots[index]
            number = slot.number
            let isOver = now &- min(now, slot.time) >= HeldFragments.patience
            guard isOver || datagrams.ports(of: slot.key, now: now) != nil else { continue }
            held.leave(index)
            only = nil
            frameNumber &+= 1
            let frame = held.frame(index)
            guard readAgain(frame) else { continue }
            let interface = slot.key.interface
            let sender = table.sender(of: fields.sourceMAC, on: interface)
            switch decide(from: sender, on: interface) {
            case .forward(let entry)?:
                let entry = table.entry(entry)
                counters.countEntry(entry.counter, packets: packets, bytes: frame.length &- Self.frameOffset)
                copyAll(frame, entry, from: interface, sender: sender, into: &writes)
            case .drop(let reason, _)?: drop(reason, on: interface)
            case nil: drop(.fragmentUndecided, on: interface)
            }
        }
    }

    private mutating func drop(_ reason: DropReason, on interface: Int) {
        counters.countDrop(reason, packets)
        counters.countReceiveDrop(interface, packets)
        seen = Seen(ethernet: true, source: fields.flow.source, destination: fields.flow.destination)
        if counters.isUnnoted(reason, at: now) { noteDrop(reason, on: interface) }
    }
}
