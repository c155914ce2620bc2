import Wire

extension FlowFields {
    /// The slot of a flow: the same for both of its directions.
    ///
    /// For packets without ports (fragments, ICMP, protocols without ports), the addresses and the protocol decide.
    @inlinable
    func slot(_ hashing: FlowHashing, seed: UInt64) -> Int {
        var (near, far): (UInt64, UInt64) = (0, 0)
        let counts =
            switch hashing {
            case .addresses: false
            case .sessions: protocolNumber == 6 || protocolNumber == 132 || protocolNumber == 33
            case .ports: true
            }
        if hasPorts, counts { (near, far) = (UInt64(sourcePort), UInt64(destinationPort)) }
        let one = Layout.hash(high: source.high, low: source.low, tag: near)
        let other = Layout.hash(high: destination.high, low: destination.low, tag: far)
        // A sum is the same whichever end comes first.
        let hash = Layout.mix((one &+ other) ^ (seed &+ UInt64(protocolNumber) &* 0x9E37_79B9_7F4A_7C15))
        return Int(truncatingIfNeeded: hash >> 48)
    }
}
