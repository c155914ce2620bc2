import Wire

/// The prefixes of the addresses of the packet before. Packets that come together are often from the same hosts, or for
/// the same service. The memory belongs to one snapshot.
public struct PrefixMemory {
    @usableFromInline var isFilled = false
    @usableFromInline var source = IPAddress(ipv4: 0)
    @usableFromInline var destination = IPAddress(ipv4: 0)
    @usableFromInline var sourcePrefix: UInt32 = 0
    @usableFromInline var destinationPrefix: UInt32 = 0

    /// Nothing is remembered.
    @inlinable
    public init() {}
}

extension Snapshot {
    /// What the table says about a packet whose sender is known already. The result is the same as without the memory.
    ///
    /// - Parameters:
    ///   - memory: A new one, or the one from this snapshot's last decision.
    @inlinable @inline(__always)
    public func decide(
        _ flow: FlowFields, from sender: Sender, receivedInterface: Int, remembering memory: inout PrefixMemory
    ) -> Decision {
        var meter = NoMeter()
        if !memory.isFilled || memory.source != flow.source {
            memory.source = flow.source
            memory.sourcePrefix = longestPrefix(.source4, .source6, flow.source, meter: &meter)
        }
        if !memory.isFilled || memory.destination != flow.destination {
            memory.destination = flow.destination
            memory.destinationPrefix = longestPrefix(.destination4, .destination6, flow.destination, meter: &meter)
        }
        memory.isFilled = true
        return decide(
            flow, memory.sourcePrefix, memory.destinationPrefix, from: sender, receivedInterface: receivedInterface,
            meter: &meter)
    }
}
