import Wire

/// The ports that translations have led to a place on the way of a packet, of the packets of one protocol.
struct TranslatedPorts: Hashable {
    /// The ports of one side.
    private struct Side: Hashable {
        /// As they are at the place.
        var ports: ClosedRange<UInt16> = 0...65535
        /// From the start to the place.
        var shift = PortShift.none
    }

    private var protocolNumber: UInt8
    private var source = Side()
    private var destination = Side()

    /// The ports behind one more translation.
    ///
    /// - Parameters:
    ///   - before: The ports in front of it; nil: any, as at the start.
    ///   - port: The service port of the entry that translates.
    ///   - side: The side of that port in the packet at the start.
    /// - Returns: nil if no packet comes from there.
    init?(_ before: TranslatedPorts?, _ port: ServicePort, _ side: PortSide, by shift: PortShift) {
        guard let number = port.protocolNumber, before.map({ $0.protocolNumber == number }) ?? true else { return nil }
        protocolNumber = number
        if let before { self = before }
        var own = side == .source ? source : destination
        guard own.ports.overlaps(port.ports), let ports = shift.applied(to: own.ports.clamped(to: port.ports)) else {
            return nil
        }
        own = Side(ports: ports, shift: own.shift.then(shift))
        switch side {
        case .source: source = own
        case .destination: destination = own
        }
    }

    /// True if all ports are as they were at the start.
    var isBack: Bool { source.shift.isNone && destination.shift.isNone }

    /// The ports at the start that have come to these; nil if none have.
    ///
    /// - Parameter side: Their side in the packet at the start.
    func atStart(_ port: ServicePort, _ side: PortSide) -> ClosedRange<UInt16>? {
        let own = side == .source ? source : destination
        guard port.protocolNumber == protocolNumber, own.ports.overlaps(port.ports) else { return nil }
        return own.shift.reversed.applied(to: own.ports.clamped(to: port.ports))
    }
}
