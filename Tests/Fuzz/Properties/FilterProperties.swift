import Engine

/// Whatever the instructions, the interpreter of classic BPF reads nothing but them and the frame, and ends; and wherever a
/// frame is split, it decides the same.
///
/// An input is an octet for the number of instructions, one for the split, seven octets for each instruction, and the frame.
enum FilterProperties {
    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        var choices = ByteChoices(input)
        let count = 1 + Int(choices.octet()) % 64
        let place = Int(choices.octet())
        let instructions = (0..<count).map { _ in
            ClassicBPFInstruction(
                code: UInt16(choices.octet()), jumpTrue: choices.octet(), jumpFalse: choices.octet(),
                k: UInt32(choices.octet()) << 24 | UInt32(choices.octet()) << 16 | UInt32(choices.word()))
        }
        let frame = choices.rest(2_000)
        let whole = matches(instructions, frame, split: frame.count)
        let isSplit = matches(instructions, frame, split: place % (frame.count + 1))
        try require(whole == isSplit, "a frame of \(frame.count) octets matches only where it is split otherwise")
        let fault = instructions.withUnsafeBufferPointer { ClassicBPFProgram.fault($0) }
        guard let program = try? ClassicBPFProgram(instructions) else {
            return try require(fault != nil, "a program without a fault is refused")
        }
        try require(fault == nil, "a program is accepted although \(fault.map { "\($0)" } ?? "")")
        let start = frame.baseAddress ?? UnsafeRawPointer(bitPattern: 8)!
        let isMatch = program.matches(header: start, headerLength: frame.count, body: start, bodyLength: 0)
        try require(isMatch == whole, "a program decides otherwise once it was checked")
    }

    /// The decision, with each part in an allocation of its own.
    private static func matches(
        _ instructions: [ClassicBPFInstruction], _ frame: UnsafeRawBufferPointer, split: Int
    ) -> Bool {
        let (header, body) = (ExactOctets(frame[..<split]), ExactOctets(frame[split...]))
        return instructions.withUnsafeBufferPointer { program in
            guard let start = program.baseAddress else { return false }
            let none = UnsafeRawPointer(start)
            return ClassicBPFProgram.matches(
                start, count: program.count, header: header.bytes.baseAddress.map { UnsafeRawPointer($0) } ?? none,
                headerLength: split, body: body.bytes.baseAddress.map { UnsafeRawPointer($0) } ?? none,
                bodyLength: frame.count - split)
        }
    }
}
