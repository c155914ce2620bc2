import Wire

/// What a section of a capture says of itself before its first packet.
public struct PcapngSection: Sendable {
    /// The most interfaces of a section.
    public static let mostInterfaces = 254
    /// The snap length where none is given, in octets: a superframe fits.
    public static let wholeFrames = 262_144

    /// Where packets were seen, in the order of `PcapngPacket.interface`.
    public var interfaces: [PcapngInterface]
    /// The most octets that are written of a frame; more than 0. All interfaces have the same, because tcpdump reads no others.
    public var snapLength: Int
    /// The link type of all interfaces (LINKTYPE_…): 1 is Ethernet, 107 frame relay, 123 AAL5 behind SunATM's header.
    public var linkType: UInt16
    /// What addresses are called.
    public var names: [PcapngName]
    /// The machine; empty: left out.
    public var hardware: String
    /// The operating system; empty: left out.
    public var system: String
    /// The program that writes.
    public var application: String
    /// Sentences about the whole section.
    public var comments: [String]

    /// Memberwise.
    public init(
        interfaces: [PcapngInterface], snapLength: Int = wholeFrames, linkType: UInt16 = 1,
        names: [PcapngName] = [], hardware: String = "", system: String = "", application: String = "",
        comments: [String] = []
    ) {
        precondition(snapLength > 0 && snapLength <= Int(UInt32.max))
        self.interfaces = interfaces
        self.snapLength = snapLength
        self.linkType = linkType
        self.names = names
        self.hardware = hardware
        self.system = system
        self.application = application
        self.comments = comments
    }
}

/// A place where packets are seen.
public struct PcapngInterface: Sendable, Hashable {
    /// What a reader shows as the interface's name (`frame.interface_name`).
    public var name: String
    /// More about it (`frame.interface_description`); empty: left out.
    public var description: String
    /// Its MAC address, if it has one of its own.
    public var hardwareAddress: MACAddress?
    /// The filter that its packets passed, in the language of pcap-filter; empty: every packet did.
    public var filter: String

    /// Memberwise.
    public init(_ name: String, description: String = "", hardwareAddress: MACAddress? = nil, filter: String = "") {
        self.name = name
        self.description = description
        self.hardwareAddress = hardwareAddress
        self.filter = filter
    }

    /// The interface of one node: `web on servers`.
    public init(
        node: String, interface: String, description: String = "", hardwareAddress: MACAddress? = nil,
        filter: String = ""
    ) {
        self.init(
            "\(node) on \(interface)", description: description, hardwareAddress: hardwareAddress, filter: filter)
    }
}

/// What an address is called.
public struct PcapngName: Sendable, Hashable {
    /// An address that can have a name.
    public enum Address: Sendable, Hashable {
        /// IPv4 or IPv6.
        case network(IPAddress)
        /// A MAC address. Wireshark reads these names since 4.2; earlier releases pass over them.
        case hardware(MACAddress)
    }

    /// The address.
    public var address: Address
    /// Its name.
    public var name: String

    /// Memberwise.
    public init(_ address: Address, _ name: String) {
        self.address = address
        self.name = name
    }
}
