import Wire

/// The layout of PCP (RFC 6887): headers of 24 octets, then what the opcode needs, then options. Numbers are in network
/// byte order; an IPv4 address is written as an IPv4-mapped one.
package enum PCPMessage {
    /// The version that is spoken.
    package static let version: UInt8 = 2
    /// The longest message.
    package static let limit = 1100
    /// The UDP port of requests.
    package static let serverPort: UInt16 = 5351
    /// The UDP port where clients hear announcements.
    package static let clientPort: UInt16 = 5350
    static let header = 24
    /// A header and what MAP has, without options.
    package static let mapLength = 60

    enum Opcode {
        static let announce: UInt8 = 0
        static let map: UInt8 = 1
    }
    enum Option {
        static let thirdParty: UInt8 = 1
        static let preferFailure: UInt8 = 2
        static let filter: UInt8 = 3
        /// Options from here may be ignored.
        static let optional: UInt8 = 128
    }

    /// Reads a request whose first octet says version 2.
    ///
    /// - Parameter source: The address that the datagram came from.
    static func read(_ datagram: [UInt8], from source: IPAddress) -> RequestReading {
        guard datagram.count >= header else { return .silent(.tooShort) }
        func refused(_ result: PCPResult) -> RequestReading { .refused(result, .pcp) }
        let opcode = datagram[1]
        guard datagram.count <= limit, datagram.count % 4 == 0 else { return refused(.malformedRequest) }
        if opcode == Opcode.map, datagram.count < mapLength { return refused(.malformedRequest) }
        guard address(datagram, at: 8) == source else { return refused(.addressMismatch) }
        switch opcode {
        case Opcode.announce:
            // Options of others would be for MAP; one that must be understood is refused.
            var none = MappingWish.empty
            if let fault = readOptions(datagram, from: header, source, into: &none, forMapping: false) {
                return refused(fault)
            }
            return .request(MappingRequest(dialect: .pcp, question: .announce))
        case Opcode.map: return readMapping(datagram, from: source)
        default: return refused(.unsupportedOpcode)
        }
    }

    private static func readMapping(_ datagram: [UInt8], from source: IPAddress) -> RequestReading {
        var wish = MappingWish(
            nonce: Array(datagram[24..<36]), protocolNumber: datagram[36], internalPort: number(datagram, at: 40),
            suggestedPort: number(datagram, at: 42), suggestedAddress: address(datagram, at: 44),
            lifetime: UInt32(number(datagram, at: 4)) << 16 | UInt32(number(datagram, at: 6)))
        if let fault = readOptions(datagram, from: mapLength, source, into: &wish, forMapping: true) {
            return .refused(fault, .pcp)
        }
        // 13.3: a mapping that ends has no filters.
        if wish.lifetime == 0, !wish.filters.isEmpty || wish.clearsFilters { return .refused(.malformedOption, .pcp) }
        // All protocols have no port (11.1).
        if wish.protocolNumber == 0, wish.internalPort != 0 { return .refused(.malformedRequest, .pcp) }
        return .request(
            MappingRequest(dialect: .pcp, question: wish.lifetime == 0 ? .delete(wish) : .map(wish)))
    }

    /// Reads options (7.3), each padded to four octets.
    private static func readOptions(
        _ datagram: [UInt8], from start: Int, _ source: IPAddress, into wish: inout MappingWish, forMapping: Bool
    ) -> PCPResult? {
        var offset = start
        while offset < datagram.count {
            let length = Int(number(datagram, at: offset + 2))
            let data = offset + 4
            guard data + length <= datagram.count else { return .malformedOption }
            switch datagram[offset] {
            case Option.preferFailure where forMapping:
                guard length == 0, !wish.prefersFailure else { return .malformedOption }
                wish.prefersFailure = true
                wish.options += datagram[offset..<data]
            case Option.filter where forMapping:
                guard length == 20 else { return .malformedOption }
                if let fault = readFilter(datagram, at: data, source, into: &wish) { return fault }
                wish.options += datagram[offset..<data + length]
            case Option.thirdParty where forMapping && length == 16 && address(datagram, at: data) == source:
                // 13.1: nobody is its own third party.
                return .malformedRequest
            case Option.optional...: break
            default: return .unsupportedOption
            }
            offset = data + (length + 3) / 4 * 4
        }
        return nil
    }

    /// A filter of senders (13.3): one octet unused, the length of the prefix as of IPv6, a port, an address.
    private static func readFilter(
        _ datagram: [UInt8], at offset: Int, _ source: IPAddress, into wish: inout MappingWish
    ) -> PCPResult? {
        let length = Int(datagram[offset + 1])
        guard length > 0 else {
            (wish.filters, wish.clearsFilters) = ([], true)
            return nil
        }
        let sender = address(datagram, at: offset + 4)
        let extra = sender.family == .ipv4 ? 96 : 0
        guard sender.family == source.family, (extra...128).contains(length) else { return .malformedOption }
        wish.filters.append(
            SenderFilter(IPPrefix(sender, length: length - extra), port: number(datagram, at: offset + 2)))
        return nil
    }

    // MARK: - Answers

    /// The answer to a request that could not be granted: the request itself, up to 1,100 octets, with the result (8.2). One to
    /// MAP has all that MAP has, even if the request was shorter.
    static func refusal(_ datagram: [UInt8], _ result: PCPResult, lifetime: UInt32, epoch: UInt32) -> [UInt8] {
        var answer = Array(datagram.prefix(limit))
        let least = datagram[1] == Opcode.map ? mapLength : header
        answer += Array(repeating: 0, count: max(least - answer.count, (4 - answer.count % 4) % 4))
        write(&answer, datagram[1], result, lifetime, epoch)
        return answer
    }

    /// The answer to ANNOUNCE, and the announcement that nobody asked for (14.1).
    package static func announcement(epoch: UInt32) -> [UInt8] {
        var answer = [UInt8](repeating: 0, count: header)
        write(&answer, Opcode.announce, .success, 0, epoch)
        return answer
    }

    /// The answer to MAP: what was granted, with the options that were heeded, so 60 octets without any.
    static func granted(
        _ wish: MappingWish, _ address: IPAddress, port: UInt16, lifetime: UInt32, epoch: UInt32
    ) -> [UInt8] {
        var answer = [UInt8](repeating: 0, count: header)
        write(&answer, Opcode.map, .success, lifetime, epoch)
        answer += wish.nonce + [wish.protocolNumber, 0, 0, 0] + octets(wish.internalPort) + octets(port)
        answer += mapped(address)
        return answer + wish.options
    }

    private static func write(
        _ answer: inout [UInt8], _ opcode: UInt8, _ result: PCPResult, _ lifetime: UInt32, _ epoch: UInt32
    ) {
        let head: [UInt8] =
            [version, opcode | 0x80, 0, result.rawValue] + octets(lifetime) + octets(epoch)
            + [UInt8](repeating: 0, count: 12)
        answer.replaceSubrange(0..<header, with: head)
    }

    // MARK: - Numbers and addresses

    static func number(_ octets: [UInt8], at offset: Int) -> UInt16 {
        UInt16(octets[offset]) << 8 | UInt16(octets[offset + 1])
    }

    static func octets<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian, Array.init)
    }

    /// An address of 16 octets; an IPv4-mapped one is of IPv4.
    static func address(_ octets: [UInt8], at offset: Int) -> IPAddress {
        var (high, low): (UInt64, UInt64) = (0, 0)
        for octet in octets[offset..<offset + 8] { high = high << 8 | UInt64(octet) }
        for octet in octets[offset + 8..<offset + 16] { low = low << 8 | UInt64(octet) }
        return high == 0 && low >> 32 == 0xFFFF
            ? IPAddress(ipv4: UInt32(truncatingIfNeeded: low)) : IPAddress(ipv6High: high, low: low)
    }

    static func mapped(_ address: IPAddress) -> [UInt8] {
        address.family == .ipv6
            ? octets(address.high) + octets(address.low) : octets(UInt64(0)) + octets(0xFFFF_0000_0000 | address.low)
    }
}

extension MappingWish {
    static let empty = MappingWish(
        nonce: [UInt8](repeating: 0, count: 12), protocolNumber: 0, internalPort: 0, suggestedPort: 0,
        suggestedAddress: IPAddress(ipv4: 0), lifetime: 0)
}
