import Reporting
import Wire

/// What the file says of an interface whose frames are in packets of another interface.
package struct RawTunnel: Sendable {
    /// The interface that has the packets.
    package var underlay: Located<String>
    package var encapsulation: TunnelEncapsulation
    /// The far end's address; nil for NSH over Ethernet.
    package var peer: Located<IPAddress>?
    /// The node on the underlay that the packets go by; nil: the only one there.
    package var via: Located<String>?
    /// The place of `vxlan`, `geneve` or `nsh`.
    package var origin: SourceOrigin

    /// The octets that a packet grows by.
    package var overhead: Int { encapsulation.overhead(peer?.value.family ?? .ipv4) }
}
