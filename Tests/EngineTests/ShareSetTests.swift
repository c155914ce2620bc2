import Engine
import Testing

/// Shares as a set.
@Suite struct ShareSetTests {
    @Test func itHoldsWhatWasPutIn() {
        var set = ShareSet()
        #expect(set.isEmpty)
        let shares = [0, 1, 63, 64, 127, 128, 191, 192, 255]
        for share in shares { set.insert(share) }
        for share in [-1, 256, 1_000] { set.insert(share) }
        #expect(set.shares == shares)
        #expect(set == ShareSet(shares.reversed()))
        set.remove(64)
        #expect(!set.contains(64) && set.contains(63) && !set.contains(-1) && !set.contains(256))
        #expect(set != ShareSet(shares))
        for share in shares { set.remove(share) }
        #expect(set.isEmpty)
    }
}
