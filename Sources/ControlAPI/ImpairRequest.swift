import Reporting

/// Impairs a link, or makes it whole again. Answered when engines do so, with all impaired links. Without a link it only lists
/// them.
package struct ImpairRequest: ControlCommand {
    package typealias Answer = ImpairReport
    package enum CodingKeys: CodingKey, CaseIterable { case link, direction, settings, clear }

    /// An interface, a node with one device, NODE/INTERFACE, or service/NAME.
    package var link: String?
    /// `to-nodes` or `from-nodes`; nil: both.
    package var direction: String?
    /// Keys and values as in the file.
    package var settings: [String: String]?
    /// Whether nothing happens to its packets from now on.
    package var clear: Bool?

    package init(
        link: String?, direction: String? = nil, settings: [String: String] = [:], clear: Bool = false
    ) {
        self.link = link
        self.direction = direction
        self.settings = settings
        self.clear = clear
    }

    package var request: ControlRequest { .impair(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .link: try RequestCheck.check(link, key)
        case .direction: try RequestCheck.check(direction, key)
        case .settings: try RequestCheck.check(settings, key)
        case .clear: break
        }
    }
}

/// The impaired links: the output of `tapline impair NAME --json`. The keys are stable.
public struct ImpairReport: Codable, Sendable {
    /// Each direction of each link.
    public var links: [StatusReport.Impairment]

    package init(links: [StatusReport.Impairment]) { self.links = links }
}

extension StatusReport {
    /// An impaired link in one direction, and what was done to its packets.
    public struct Impairment: Codable, Sendable {
        /// An interface, NODE/INTERFACE or service/NAME.
        public var link: String
        /// `to-nodes` or `from-nodes`.
        public var direction: String
        /// The settings as a file has them.
        public var settings: String
        /// Whether a command or a check has asked for it, and not the file.
        public var isCommanded: Bool
        /// Packets that came to the link.
        public var packets: UInt64
        /// Their octets, from the Ethernet header on.
        public var bytes: UInt64
        /// Packets that were lost.
        public var lost: UInt64
        /// Packets for which there was no room.
        public var overflowed: UInt64
        /// Packets that were sent twice.
        public var duplicated: UInt64
        /// Packets with a flipped bit.
        public var corrupted: UInt64
        /// Packets that were not delayed.
        public var reordered: UInt64
        /// Packets that wait now.
        public var waiting: UInt64

        /// Memberwise.
        package init(
            link: String, direction: String, settings: String, isCommanded: Bool, packets: UInt64, bytes: UInt64,
            lost: UInt64, overflowed: UInt64, duplicated: UInt64, corrupted: UInt64, reordered: UInt64, waiting: UInt64
        ) {
            self.link = link
            self.direction = direction
            self.settings = settings
            self.isCommanded = isCommanded
            self.packets = packets
            self.bytes = bytes
            self.lost = lost
            self.overflowed = overflowed
            self.duplicated = duplicated
            self.corrupted = corrupted
            self.reordered = reordered
            self.waiting = waiting
        }
    }
}
