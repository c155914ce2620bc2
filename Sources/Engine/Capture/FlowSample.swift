import Wire

/// Which flows a capture takes: one in so many, always the same ones, in both directions.
///
/// What decides is a hash of a packet's addresses, protocol and ports. It is the same for both directions of a flow, for its
/// ICMP errors, and for every worker. All fragments of a datagram are decided by their addresses and protocol.
public struct FlowSample: Sendable, Hashable {
    /// One flow in this many: at least 1.
    public var one: UInt32
    /// True leaves addresses out of the hash where a packet has ports. So a flow keeps its decision in a topology that
    /// rewrites addresses.
    public var ignoresAddresses: Bool
    /// True leaves the lower port out of the hash, which nearly always is the service's. So a flow keeps its decision in a
    /// topology that translates service ports.
    public var ignoresServicePorts: Bool

    /// All flows.
    public static let all = FlowSample(oneIn: 1)

    /// One flow in `one`.
    public init(oneIn one: UInt32, ignoresAddresses: Bool = false, ignoresServicePorts: Bool = false) {
        self.one = max(1, one)
        self.ignoresAddresses = ignoresAddresses
        self.ignoresServicePorts = ignoresServicePorts
    }

    /// True if the flow of a frame is taken. A frame that is no IP packet is taken only if all flows are.
    ///
    /// The headers alone decide. Neither a length nor a checksum is verified, so the payload is not read.
    func takes(_ parts: CaptureParts) -> Bool {
        guard one > 1 else { return true }
        let kind = FrameKind(parts.header, parts.headerLength)
        if kind != .other { return takes(FlowFields(parts.header, kind)) }
        let (header, length) = (parts.header + VirtioNetHeader.length, parts.headerLength &- VirtioNetHeader.length)
        guard parts.bodyLength > 0 else {
            return takes(headers: UnsafeRawBufferPointer(start: header, count: length).bytes)
        }
        // The headers may end anywhere in the body, and are put together; the payload is not copied.
        return withUnsafeTemporaryAllocation(byteCount: Self.headers, alignment: 8) { place in
            guard let start = place.baseAddress else { return false }
            let first = min(length, Self.headers)
            let second = min(parts.bodyLength, Self.headers &- first)
            start.copyMemory(from: header, byteCount: first)
            (start + first).copyMemory(from: parts.body, byteCount: second)
            return takes(headers: UnsafeRawBufferPointer(start: start, count: first &+ second).bytes)
        }
    }

    /// Octets that hold all headers of a packet, and of the packet that an error quotes.
    private static let headers = 512

    /// True if the flow of a frame with any headers is taken.
    ///
    /// - Parameter frame: The Ethernet header and what follows it.
    func takes(headers frame: RawSpan) -> Bool {
        guard one > 1 else { return true }
        guard let flow = FlowFields(ofHeaders: frame) else { return false }
        return takes(flow)
    }

    @inline(__always)
    private func takes(_ flow: FlowFields) -> Bool {
        // The order of a packet's ends has no part in it: a product of both addresses, and the ports by size.
        var hash = UInt64(flow.protocolNumber) | 1 &<< 63
        if flow.hasPorts {
            let lower = ignoresServicePorts ? 0 : min(flow.sourcePort, flow.destinationPort)
            hash |= UInt64(max(flow.sourcePort, flow.destinationPort)) &<< 24 | UInt64(lower) &<< 8
        }
        if !ignoresAddresses || !flow.hasPorts {
            hash ^= Self.product(Self.folded(flow.source), Self.folded(flow.destination))
        }
        hash = Self.product(Self.product(hash, 0x9E37_79B9_7F4A_7C15), 0x1D8E_4E27_C47D_124F)
        return ((hash &>> 32) &* UInt64(one)) &>> 32 == 0
    }

    /// Both halves of a product, of which each bit depends on many of both factors.
    @inline(__always)
    private static func product(_ one: UInt64, _ other: UInt64) -> UInt64 {
        let (high, low) = one.multipliedFullWidth(by: other)
        return high ^ low
    }

    @inline(__always)
    private static func folded(_ address: IPAddress) -> UInt64 {
        (address.high &* 0xD6E8_FEB8_6659_FD93 ^ address.low) &* 0xA076_1D64_78BD_642F
    }
}
