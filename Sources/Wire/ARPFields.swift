/// What an ARP frame for IPv4 says (RFC 826).
public struct ARPFields: Sendable, Equatable {
    /// The two operations that are answered or learnt from.
    public enum Operation: UInt16, Sendable {
        case request = 1
        case reply = 2
    }

    /// The octets of a frame: Ethernet header and packet, without padding.
    public static let frameLength = EthernetView.length + ARPView.length

    /// The Ethernet destination.
    public var destinationMAC: MACAddress
    /// The Ethernet source.
    public var sourceMAC: MACAddress
    /// Request or reply.
    public var operation: Operation
    /// Who speaks.
    public var senderMAC: MACAddress
    /// The address of who speaks; 0.0.0.0 in a probe (RFC 5227).
    public var senderAddress: IPAddress
    /// Who is spoken to; zero in a request.
    public var targetMAC: MACAddress
    /// The address asked for, or of who is spoken to.
    public var targetAddress: IPAddress

    /// A broadcast that asks who has `target`.
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
    ///   senders that nobody can be: group, zero or broadcast addresses.
    public init(_ frame: RawSpan) throws(MalformedReason) {
        guard let ethernet = EthernetView(frame) else { throw .truncatedEthernet }
        guard let packet = ARPView(frame, at: EthernetView.length) else { throw .truncatedARP }
        guard ethernet.type == EtherType.arp, packet.hardwareType == 1, packet.protocolType == EtherType.ipv4,
            packet.hardwareLength == 6, packet.protocolLength == 4,
            let operation = Operation(rawValue: packet.operation),
            !packet.senderMAC.isMulticast, !packet.senderMAC.isZero,
            !packet.senderAddress.isMulticast, !packet.senderAddress.isLimitedBroadcast,
            !packet.senderAddress.isLoopback
        else { throw .badARP }
        destinationMAC = ethernet.destination
        sourceMAC = ethernet.source
        self.operation = operation
        senderMAC = packet.senderMAC
        senderAddress = packet.senderAddress
        targetMAC = packet.targetMAC
        targetAddress = packet.targetAddress
    }

    /// Writes the frame.
    ///
    /// - Returns: Its length, `frameLength`; 0 where `frame` has no room for it.
    public func write(into frame: inout MutableRawSpan) -> Int {
        guard frame.byteCount >= Self.frameLength else { return 0 }
        EthernetView.write(&frame, destination: destinationMAC, source: sourceMAC, type: EtherType.arp)
        let packet = EthernetView.length
        frame.store(1 as UInt16, at: packet)
        frame.store(EtherType.ipv4, at: packet + 2)
        frame.store(0x0604 as UInt16, at: packet + 4)
        frame.store(operation.rawValue, at: packet + ARPView.operationOffset)
        frame.store(senderMAC, at: packet + ARPView.senderMACOffset)
        frame.store(senderAddress.ipv4Bits, at: packet + ARPView.senderAddressOffset)
        frame.store(targetMAC, at: packet + ARPView.targetMACOffset)
        frame.store(targetAddress.ipv4Bits, at: packet + ARPView.targetAddressOffset)
        return Self.frameLength
    }
}
