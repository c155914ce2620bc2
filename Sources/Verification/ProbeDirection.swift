import Wire

/// Whom a frame is from and to; ports are 0 if its protocol has none.
struct ProbeEnds: Hashable {
    var source: IPAddress
    var destination: IPAddress
    var sourcePort: UInt16
    var destinationPort: UInt16

    /// The ends of an answer to it.
    var reversed: ProbeEnds {
        ProbeEnds(
            source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort)
    }
}

/// Distinguishes a probe from an answer with the same payload, such as that of an echo service. It takes one frame
/// after another, in the order of their times.
///
/// A frame in the opposite direction, between ends where the probe was seen before, is an answer. This also works
/// behind an application that rewrites addresses or ports, or that opens a connection of its own: the probe was seen
/// there first. If a frame's ends are new, the sender's port decides, then the service's port, then the sender's
/// address.
struct ProbeDirection {
    private let sent: ProbeEnds
    private var forward: Set<ProbeEnds>

    /// - Parameter sent: The ends as the sender has them.
    init(_ sent: ProbeEnds) {
        self.sent = sent
        forward = [sent]
    }

    /// True if a frame with these ends is an answer. Frames are given in the order of their times.
    mutating func isAnswer(_ ends: ProbeEnds) -> Bool {
        if forward.contains(ends) { return false }
        if forward.contains(ends.reversed) || looksLikeAnswer(ends) { return true }
        forward.insert(ends)
        return false
    }

    /// True if a frame with these ends goes back to the probe's sender, or between ends where the probe was seen.
    func goesBack(_ ends: ProbeEnds) -> Bool {
        forward.contains(ends.reversed) || ends.destination == sent.source
    }

    /// True if the packet that an ICMP error quotes is an answer; the direction learns nothing from it.
    func quotesAnswer(_ ends: ProbeEnds) -> Bool {
        var copy = self
        return copy.isAnswer(ends)
    }

    private func looksLikeAnswer(_ ends: ProbeEnds) -> Bool {
        if sent.sourcePort != sent.destinationPort {
            for port in [sent.sourcePort, sent.destinationPort]
            where (ends.sourcePort == port) != (ends.destinationPort == port) {
                // The sender's port at the source, and the service's at the destination: the way there.
                return (ends.sourcePort == port) != (port == sent.sourcePort)
            }
        }
        if ends.source == sent.source { return false }
        return ends.destination == sent.source
    }
}
