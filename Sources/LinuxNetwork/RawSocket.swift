import CLinux
import Wire

/// Sends whole packets from a namespace, by its routes and neighbours. The kernel fills in what the IPv4 header leaves zero
/// of its checksum and identification.
public struct RawSocket: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor
    private let family: AddressFamily

    /// - Throws: The kernel's refusal of the socket, or of the namespace.
    public init(in namespace: NetworkNamespace, _ family: AddressFamily) throws(SystemError) {
        let number = try namespace.perform { () throws(SystemError) in
            try SystemError.check(
                clinux_raw_open(Int32(family.number)), "open a raw socket in", namespace.name)
        }
        descriptor = OwnedDescriptor(owning: number)
        self.family = family
    }

    /// Sends a packet, and waits while the socket's buffer is full.
    ///
    /// - Parameters:
    ///   - packet: The packet from its network header on.
    ///   - destination: An address of the socket's family.
    /// - Throws: EMSGSIZE where it is larger than the device's MTU, ENETUNREACH where there is no route.
    public func send(_ packet: [UInt8], to destination: IPAddress) throws(SystemError) {
        _ = try SystemError.check(
            clinux_raw_send(
                descriptor.number, packet, packet.count, Int32(family.number), destination.octets),
            "send a packet to", "\(destination)")
    }
}

extension NetworkNamespace {
    /// Sends one packet; see `RawSocket`.
    ///
    /// - Throws: EMSGSIZE where it is larger than the device's MTU, ENETUNREACH where there is no route.
    public func send(_ packet: [UInt8], to destination: IPAddress) throws(SystemError) {
        try RawSocket(in: self, destination.family).send(packet, to: destination)
    }
}
