// The interpreter of classic BPF.
//
//     a, x    32-bit registers, zero at first
//     M       16 words of scratch memory, zero at first
//
// Loads are big-endian. A load that is not wholly in the frame ends the run without a match, and so does a division by a
// zero in x. A shift by 32 or more bits in x leaves zero, as in libpcap.

extension ClassicBPFProgram {
    /// Whether a frame matches, which is in two parts that follow one another.
    ///
    /// - Parameters:
    ///   - header: The first octets, from the Ethernet header on.
    ///   - headerLength: How many, in octets; 0 or more.
    ///   - body: The octets that follow.
    ///   - bodyLength: How many, in octets; 0 or more.
    public func matches(
        header: UnsafeRawPointer, headerLength: Int, body: UnsafeRawPointer, bodyLength: Int
    ) -> Bool {
        instructions.withUnsafeBufferPointer { instructions in
            guard let start = instructions.baseAddress else { return false }
            return Self.matches(
                start, count: instructions.count, header: header, headerLength: headerLength, body: body,
                bodyLength: bodyLength)
        }
    }

    /// Whether a frame matches a program that stands in memory.
    ///
    /// The run is safe whatever the instructions are, even if they were never checked or are changed meanwhile. It ends
    /// after `count` steps, because the place only grows. It reads `count` instructions and the frame, and nothing else.
    /// An unknown operation ends it without a match.
    ///
    /// - Parameters:
    ///   - program: The first instruction.
    ///   - count: How many instructions there are; 0 or more.
    ///   - header: The first octets of the frame, from the Ethernet header on.
    ///   - headerLength: How many, in octets; 0 or more.
    ///   - body: The octets that follow.
    ///   - bodyLength: How many, in octets; 0 or more.
    public static func matches(
        _ program: UnsafePointer<ClassicBPFInstruction>, count: Int, header: UnsafeRawPointer, headerLength: Int,
        body: UnsafeRawPointer, bodyLength: Int
    ) -> Bool {
        let frame = FrameParts(header: header, headerLength: headerLength, body: body, bodyLength: bodyLength)
        var a: UInt32 = 0
        var x: UInt32 = 0
        var memory = InlineArray<16, UInt32>(repeating: 0)
        var place = 0
        while place < count {
            let instruction = program[place]
            let k = instruction.k
            place &+= 1
            switch instruction.code {
            // Loads: from the frame, its length, a constant, scratch memory.
            case 0x20: guard let value = frame.word(UInt64(k)) else { return false }; a = value
            case 0x28: guard let value = frame.half(UInt64(k)) else { return false }; a = value
            case 0x30: guard let value = frame.octet(UInt64(k)) else { return false }; a = value
            case 0x40: guard let value = frame.word(UInt64(x) &+ UInt64(k)) else { return false }; a = value
            case 0x48: guard let value = frame.half(UInt64(x) &+ UInt64(k)) else { return false }; a = value
            case 0x50: guard let value = frame.octet(UInt64(x) &+ UInt64(k)) else { return false }; a = value
            case 0xB1: guard let value = frame.octet(UInt64(k)) else { return false }; x = (value & 0xF) &* 4
            case 0x80: a = UInt32(truncatingIfNeeded: frame.length)
            case 0x81: x = UInt32(truncatingIfNeeded: frame.length)
            case 0x00: a = k
            case 0x01: x = k
            case 0x60: a = memory[Int(k & 15)]
            case 0x61: x = memory[Int(k & 15)]
            case 0x02: memory[Int(k & 15)] = a
            case 0x03: memory[Int(k & 15)] = x

            // Arithmetic with a constant.
            case 0x04: a = a &+ k
            case 0x14: a = a &- k
            case 0x24: a = a &* k
            case 0x34: guard k != 0 else { return false }; a = a / k
            case 0x94: guard k != 0 else { return false }; a = a % k
            case 0x44: a = a | k
            case 0x54: a = a & k
            case 0xA4: a = a ^ k
            case 0x64: a = a << k
            case 0x74: a = a >> k
            case 0x84: a = 0 &- a

            // Arithmetic with x.
            case 0x0C: a = a &+ x
            case 0x1C: a = a &- x
            case 0x2C: a = a &* x
            case 0x3C: guard x != 0 else { return false }; a = a / x
            case 0x9C: guard x != 0 else { return false }; a = a % x
            case 0x4C: a = a | x
            case 0x5C: a = a & x
            case 0xAC: a = a ^ x
            case 0x6C: a = a << x
            case 0x7C: a = a >> x

            // Jumps. Distances are unsigned, so every jump goes forward.
            case 0x05: place = place &+ Int(k)
            case 0x15: place = place &+ instruction.distance(a == k)
            case 0x25: place = place &+ instruction.distance(a > k)
            case 0x35: place = place &+ instruction.distance(a >= k)
            case 0x45: place = place &+ instruction.distance(a & k != 0)
            case 0x1D: place = place &+ instruction.distance(a == x)
            case 0x2D: place = place &+ instruction.distance(a > x)
            case 0x3D: place = place &+ instruction.distance(a >= x)
            case 0x4D: place = place &+ instruction.distance(a & x != 0)

            // Between the registers, and the end.
            case 0x07: x = a
            case 0x87: a = x
            case 0x06: return k != 0
            case 0x16: return a != 0
            default: return false
            }
        }
        return false
    }
}

