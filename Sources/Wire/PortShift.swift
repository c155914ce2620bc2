/// What turns one port into another: it is added, modulo 65,536. So a whole range keeps its order, and the way back is the
/// negative.
@frozen
public struct PortShift: Hashable, Sendable {
    /// What is added to a port.
    public let delta: UInt16

    /// - Parameter delta: What is added to a port.
    @inlinable
    public init(_ delta: UInt16) { self.delta = delta }

    /// The shift that turns one port into the other.
    @inlinable
    public init(from: UInt16, to: UInt16) { delta = to &- from }

    /// Ports stay as they are.
    @inlinable public static var none: PortShift { PortShift(0) }

    /// True if ports stay as they are.
    @inlinable public var isNone: Bool { delta == 0 }

    /// The shift back.
    @inlinable public var reversed: PortShift { PortShift(0 &- delta) }

    /// This shift, and then another one.
    @inlinable
    public func then(_ next: PortShift) -> PortShift { PortShift(delta &+ next.delta) }

    /// The port that a port becomes.
    @inlinable
    public func applied(to port: UInt16) -> UInt16 { port &+ delta }

    /// The range that a range becomes; nil if it would pass the last port.
    public func applied(to ports: ClosedRange<UInt16>) -> ClosedRange<UInt16>? {
        let (low, high) = (applied(to: ports.lowerBound), applied(to: ports.upperBound))
        return low <= high ? low...high : nil
    }
}

/// Which of a packet's two ports the service port is.
public enum PortSide: UInt8, Sendable, Hashable {
    /// Of packets from the service's side.
    case source
    /// Of packets to the service's side.
    case destination
}

extension FlowFields {
    /// The flow with one port shifted, if it has ports.
    @inlinable
    public func shifted(_ side: PortSide, by shift: PortShift) -> FlowFields {
        guard hasPorts, !shift.isNone else { return self }
        var flow = self
        switch side {
        case .source: flow.sourcePort = shift.applied(to: sourcePort)
        case .destination: flow.destinationPort = shift.applied(to: destinationPort)
        }
        return flow
    }
}
