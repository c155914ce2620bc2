import Engine
import Testing

@testable import ControlAPI

/// What requests may ask for is what there can be.
@Suite struct RequestRangeTests {
    @Test("the number of an engine is bounded by the number of queue indexes")
    func engine() {
        #expect(RequestRange.engine == 1...QueueSets.capacity)
    }
}