extension ClassicBPFInstruction {
    /// How many instructions a comparison skips.
    @inline(__always)
    fileprivate func distance(_ holds: Bool) -> Int { Int(holds ? jumpTrue : jumpFalse) }
}

/// A frame in two parts that follow one another, read with big-endian loads that may go from one part into the other.
private struct FrameParts {
    let header: UnsafeRawPointer
    let headerLength: UInt64
    let body: UnsafeRawPointer
    /// Octets of both.
    let length: UInt64

    @inline(__always)
    init(header: UnsafeRawPointer, headerLength: Int, body: UnsafeRawPointer, bodyLength: Int) {
        self.header = header
        self.headerLength = UInt64(truncatingIfNeeded: max(headerLength, 0))
        self.body = body
        length = self.headerLength &+ UInt64(truncatingIfNeeded: max(bodyLength, 0))
    }

    /// The octet at an offset; nil behind the end.
    @inline(__always)
    func octet(_ offset: UInt64) -> UInt32? {
        guard offset < length else { return nil }
        return UInt32(
            offset < headerLength
                ? header.load(fromByteOffset: Int(truncatingIfNeeded: offset), as: UInt8.self)
                : body.load(fromByteOffset: Int(truncatingIfNeeded: offset &- headerLength), as: UInt8.self))
    }

    /// The two octets at an offset.
    ///
    /// - Parameter offset: Less than 2³³.
    @inline(__always)
    func half(_ offset: UInt64) -> UInt32? {
        guard let start = place(offset, 2) else { return straddling(offset, 2) }
        return UInt32(start.loadUnaligned(as: UInt16.self).bigEndian)
    }

    /// The four octets at an offset.
    ///
    /// - Parameter offset: Less than 2³³.
    @inline(__always)
    func word(_ offset: UInt64) -> UInt32? {
        guard let start = place(offset, 4) else { return straddling(offset, 4) }
        return start.loadUnaligned(as: UInt32.self).bigEndian
    }

    /// Where so many octets stand together; nil where they do not, or go beyond the end.
    @inline(__always)
    private func place(_ offset: UInt64, _ count: UInt64) -> UnsafeRawPointer? {
        let end = offset &+ count
        if end <= headerLength { return header + Int(truncatingIfNeeded: offset) }
        guard offset >= headerLength, end <= length else { return nil }
        return body + Int(truncatingIfNeeded: offset &- headerLength)
    }

    /// Octets of which some are in either part, one by one.
    @inline(never)
    private func straddling(_ offset: UInt64, _ count: UInt64) -> UInt32? {
        guard offset &+ count <= length else { return nil }
        var value: UInt32 = 0
        for index in 0..<count {
            guard let octet = octet(offset &+ index) else { return nil }
            value = value << 8 | octet
        }
        return value
    }
}
