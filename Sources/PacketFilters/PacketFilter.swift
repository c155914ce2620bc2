import Reporting

/// A filter in the language of pcap-filter, compiled by libpcap into a program of classic BPF.
///
/// Names of hosts and services are looked up while it is compiled, as tcpdump does. So that may take seconds, and belongs into
/// the process of the command, never into one that others wait for.
public struct PacketFilter: Sendable, Hashable {
    /// One instruction: `struct bpf_insn`.
    public struct Instruction: Sendable, Hashable {
        /// The operation.
        public var code: UInt16
        /// Instructions to skip where a comparison holds.
        public var jumpTrue: UInt8
        /// Instructions to skip where it does not hold.
        public var jumpFalse: UInt8
        /// The constant, offset or memory index.
        public var k: UInt32

        /// Memberwise.
        public init(code: UInt16, jumpTrue: UInt8, jumpFalse: UInt8, k: UInt32) {
            self.code = code
            self.jumpTrue = jumpTrue
            self.jumpFalse = jumpFalse
            self.k = k
        }
    }

    /// The longest expression, in octets. The time that libpcap takes grows with the square of it: 200 terms take seconds.
    public static let longest = 4096

    /// The expression as it was given.
    public let expression: String
    /// The program. It returns 0 for a frame that does not match.
    public let instructions: [Instruction]

    /// - Parameters:
    ///   - expression: As for tcpdump; an empty one matches every frame.
    ///   - link: The frames that it is for.
    /// - Throws: What is wrong, in libpcap's words, and where.
    public init(_ expression: String, _ link: FilteredLink = .ethernet) throws(PacketFilterError) {
        guard expression.utf8.count <= Self.longest else {
            throw PacketFilterError("it has \(expression.utf8.count) octets, and at most \(Self.longest) are read", "")
        }
        guard !expression.utf8.contains(0) else { throw PacketFilterError("it contains a zero octet", "") }
        switch FilterCompiler.compile(expression, link) {
        case .refused(let reason):
            throw PacketFilterError(reason, expression, at: FaultPlace(in: expression, reason).range)
        case .compiled(let instructions):
            if let reason = Self.obstacle(instructions) { throw PacketFilterError(reason, expression) }
            self.instructions = instructions
        }
        self.expression = expression
    }

    /// Why the engine would refuse the program of a right expression.
    private static func obstacle(_ instructions: [Instruction]) -> String? {
        for instruction in instructions {
            // ja, and loads with an absolute offset.
            if instruction.code == 0x05, Int32(bitPattern: instruction.k) < 0 {
                return "'protochain' needs a loop, and the engine runs none"
            }
            if [0x20, 0x28, 0x30].contains(instruction.code), Int32(bitPattern: instruction.k) < 0 {
                return "'inbound' and 'outbound' are not in the frame"
            }
        }
        return nil
    }
}

/// Why a filter does not compile.
public struct PacketFilterError: Error, Sendable, Hashable {
    /// libpcap's message, or ours where libpcap had none.
    public let reason: String
    /// The expression.
    public let expression: String
    /// The part that is wrong, in characters of the expression; empty at its end, where something is missing; nil: not known.
    public let range: Range<Int>?

    init(_ reason: String, _ expression: String, at range: Range<Int>? = nil) {
        self.reason = reason
        self.expression = expression
        self.range = range
    }

    /// The expression, and below it a caret under each character that is wrong; none where the place is not known.
    public var marked: [String] {
        guard let range, !expression.isEmpty else { return [] }
        // One column for each character, so that the carets stand below the right ones.
        let shown = String(
            String.UnicodeScalarView(
                expression.unicodeScalars.map { HarmlessText.isHarmless($0) ? $0 : " " }))
        return [
            shown,
            String(repeating: " ", count: range.lowerBound) + String(repeating: "^", count: max(1, range.count)),
        ]
    }

    /// The error of a command.
    public var sentence: ApplianceError {
        let place = range.map { range in
            range.isEmpty
                ? " (something is missing at its end)"
                : " (at '\(String(Array(expression)[range]).prefix(60))')"
        }
        let reason = HarmlessText.reading(reason.utf8, most: 400)
        return ApplianceError(
            .usage, "the filter does not compile: \(reason)\(place ?? "")",
            hint: "its language is that of pcap-filter(7)",
            details: marked)
    }
}

extension PacketFilterError: CustomStringConvertible {
    /// One sentence and its hint.
    public var description: String { sentence.description }
}
