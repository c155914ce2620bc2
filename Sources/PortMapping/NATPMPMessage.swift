import Wire

/// The layout of NAT-PMP (RFC 6886). Numbers are in network byte order.
package enum NATPMPMessage {
    enum Opcode {
        static let externalAddress: UInt8 = 0
        static let udp: UInt8 = 1
        static let tcp: UInt8 = 2
    }

    /// Reads a request whose first octet says version 0.
    static func read(_ datagram: [UInt8]) -> RequestReading {
        switch datagram[1] {
        case Opcode.externalAddress:
            return .request(MappingRequest(dialect: .natPMP, question: .externalAddress))
        case Opcode.udp, Opcode.tcp:
            guard datagram.count >= 12 else { return .silent(.tooShort) }
            let lifetime =
                UInt32(PCPMessage.number(datagram, at: 8)) << 16 | UInt32(PCPMessage.number(datagram, at: 10))
            let wish = MappingWish(
                nonce: [UInt8](repeating: 0, count: 12),
                protocolNumber: datagram[1] == Opcode.udp ? IPProtocol.udp : IPProtocol.tcp,
                internalPort: PCPMessage.number(datagram, at: 4), suggestedPort: PCPMessage.number(datagram, at: 6),
                suggestedAddress: IPAddress(ipv4: 0), lifetime: lifetime)
            return .request(
                MappingRequest(dialect: .natPMP, question: lifetime == 0 ? .delete(wish) : .map(wish)))
        default: return .refused(.unsupportedOpcode, .natPMP)
        }
    }

    /// The answer to a request for the address, and the announcement that nobody asked for (3.2.1).
    ///
    /// - Parameter address: Of IPv4; nil: there is none.
    package static func externalAddress(_ address: IPAddress?, epoch: UInt32) -> [UInt8] {
        header(Opcode.externalAddress, address == nil ? .networkFailure : .success, epoch)
            + PCPMessage.octets(address?.ipv4Bits ?? 0)
    }

    /// The answer to a request for a mapping. Of a refusal, port and lifetime are 0.
    static func mapping(
        _ wish: MappingWish, _ result: PCPResult, port: UInt16, lifetime: UInt32, epoch: UInt32
    ) -> [UInt8] {
        header(wish.protocolNumber == IPProtocol.udp ? Opcode.udp : Opcode.tcp, result, epoch)
            + PCPMessage.octets(wish.internalPort) + PCPMessage.octets(port) + PCPMessage.octets(lifetime)
    }

    /// The answer to an opcode that there is not.
    static func refusal(_ opcode: UInt8, _ result: PCPResult, epoch: UInt32) -> [UInt8] {
        header(opcode, result, epoch)
    }

    private static func header(_ opcode: UInt8, _ result: PCPResult, _ epoch: UInt32) -> [UInt8] {
        [0, opcode | 0x80] + PCPMessage.octets(result.natPMP) + PCPMessage.octets(epoch)
    }
}
