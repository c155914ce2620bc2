import Reporting

/// Sends one packet from a node, as the check `packet` does: the first segment of a TCP connection, a UDP datagram, or an
/// echo request.
package struct SendRequest: ControlCommand {
    package typealias Answer = SentPacket
    package enum CodingKeys: CodingKey, CaseIterable { case from, to, port, sourcePort }

    /// The node that sends it.
    package var from: String
    /// Its destination, an IPv4 or IPv6 address.
    package var to: String
    /// `tcp/80`, `udp/53` or `icmp`.
    package var port: String
    /// Its source port, if it has ports; nil for any.
    package var sourcePort: Int?

    package init(from: String, to: String, port: String, sourcePort: Int? = nil) {
        self.from = from
        self.to = to
        self.port = port
        self.sourcePort = sourcePort
    }

    package var request: ControlRequest { .send(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .from: try RequestCheck.check(from, key)
        case .to: try RequestCheck.check(to, key)
        case .port: try RequestCheck.check(port, key)
        case .sourcePort: try RequestCheck.check(sourcePort, key, 1...65_535)
        }
    }
}

/// The packet that was sent.
package struct SentPacket: Codable, Sendable {
    /// Its source address.
    package var source: String
    /// Its octets, from the network header on.
    package var length: Int

    package init(source: String, length: Int) {
        self.source = source
        self.length = length
    }
}
