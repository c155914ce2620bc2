import Seeds
import Testing
import Wire

@Suite struct ChecksumTests {
    @Test func everyLengthAgreesWithTheNaiveSum() {
        var generator = SeededGenerator(seed: 1071)
        let bytes = (0..<9_010).map { _ in UInt8.random(in: 0...255, using: &generator) }
        // The naive sums of every prefix at once, for each of the offsets.
        for offset in [0, 1, 2, 3, 7, 8] {
            var sum: UInt32 = 0
            for length in 0...9_001 {
                let expected = UInt16(sum)
                let found = InternetChecksum.sum(bytes.span.bytes, offset..<offset + length)
                if found != expected { #expect(found == expected, "offset \(offset), length \(length)") }
                let octet = UInt32(bytes[offset + length])
                sum += length % 2 == 0 ? octet << 8 : octet
                sum = (sum & 0xFFFF) + (sum >> 16)
            }
        }
    }

    @Test func carriesAreNeverLost() {
        for length in [15, 16, 17, 64, 1_500, 65_535] {
            let ones = [UInt8](repeating: 0xFF, count: length)
            #expect(InternetChecksum.sum(ones.span.bytes, 0..<length) == naiveSum(ones))
            #expect(
                InternetChecksum.sum(ones.span.bytes, 0..<length, adding: .max)
                    == naiveSum([UInt8](repeating: 0xFF, count: 8) + ones))
        }
    }

    @Test func exampleOfRFC1071() {
        let bytes: [UInt8] = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]
        #expect(InternetChecksum.sum(bytes.span.bytes, 0..<8) == 0xDDF2)
    }

    @Test func exampleOfRFC1624() {
        // Section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285 gives 0x0000, where equation 2 gave 0xFFFF.
        var change = ChecksumChange()
        change.add(from: 0x5555, to: 0x3285)
        #expect(change.applied(to: 0xDD2F, .full) == 0x0000)
        #expect(change.applied(to: ~0xDD2F, .partial) == 0xFFFF)
    }

    @Test func completingGivesTheFullChecksum() {
        let (source, destination) = (ip("2001:db8::1"), ip("2001:db8::2"))
        for number: UInt8 in [6, 17] {
            var frame = TestFrames.transport(number, source, destination, .partial, padding: 3)
            let expected = TestFrames.transport(number, source, destination, .full, padding: 3)
            let end = frame.count - 3
            var span = frame.mutableSpan
            var bytes = span.mutableBytes
            #expect(InternetChecksum.complete(&bytes, start: 54, offset: number == 6 ? 16 : 6, end: end))
            #expect(frame == expected)
        }
    }

    @Test(arguments: [(-1, 6, 60), (54, -1, 60), (54, 5, 60), (54, .max, 60), (61, 0, 60), (54, 4, 71), (.max, 0, 60)])
    func completingOutsideOfThePacketIsRefused(_ start: Int, _ offset: Int, _ end: Int) {
        var frame = [UInt8](repeating: 1, count: 70)
        let before = frame
        var span = frame.mutableSpan
        var bytes = span.mutableBytes
        #expect(!InternetChecksum.complete(&bytes, start: start, offset: offset, end: end))
        #expect(frame == before)
    }
}
