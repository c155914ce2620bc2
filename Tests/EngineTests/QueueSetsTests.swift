import Engine
import Testing

/// Queue sets as a set.
@Suite struct QueueSetsTests {
    @Test func itHoldsWhatWasPutIn() {
        var set = QueueSets()
        #expect(set.isEmpty)
        let queueSets = [0, 1, 63, 64, 127, 128, 191, 192, 255]
        for queueSet in queueSets { set.insert(queueSet) }
        for queueSet in [-1, 256, 1_000] { set.insert(queueSet) }
        #expect(set.numbers == queueSets)
        #expect(set == QueueSets(queueSets.reversed()))
        set.remove(64)
        #expect(!set.contains(64) && set.contains(63) && !set.contains(-1) && !set.contains(256))
        #expect(set != QueueSets(queueSets))
        for queueSet in queueSets { set.remove(queueSet) }
        #expect(set.isEmpty)
    }
}
