import Wire

/// Internet checksums word by word, written apart from the code that they judge.
enum NaiveSums {
    /// The one's complement sum of the octets, zero standing for both zeros.
    static func sum(_ bytes: some Sequence<UInt8>) -> Int {
        var (total, high) = (0, true)
        for octet in bytes {
            total += high ? Int(octet) << 8 : Int(octet)
            high.toggle()
        }
        return total % 0xFFFF
    }

    static func word(_ bytes: [UInt8], _ offset: Int) -> Int { Int(bytes[offset]) << 8 | Int(bytes[offset + 1]) }

    /// The sums that must not change when addresses are rewritten, right or wrong as they were.
    ///
    /// - Parameter frame: From the Ethernet header to the packet's end.
    static func invariants(_ frame: [UInt8], _ fields: PacketFields, _ state: ChecksumState) -> [Int] {
        var sums: [Int] = []
        let addresses = pseudoAddresses(frame, fields.networkOffset, fields.family)
        if fields.family == .ipv4 {
            sums.append(
                sum(frame[fields.networkOffset..<fields.networkOffset + headerLength(frame, fields.networkOffset)]))
        }
        guard fields.fragment != .later else { return sums }
        if let place = IPProtocol.pseudoHeaderChecksumOffset(fields.transportProtocol, fields.family) {
            let field = fields.transportOffset + place
            if state == .partial {
                sums.append((word(frame, field) - addresses + 0xFFFF) % 0xFFFF)
            } else if fields.transportProtocol != IPProtocol.udp || word(frame, field) != 0 {
                sums.append((sum(frame[fields.transportOffset..<fields.end]) + addresses) % 0xFFFF)
            }
        } else if fields.hasQuoted, state == .full {
            sums.append(sum(frame[fields.transportOffset..<fields.end]))
        }
        guard fields.hasQuoted else { return sums }
        if fields.family == .ipv4 {
            // The fixed part, where all that is rewritten lies: the rest may have been cut off.
            sums.append(sum(frame[fields.quotedNetworkOffset..<fields.quotedNetworkOffset + 20]))
        }
        if let field = quotedChecksum(fields), fields.quotedTransportProtocol != 17 || word(frame, field) != 0 {
            let ports =
                fields.quoted.hasPorts
                ? word(frame, fields.quotedTransportOffset) + word(frame, fields.quotedTransportOffset + 2) : 0
            sums.append(
                (word(frame, field) + pseudoAddresses(frame, fields.quotedNetworkOffset, fields.family) + ports)
                    % 0xFFFF)
        }
        return sums
    }

    /// Where the quoted packet's transport checksum stands, where the quote reaches it.
    static func quotedChecksum(_ fields: PacketFields) -> Int? {
        guard fields.hasQuoted, fields.quotedFragment != .later,
            let place = IPProtocol.pseudoHeaderChecksumOffset(fields.quotedTransportProtocol, fields.family),
            fields.quotedTransportOffset + place + 2 <= fields.quotedEnd
        else { return nil }
        return fields.quotedTransportOffset + place
    }

    private static func headerLength(_ frame: [UInt8], _ network: Int) -> Int { Int(frame[network] & 15) * 4 }

    private static func pseudoAddresses(_ frame: [UInt8], _ network: Int, _ family: AddressFamily) -> Int {
        sum(family == .ipv4 ? frame[network + 12..<network + 20] : frame[network + 8..<network + 40])
    }
}

/// Makes lengths and checksums right, so that what is behind them is reached.
enum Correction {
    static func correct(_ frame: UnsafeMutableRawBufferPointer) {
        guard frame.count >= 34 else { return }
        func store(_ value: Int, _ offset: Int) {
            frame[offset] = UInt8(value >> 8 & 0xFF)
            frame[offset + 1] = UInt8(value & 0xFF)
        }
        func complement(_ range: Range<Int>, _ field: Int, adding initial: Int = 0) {
            store(0, field)
            store(0xFFFF - (NaiveSums.sum(frame[range]) + initial) % 0xFFFF, field)
        }
        let end = min(frame.count, 14 + 65_535)
        if frame[12] == 8, frame[13] == 0 {
            let header = 14 + Int(frame[14] & 15) * 4
            store(end - 14, 16)
            guard header >= 34, header <= end else { return }
            complement(14..<header, 24)
            if frame[23] == 1, frame[20] & 0x3F == 0, frame[21] == 0, end >= header + 8 {
                complement(header..<end, header + 2)
            }
        } else if frame[12] == 0x86, frame[13] == 0xDD, end >= 54 {
            store(end - 54, 18)
            if frame[20] == 58, end >= 62 {
                let pseudo = NaiveSums.sum(frame[22..<54]) + 58 + (end - 54)
                complement(54..<end, 56, adding: pseudo)
            }
        }
    }
}
