import FoundationEssentials
import Reporting

/// Asks for copies of the frames that the engines read from and write to the interfaces.
///
/// The first answer comes when every engine copies. The copies go to rings in shared memory, whose descriptors come beside
/// the answer. Another answer follows each time that another table is in force. The capture ends with the connection.
package struct CaptureRequest: ControlCommand {
    package typealias Answer = CaptureAnswer
    package enum CodingKeys: CodingKey, CaseIterable {
        case interfaces, wire, outer, sent, received, oneIn, snapLength, filter
    }

    /// The most octets of a frame that a record holds.
    package static let longestFrame = 69_632

    /// The names of interfaces; nil for all.
    package var interfaces: [String]?
    /// Whether frames are wanted as they are on the interfaces' devices, with the headers of circuits; nil: false. All these
    /// interfaces have circuits of one kind.
    package var wire: Bool?
    /// Whether packets of underlays with frames of tunnels in them are wanted besides, as on the wire; nil: false.
    package var outer: Bool?
    /// Whether frames count that engines write; nil: true.
    package var sent: Bool?
    /// Whether frames count that engines read; nil: true.
    package var received: Bool?
    /// One flow in this many; nil: 1.
    package var oneIn: Int?
    /// The most octets of each frame, from the Ethernet header on; nil: all.
    package var snapLength: Int?
    /// A program of classic BPF for frames as they are captured: instructions of eight octets as in `struct bpf_insn`, in base64. nil:
    /// every frame matches.
    package var filter: String?

    package init(
        interfaces: [String]? = nil, sent: Bool? = nil, received: Bool? = nil, oneIn: Int? = nil,
        snapLength: Int? = nil, filter: [UInt8]? = nil
    ) {
        self.interfaces = interfaces
        self.sent = sent
        self.received = received
        self.oneIn = oneIn
        self.snapLength = snapLength
        self.filter = filter.map { Data($0).base64EncodedString() }
    }

    package var request: ControlRequest { .capture(self) }

    /// Frames are matched by a program from now on.
    package mutating func take(program: [UInt8]) { filter = Data(program).base64EncodedString() }

    /// The octets of the program; nil if every frame matches.
    ///
    /// - Throws: `ApplianceError` if it is no base64.
    package func program() throws(ApplianceError) -> [UInt8]? {
        guard let filter else { return nil }
        guard let data = Data(base64Encoded: filter), !data.isEmpty, data.count % 8 == 0 else {
            throw ApplianceError(.usage, "'filter' is a program of classic BPF in base64, eight octets an instruction")
        }
        return Array(data)
    }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .interfaces: for name in interfaces ?? [] { try RequestCheck.check(name, key) }
        case .wire:
            guard wire != true || interfaces?.isEmpty == false else {
                throw ApplianceError(.usage, "'wire' needs 'interfaces': those whose devices are meant")
            }
        case .sent:
            guard sent ?? true || received ?? true else {
                throw ApplianceError(.usage, "'sent' and 'received' are both false, so there is nothing to capture")
            }
        case .received, .outer: break
        case .oneIn: try RequestCheck.check(oneIn, key, RequestRange.oneIn)
        case .snapLength: try RequestCheck.check(snapLength, key, 14...Self.longestFrame, "octets")
        case .filter: _ = try program()
        }
    }
}

/// Where the copies of a capture are, and by which table the engines decide now.
///
/// The descriptors beside the first answer are the rings, the table and, if `groupsSize` is not 0, the groups. Beside
/// the others are the table and the groups.
package struct CaptureAnswer: Codable, Sendable {
    /// The bit of the records that are for this capture.
    package var number: Int
    /// The number of rings in their memory.
    package var rings: Int
    /// The octets of each ring.
    package var ringSize: Int
    /// The generation of the table.
    package var generation: UInt64
    /// Octets of the compiled table.
    package var tableSize: Int
    /// Octets of its groups; 0 if it has its own.
    package var groupsSize: Int
    /// The version of the plan, and so of all names: where it is another one, the network is described in other words.
    package var version: Int

    package init(
        number: Int, rings: Int, ringSize: Int, generation: UInt64, tableSize: Int, groupsSize: Int, version: Int
    ) {
        self.number = number
        self.rings = rings
        self.ringSize = ringSize
        self.generation = generation
        self.tableSize = tableSize
        self.groupsSize = groupsSize
        self.version = version
    }
}
