/// One instruction of classic BPF: `struct bpf_insn` of libpcap, `struct sock_filter` of linux/filter.h.
///
///      0               2       3       4                               8 octets
///     +---------------+-------+-------+-------------------------------+
///     |     code      |  jt   |  jf   |               k               |
///     +---------------+-------+-------+-------------------------------+
///
/// All fields are in the machine's order, and the layout is that of C.
public struct ClassicBPFInstruction: Sendable, Hashable {
    /// The operation: class, size and mode, or class, operation and source.
    public var code: UInt16
    /// Instructions to skip where a comparison holds.
    public var jumpTrue: UInt8
    /// Instructions to skip where it does not hold.
    public var jumpFalse: UInt8
    /// The constant, offset or memory index.
    public var k: UInt32

    /// Memberwise.
    public init(code: UInt16, jumpTrue: UInt8 = 0, jumpFalse: UInt8 = 0, k: UInt32 = 0) {
        self.code = code
        self.jumpTrue = jumpTrue
        self.jumpFalse = jumpFalse
        self.k = k
    }
}

/// Why a program of classic BPF is not run.
public enum ClassicBPFError: Error, Sendable, Hashable {
    /// It has no instruction, or more than `ClassicBPFProgram.mostInstructions`.
    case length(Int)
    /// An instruction has an operation that the engine does not run.
    case operation(index: Int, code: UInt16)
    /// A load asks for what is not in the frame: the kernel's data about it (SKF_AD_OFF, SKF_NET_OFF, SKF_LL_OFF).
    case ancillary(index: Int, offset: UInt32)
    /// A division by the constant zero.
    case division(index: Int)
    /// A shift by a constant of 32 or more bits.
    case shift(index: Int, bits: UInt32)
    /// There is no memory with this index.
    case memory(index: Int, place: UInt32)
    /// A jump behind the last instruction, or a backward one, which its unsigned distance makes one behind the last.
    case jump(index: Int, distance: UInt32)
    /// The last instruction does not return.
    case end
}

extension ClassicBPFError: CustomStringConvertible {
    /// One sentence without a full stop.
    public var description: String {
        switch self {
        case .length(let count):
            "the filter has \(count) instructions; the engine runs 1 to \(ClassicBPFProgram.mostInstructions)"
        case .operation(let index, let code):
            "instruction \(index) of the filter has the unknown operation 0x\(String(code, radix: 16))"
        case .ancillary(let index, let offset):
            "instruction \(index) of the filter loads 0x\(String(offset, radix: 16)), which is not in the frame"
        case .division(let index): "instruction \(index) of the filter divides by zero"
        case .shift(let index, let bits): "instruction \(index) of the filter shifts by \(bits) bits"
        case .memory(let index, let place): "instruction \(index) of the filter uses memory \(place) of 16"
        case .jump(let index, let distance):
            Int32(bitPattern: distance) < 0
                ? "instruction \(index) of the filter jumps back; the engine runs no loops"
                : "instruction \(index) of the filter jumps behind the end"
        case .end: "the filter does not end with a return"
        }
    }
}

/// A program of classic BPF that tells whether a frame matches, checked before it is run (McCanne and Jacobson, 1993).
///
/// A checked program has known operations only, jumps forward only, and ends on every path. So a run takes at most one
/// step for each instruction. It neither allocates nor traps, whatever the frame is.
public struct ClassicBPFProgram: Sendable, Hashable {
    /// The most instructions of a program, as in the kernel (BPF_MAXINSNS).
    public static let mostInstructions = 4096
    /// The words of scratch memory (BPF_MEMWORDS).
    public static let memoryWords = 16
    /// Absolute loads from here on are the kernel's ancillary data, not the frame (`SKF_LL_OFF` and higher are in it).
    static let firstAncillaryOffset: UInt32 = 0x8000_0000

    /// The instructions.
    public let instructions: [ClassicBPFInstruction]

    /// - Throws: What the first wrong instruction is.
    public init(_ instructions: [ClassicBPFInstruction]) throws(ClassicBPFError) {
        // Not inside a closure, which would lose the error's type.
        let wrong = instructions.withUnsafeBufferPointer { Self.fault($0) }
        if let wrong { throw wrong }
        self.instructions = instructions
    }

    /// What is wrong with a program; nil: it may be run.
    ///
    /// - Parameter instructions: They may be in shared memory. Whoever writes there can change them after the check; see
    ///   `matches(_:count:header:headerLength:body:bodyLength:)`.
    public static func fault(_ instructions: UnsafeBufferPointer<ClassicBPFInstruction>) -> ClassicBPFError? {
        guard (1...mostInstructions).contains(instructions.count) else { return .length(instructions.count) }
        for (index, instruction) in instructions.enumerated() {
            if let fault = fault(of: instruction, at: index, behind: instructions.count - index - 1) { return fault }
        }
        // Jumps go forward only, so every path ends at a return if the last instruction is one.
        return instructions[instructions.count - 1].isReturn ? nil : .end
    }

    /// - Parameter left: How many instructions follow.
    private static func fault(
        of instruction: ClassicBPFInstruction, at index: Int, behind left: Int
    ) -> ClassicBPFError? {
        let k = instruction.k
        switch instruction.code {
        case 0x20, 0x28, 0x30:  // ld, ldh, ldb [k]
            return k >= firstAncillaryOffset ? .ancillary(index: index, offset: k) : nil
        case 0x40, 0x48, 0x50, 0x80, 0x81, 0xB1, 0x00, 0x01:  // [x + k], #len, 4*([k]&0xf), #k
            return nil
        case 0x60, 0x61, 0x02, 0x03:  // ld, ldx, st, stx M[k]
            return k < UInt32(memoryWords) ? nil : .memory(index: index, place: k)
        case 0x34, 0x94:  // div, mod #k
            return k != 0 ? nil : .division(index: index)
        case 0x64, 0x74:  // lsh, rsh #k
            return k < 32 ? nil : .shift(index: index, bits: k)
        case 0x04, 0x14, 0x24, 0x44, 0x54, 0xA4, 0x84:  // add, sub, mul, or, and, xor #k; neg
            return nil
        case 0x0C, 0x1C, 0x2C, 0x3C, 0x4C, 0x5C, 0x6C, 0x7C, 0x9C, 0xAC:  // arithmetic with x
            return nil
        case 0x05:  // ja
            return UInt64(k) < UInt64(left) ? nil : .jump(index: index, distance: k)
        case 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x45, 0x4D:  // jeq, jgt, jge, jset with #k and x
            let farthest = max(instruction.jumpTrue, instruction.jumpFalse)
            return Int(farthest) < left ? nil : .jump(index: index, distance: UInt32(farthest))
        case 0x06, 0x16, 0x07, 0x87:  // ret #k, ret a, tax, txa
            return nil
        default: return .operation(index: index, code: instruction.code)
        }
    }
}

extension ClassicBPFInstruction {
    /// True for `ret #k` and `ret a`.
    var isReturn: Bool { code == 0x06 || code == 0x16 }
}
