import Wire

/// Translations of ports change no sum, and another one back leaves the packet as it was.
extension WireProperties {
    static func checkShifts(
        _ fields: PacketFields, _ before: [UInt8], _ state: ChecksumState, _ shift: PortShift
    ) throws(BrokenProperty) {
        for side in [PortSide.source, .destination] {
            guard let after = try shifted(fields, before, side, by: shift, state) else { continue }
            let (sums, now) = (
                NaiveSums.invariants(before, fields, state), NaiveSums.invariants(after, fields, state)
            )
            try require(sums == now, "translating turns the sums \(sums) into \(now), side: \(side)")
            let (verdict, again) = ExactOctets(after).parse()
            try require(verdict == .packet, "a translated packet is \(verdict)")
            let wanted = fields.lookupFlow.shifted(side, by: shift)
            try require(again.lookupFlow == wanted, "the port is not the one that was to be, side: \(side)")
            guard let back = try shifted(again, after, side, by: shift.reversed, state) else {
                throw BrokenProperty("what was translated once is not translated again, side: \(side)")
            }
            if let offset = firstDifference(before, back, fields) {
                throw BrokenProperty("there and back changes octet \(offset), side: \(side)")
            }
        }
    }

    private static func shifted(
        _ fields: PacketFields, _ frame: [UInt8], _ side: PortSide, by shift: PortShift, _ state: ChecksumState
    ) throws(BrokenProperty) -> [UInt8]? {
        // The engine has only the leading octets in hand when it edits.
        let header = ExactOctets(frame[..<fields.headerLength])
        guard header.edit({ fields.shiftPort(side, by: shift, in: &$0, checksum: state) }) else {
            try require(
                !fields.lookupFlow.hasPorts || fields.lookupFlow.protocolNumber == IPProtocol.sctp
                    || fields.bindings.union(fields.quotedBindings).contains(.authenticated),
                "a packet with ports is not translated")
            try require(header.array == Array(frame[..<fields.headerLength]), "what is not translated is changed")
            return nil
        }
        return header.array + frame[fields.headerLength...]
    }
}
