import Engine
import Wire

/// What a kernel makes of a frame that is to be segmented, or whose checksum is to be completed, written down from its
/// rules (tcp_gso_segment, __udp_gso_segment, inet_gso_segment, skb_checksum_help) apart from the code that it judges.
enum KernelSegmentation {
    /// The frames, from the Ethernet header on, that a receiver without offload gets. A completed checksum of TCP that
    /// is zero is written as 0, one of UDP as 0xFFFF.
    static func frames(of bytes: [UInt8]) throws(BrokenProperty) -> [[UInt8]] {
        guard let offload = bytes.withUnsafeBytes({ VirtioNetHeader($0.bytes) }) else {
            throw BrokenProperty("a frame of \(bytes.count) octets goes out")
        }
        let frame = Array(bytes.dropFirst(VirtioNetHeader.length))
        guard offload.isSegmented else {
            guard offload.flags & VirtioNetHeader.needsChecksum != 0 else { return [frame] }
            var whole = frame
            let (start, field) = (Int(offload.checksumStart), Int(offload.checksumStart) + Int(offload.checksumOffset))
            try require(field + 2 <= frame.count, "a checksum beyond the frame is asked for")
            complete(&whole, start, field, isUDP: offload.checksumOffset == 6)
            return [whole]
        }
        return try segments(of: frame, offload)
    }

    private static func segments(
        of frame: [UInt8], _ offload: VirtioNetHeader
    ) throws(BrokenProperty) -> [[UInt8]] {
        let (six, start) = (frame[12] == 0x86, Int(offload.checksumStart))
        let isTCP = offload.gsoType & ~VirtioNetHeader.gsoECN != VirtioNetHeader.gsoUDPL4
        let network = six ? 40 : Int(frame[14] & 15) * 4
        let headers = start + (isTCP ? Int(frame[start + 12] >> 4) * 4 : 8)
        let end = six ? 54 + NaiveSums.word(frame, 18) : 14 + NaiveSums.word(frame, 16)
        let size = Int(offload.gsoSize)
        try require(size > 0 && end <= frame.count && headers < end, "a superframe of \(frame.count) octets lies")
        let oldLength = (isTCP ? end - start : NaiveSums.word(frame, start + 4))
        var segments: [[UInt8]] = []
        for offset in stride(from: headers, to: end, by: size) {
            let payload = frame[offset..<min(end, offset + size)]
            var segment = Array(frame[..<headers]) + payload
            let isLast = offset + size >= end
            let length = segment.count - start
            if six {
                store(segment.count - 14 - 40, 18, in: &segment)
            } else {
                store(segment.count - 14, 16, in: &segment)
                store(NaiveSums.word(frame, 18) + segments.count, 18, in: &segment)
                store(0, 24, in: &segment)
                let sum = NaiveSums.sum(segment[14..<14 + network])
                store(sum == 0 ? 0 : ~sum, 24, in: &segment)
            }
            let field = start + Int(offload.checksumOffset)
            if isTCP {
                let sequence = NaiveSums.word(frame, start + 4) << 16 + NaiveSums.word(frame, start + 6)
                let next = sequence + offset - headers
                store(next >> 16, start + 4, in: &segment)
                store(next, start + 6, in: &segment)
                if !isLast { segment[start + 13] &= ~0x09 }
                if !segments.isEmpty { segment[start + 13] &= 0x7F }
            } else {
                store(length, start + 4, in: &segment)
            }
            // The field has the pseudo-header's sum, with the length of the whole: of that the kernel takes the difference.
            store(fold(NaiveSums.word(frame, field) + 0xFFFF - oldLength % 0xFFFF + length), field, in: &segment)
            complete(&segment, start, field, isUDP: !isTCP)
            segments.append(segment)
        }
        return segments
    }

    private static func complete(_ frame: inout [UInt8], _ start: Int, _ field: Int, isUDP: Bool) {
        // The sum of a packet is never zero: what is zero modulo 0xFFFF is 0xFFFF, and its complement 0.
        let sum = NaiveSums.sum(frame[start...])
        store(sum == 0 ? (isUDP ? 0xFFFF : 0) : ~sum, field, in: &frame)
    }

    private static func fold(_ sum: Int) -> Int {
        var sum = sum
        while sum >> 16 != 0 { sum = (sum & 0xFFFF) + sum >> 16 }
        return sum
    }

    private static func store(_ value: Int, _ offset: Int, in frame: inout [UInt8]) {
        frame[offset] = UInt8(value >> 8 & 0xFF)
        frame[offset + 1] = UInt8(value & 0xFF)
    }
}
