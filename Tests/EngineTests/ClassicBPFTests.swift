import Engine
import Seeds
import Testing

/// What the checker of classic BPF refuses, and that a run is bounded and safe whatever the program is. libpcap's own
/// interpreter judges the results in `PacketFilterTests`.
@Suite struct ClassicBPFTests {
    typealias I = ClassicBPFInstruction
    static let accept = I(code: 0x06, k: 1)
    static let refuse = I(code: 0x06, k: 0)

    private func fault(_ instructions: [I]) -> ClassicBPFError? {
        do throws(ClassicBPFError) {
            _ = try ClassicBPFProgram(instructions)
            return nil
        } catch { return error }
    }

    private func matches(_ instructions: [I], _ frame: [UInt8], split: Int) -> Bool {
        // Each part ends where its memory does, so that an address sanitizer sees a load behind it.
        let header = [UInt8](frame[..<split])
        let body = [UInt8](frame[split...])
        return instructions.withUnsafeBufferPointer { instructions in
            header.withUnsafeBytes { header in
                body.withUnsafeBytes { body in
                    ClassicBPFProgram.matches(
                        instructions.baseAddress!, count: instructions.count,
                        header: header.baseAddress ?? UnsafeRawPointer(instructions.baseAddress!),
                        headerLength: header.count,
                        body: body.baseAddress ?? UnsafeRawPointer(instructions.baseAddress!), bodyLength: body.count)
                }
            }
        }
    }

    @Test(
        "Each kind of wrong instruction is refused with its place",
        arguments: [
            ([], ClassicBPFError.length(0)),
            ([I](repeating: refuse, count: 4097), .length(4097)),
            ([I(code: 0xFFFF), accept], .operation(index: 0, code: 0xFFFF)),
            ([I(code: 0x0E), accept], .operation(index: 0, code: 0x0E)),
            ([accept, I(code: 0x20, k: 0xFFFF_F000), accept], .ancillary(index: 1, offset: 0xFFFF_F000)),
            ([I(code: 0x30, k: 0xFFF0_0000), accept], .ancillary(index: 0, offset: 0xFFF0_0000)),
            ([I(code: 0x34, k: 0), accept], .division(index: 0)),
            ([I(code: 0x94, k: 0), accept], .division(index: 0)),
            ([I(code: 0x64, k: 32), accept], .shift(index: 0, bits: 32)),
            ([I(code: 0x74, k: 1 << 31), accept], .shift(index: 0, bits: 1 << 31)),
            ([I(code: 0x60, k: 16), accept], .memory(index: 0, place: 16)),
            ([I(code: 0x03, k: 0xFFFF_FFFF), accept], .memory(index: 0, place: 0xFFFF_FFFF)),
            ([I(code: 0x05, k: 1), accept], .jump(index: 0, distance: 1)),
            ([I(code: 0x05, k: 0xFFFF_FFFF), accept], .jump(index: 0, distance: 0xFFFF_FFFF)),
            ([I(code: 0x15, jumpTrue: 0, jumpFalse: 2, k: 0), accept, refuse], .jump(index: 0, distance: 2)),
            ([I(code: 0x4D, jumpTrue: 255), accept], .jump(index: 0, distance: 255)),
            ([accept, I(code: 0x07)], .end),
        ])
    func refusals(_ instructions: [I], _ wanted: ClassicBPFError) {
        #expect(fault(instructions) == wanted)
    }

    @Test("The longest program and the farthest jump run")
    func limits() {
        var longest = [I](repeating: I(code: 0x04, k: 1), count: ClassicBPFProgram.mostInstructions - 1)
        longest.append(I(code: 0x16))
        #expect(fault(longest) == nil)
        #expect(matches(longest, [], split: 0))
        longest[0] = I(code: 0x05, k: UInt32(longest.count - 2))
        #expect(fault(longest) == nil)
        #expect(!matches(longest, [], split: 0))
    }

    @Test("A load may go from one part of the frame into the other, and never beyond its end")
    func loads() {
        let frame: [UInt8] = [1, 2, 3, 4, 5]
        for split in 0...frame.count {
            for offset in 0...6 {
                for (code, count) in [(UInt16(0x30), 1), (0x28, 2), (0x20, 4)] {
                    let isThere = offset + count <= frame.count
                    let value = isThere ? frame[offset..<offset + count].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } : 0
                    let program = [
                        I(code: code, k: UInt32(offset)), I(code: 0x15, jumpTrue: 0, jumpFalse: 1, k: value),
                        Self.accept, Self.refuse,
                    ]
                    #expect(matches(program, frame, split: split) == isThere)
                    // The same with x = 1, one octet before.
                    guard offset > 0 else { continue }
                    let indirect =
                        [I(code: 0x01, k: 1), I(code: code + 0x20, k: UInt32(offset - 1))] + program.dropFirst()
                    #expect(matches(indirect, frame, split: split) == isThere)
                }
            }
        }
        #expect(!matches([I(code: 0x01, k: .max), I(code: 0x50, k: 1), Self.accept], frame, split: 2))
    }

    @Test("A division by a zero in x ends the run without a match")
    func division() {
        for code: UInt16 in [0x3C, 0x9C] {
            #expect(fault([I(code: code), Self.accept]) == nil)
            #expect(!matches([I(code: code), Self.accept], [], split: 0))
            #expect(matches([I(code: 0x01, k: 1), I(code: code), Self.accept], [], split: 0))
        }
    }

    @Test("Programs of random octets that nobody checked end, and trap nowhere")
    func unchecked() {
        var generator = SeededGenerator(seed: Seed.drawn())
        var matched = 0
        for _ in 0..<20_000 {
            let instructions = (0...Int.random(in: 0...20, using: &generator)).map { _ in
                I(
                    code: .random(in: 0...0xBF, using: &generator),
                    jumpTrue: .random(in: 0...4, using: &generator), jumpFalse: .random(in: 0...4, using: &generator),
                    k: Bool.random(using: &generator)
                        ? .random(in: 0...64, using: &generator) : .random(in: 0...UInt32.max, using: &generator))
            }
            let frame = (0..<Int.random(in: 0...64, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            if matches(instructions, frame, split: .random(in: 0...frame.count, using: &generator)) { matched += 1 }
            _ = fault(instructions)
        }
        #expect(matched > 10)
    }
}
