import FuzzProperties
import Seeds
import Testing

/// Impaired links in the memory that engines map: inputs by chance, with a seed that is printed.
@Suite struct ImpairmentMemoryTests {
    @Test(arguments: 0..<4)
    func everyMemoryIsHarmless(_ kind: Int) {
        let seed = Seed.drawn()
        var generator = SeededGenerator(seed: seed)
        for round in 0..<2_000 {
            var input = [UInt8(kind)]
            for _ in 0..<Int.random(in: 8...400, using: &generator) {
                input.append(.random(in: 0...255, using: &generator))
            }
            do {
                try input.withUnsafeBytes { try FuzzTarget.impairment.check($0) }
            } catch {
                Issue.record("round \(round) of seed \(seed): \(error)")
                return
            }
        }
    }
}
