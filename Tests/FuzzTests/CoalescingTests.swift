import FuzzProperties
import Seeds
import Testing

/// Coalescing is invisible: inputs by chance, with a seed that is printed.
@Suite struct CoalescingTests {
    @Test func nobodyCanTellThatFramesWereCoalesced() {
        let seed = Seed.drawn()
        var state = seed
        var coalesced = 0
        let workers = CoalescingProperties()
        for round in 0..<300 {
            var input = [UInt8](repeating: 0, count: 1_500)
            for index in input.indices {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                input[index] = UInt8(truncatingIfNeeded: state >> 32)
                // Often the flow before, and nothing odd: so runs become long.
                if index > 3, round % 2 == 0, index % 2 == 0, state >> 40 & 3 != 0 { input[index] = input[index - 2] }
            }
            do {
                coalesced += try input.withUnsafeBytes { try workers.coalesced($0) }
            } catch {
                Issue.record("round \(round) of seed \(seed): \(error)")
                return
            }
        }
        // Of the frames from customers those are dropped whose source is forged: none of these is coalesced.
        #expect(coalesced > 4_000, "the frames are such that they can be coalesced")
    }
}
