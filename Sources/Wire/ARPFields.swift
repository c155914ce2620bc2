/// The fields of an ARP frame for IPv4 (RFC 826).
public struct ARPFields: Sendable, Equatable {
    /// The two operations that are answered or learnt from.
    public enum Operation: UInt16, Sendable {
        case request = 1
        case reply = 2
    }

    /// The octets of a frame: Ethernet header and packet, without padding.
    @inlinable public static var frameLength: Int { EthernetView.length + ARPView.length }

    /// The Ethernet destination.
    public var destinationMAC: MACAddress
    /// The Ethernet source.
    public var sourceMAC: MACAddress
    /// Request or reply.
    public var operation: Operation
    /// The sender's MAC address.
    public var senderMAC: MACAddress
    /// The sender's IP address; 0.0.0.0 in a probe (RFC 5227).
    public var senderAddress: IPAddress
    /// The target's MAC address; zero in a request.
    public var targetMAC: MACAddress
    /// The target's IP address: the one asked for in a request.
    public var targetAddress: IPAddress

    /// A broadcast that asks for the MAC address of `target`.
    public init(requestFor target: IPAddress, from mac: MACAddress, _ address: IPAddress) {
        destinationMAC = .broadcast
        sourceMAC = mac
        operation = .request
        senderMAC = mac
        senderAddress = address
        targetMAC = MACAddress(bits: 0)
        targetAddress = target
    }

    /// The answer to `request`: the address asked for is at `mac`.
    public init(replyTo request: ARPFields, from mac: MACAddress) {
        destinationMAC = request.sourceMAC
        sourceMAC = mac
        operation = .reply
        senderMAC = mac
        senderAddress = request.targetAddress
        targetMAC = request.senderMAC
        targetAddress = request.senderAddress
    }

    /// Reads a frame whose EtherType is ARP.
    ///
    /// - Throws: `truncatedEthernet`, `truncatedARP`; `badARP` for other hardware, protocols and operations, and for
    ///   invalid senders: group, zero or broadcast addresses.
    public init(_ frame: RawSpan) throws(MalformedReason) {
        guard let ethernet = EthernetView(frame) else { throw .truncatedEthernet }
        guard let packet = ARPView(frame, at: EthernetView.length) else { throw .truncatedARP }
        guard ethernet.type == EtherType.arp, packet.hardwareAddressSpace == ARPPacket.ethernet,
            packet.protocolAddressSpace == EtherType.ipv4, packet.hardwareAddressLength == 6,
            packet.protocolAddressLength == 4, let operation = Operation(rawValue: packet.opcode),
            !packet.senderHardwareAddress.isMulticast, !packet.senderHardwareAddress.isZero,
            !packet.senderProtocolAddress.isMulticast, !packet.senderProtocolAddress.isLimitedBroadcast,
            !packet.senderProtocolAddress.isLoopback
        else { throw .badARP }
        destinationMAC = ethernet.destinationAddress
        sourceMAC = ethernet.sourceAddress
        self.operation = operation
        senderMAC = packet.senderHardwareAddress
        senderAddress = packet.senderProtocolAddress
        targetMAC = packet.targetHardwareAddress
        targetAddress = packet.targetProtocolAddress
    }

    /// Writes the frame.
    ///
    /// - Returns: Its length, `frameLength`; 0 if `frame` has no room for it.
    public func write(into frame: inout MutableRawSpan) -> Int {
        guard frame.byteCount >= Self.frameLength else { return 0 }
        EthernetView.write(&frame, destination: destinationMAC, source: sourceMAC, type: EtherType.arp)
        let packet = EthernetView.length
        frame.store(ARPPacket.ethernet, to: ARPPacket.hardwareAddressSpace, at: packet)
        frame.store(EtherType.ipv4, to: ARPPacket.protocolAddressSpace, at: packet)
        frame.store(6, to: ARPPacket.hardwareAddressLength, at: packet)
        frame.store(4, to: ARPPacket.protocolAddressLength, at: packet)
        frame.store(operation.rawValue, to: ARPPacket.opcode, at: packet)
        frame.store(senderMAC, to: ARPPacket.senderHardwareAddress, at: packet)
        frame.store(senderAddress.ipv4Bits, to: ARPPacket.senderProtocolAddress, at: packet)
        frame.store(targetMAC, to: ARPPacket.targetHardwareAddress, at: packet)
        frame.store(targetAddress.ipv4Bits, to: ARPPacket.targetProtocolAddress, at: packet)
        return Self.frameLength
    }
}
