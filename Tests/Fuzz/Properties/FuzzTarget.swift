import Wire

/// A part of Tapline that reads what others wrote, and what must hold whatever they wrote.
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// Frames and addresses: `Wire`.
    case wire
    /// Tables, snapshots and the decision: `Forwarding`.
    case decision
    /// Frames through a whole worker: `Engine`.
    case forwarder
    /// Frames of a few flows through a worker that coalesces them and one that does not.
    case coalescing
    /// Topology files: `Topology`.
    case file
    /// What engines say to the control process and write into memory that it reads: `Engine`.
    case engine
    /// Programs of classic BPF over frames: `Engine`.
    case filter
    /// Impaired links in the memory that engines map, and their packets: `Engine`.
    case impairment
    /// Requests for mappings, one after another: `PortMapping`.
    case negotiation
    /// The headers of encapsulations: `Wire`.
    case circuit
    /// The headers of tunnels, and errors about their packets: `Wire`.
    case tunnel

    /// Gives the target one input.
    ///
    /// - Throws: What does not hold. Reads out of bounds and traps end the process.
    public func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        switch self {
        case .wire: try WireProperties.check(input)
        case .decision: try DecisionProperties.check(input)
        case .forwarder: try ForwarderProperties.check(input)
        case .coalescing: try CoalescingProperties.check(input)
        case .file: try FileProperties.check(input)
        case .engine: try EngineProperties.check(input)
        case .filter: try FilterProperties.check(input)
        case .impairment: try ImpairmentProperties.check(input)
        case .negotiation: try NegotiationProperties.check(input)
        case .circuit: try CircuitProperties.check(input)
        case .tunnel: try TunnelProperties.check(input)
        }
    }
}

/// Something that must hold and does not.
public struct BrokenProperty: Error, CustomStringConvertible {
    /// What does not hold.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// Throws the sentence where the condition does not hold.
@inline(__always)
func require(_ condition: Bool, _ sentence: @autoclosure () -> String) throws(BrokenProperty) {
    if !condition { throw BrokenProperty(sentence()) }
}

/// Octets in an allocation of exactly their number, so that the address sanitizer sees every read beyond them.
final class ExactOctets {
    let bytes: UnsafeMutableRawBufferPointer

    init(count: Int) {
        bytes = .allocate(byteCount: count, alignment: 8)
        bytes.initializeMemory(as: UInt8.self, repeating: 0xA5)
    }

    convenience init(_ content: some Collection<UInt8>) {
        self.init(count: content.count)
        bytes.copyBytes(from: content)
    }

    deinit { bytes.deallocate() }

    var array: [UInt8] { Array(bytes) }

    /// Lets the octets be read; they stay for as long as that takes.
    @inline(never)
    func read<Result>(_ body: (RawSpan) -> Result) -> Result { body(UnsafeRawBufferPointer(bytes).bytes) }

    /// Lets the octets be edited.
    @inline(never)
    func edit<Result>(_ body: (inout MutableRawSpan) -> Result) -> Result {
        let bytes = bytes
        var span = bytes.mutableBytes
        return body(&span)
    }

    /// What the octets are as a frame.
    @inline(never)
    func parse() -> (verdict: ParseVerdict, fields: PacketFields) {
        var fields = PacketFields()
        let verdict = fields.parse(UnsafeRawBufferPointer(bytes).bytes)
        return (verdict, fields)
    }
}

/// The input of a fuzzer as a source of choices: one octet for each, and zeros when they are used up.
struct ByteChoices: RandomNumberGenerator {
    private let bytes: UnsafeRawBufferPointer
    private var place = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// True where every octet has been used.
    var isUsedUp: Bool { place >= bytes.count }

    /// The next octet; 0 behind the last.
    mutating func octet() -> UInt8 {
        guard place < bytes.count else { return 0 }
        defer { place += 1 }
        return bytes[place]
    }

    /// The next two octets, the first the higher.
    mutating func word() -> Int { Int(octet()) << 8 | Int(octet()) }

    /// Up to `count` of the octets that are left.
    mutating func rest(_ count: Int) -> UnsafeRawBufferPointer {
        let end = min(bytes.count, place + count)
        defer { place = end }
        return UnsafeRawBufferPointer(rebasing: bytes[place..<end])
    }

    /// The octet decides: it is the highest, and what follows it is such that no number is ever rejected as unfair.
    mutating func next() -> UInt64 { UInt64(octet()) << 56 | 1 << 47 }
}
