import Plan
import Testing
import Wire

@testable import Appliance
@testable import Redundancy

/// When an instance more is needed, and when one less will do.
@Suite struct ScaleDecisionTests {
    private static func time(_ seconds: Int) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + .seconds(seconds) }

    private func loads(_ rates: [Double], processor: Double = 0) -> [ScaleDecision.Load] {
        rates.enumerated().map { ScaleDecision.Load(instance: "web-\($0 + 1)", rate: $1, processor: processor) }
    }

    @Test("one more is needed only where the load stays above the limit for the whole of the patience")
    func patience() {
        var decision = ScaleDecision(ScalePlan(rate: 1000, patience: 5000, most: 4))
        for second in 0..<5 { #expect(decision.look(loads([1500]), at: Self.time(second)) == nil) }
        #expect(decision.look(loads([900]), at: Self.time(5)) == nil)
        for second in 6..<11 { #expect(decision.look(loads([1500]), at: Self.time(second)) == nil) }
        #expect(
            decision.look(loads([1500]), at: Self.time(11))
                == .add(because: "1500 packets a second and instance, above 1000"))
        decision.note(added: "web-2")
        #expect(decision.look(loads([1500, 1400]), at: Self.time(12)) == nil)
    }

    @Test("the mean counts: an instance that has more than its share does not ask for another")
    func mean() {
        var decision = ScaleDecision(ScalePlan(rate: 1000, patience: 1000, most: 4))
        for second in 0..<10 { #expect(decision.look(loads([1900, 50]), at: Self.time(second)) == nil) }
    }

    @Test("there are never more than the file allows")
    func most() {
        var decision = ScaleDecision(ScalePlan(rate: 10, patience: 0, most: 2))
        #expect(decision.look(loads([100, 100]), at: Self.time(0)) == nil)
        #expect(decision.look(loads([100]), at: Self.time(1)) != nil)
    }

    @Test("processor time asks as the rate does, and either is enough")
    func processor() {
        var decision = ScaleDecision(ScalePlan(rate: 1000, processor: 80, patience: 0, most: 4))
        #expect(
            decision.look(loads([1], processor: 95), at: Self.time(0))
                == .add(because: "95 % of a processor for each instance, above 80 %"))
    }

    @Test("what came by the rule goes when the others could have carried the load for six times the patience")
    func calm() {
        var decision = ScaleDecision(ScalePlan(rate: 1000, patience: 1000, most: 4))
        decision.note(added: "web-2")
        decision.note(added: "web-3")
        // Two that stay would have 650 each: more than 60 % of the limit.
        for second in 0..<20 { #expect(decision.look(loads([500, 400, 400]), at: Self.time(second)) == nil) }
        for second in 20..<26 { #expect(decision.look(loads([400, 400, 390]), at: Self.time(second)) == nil) }
        #expect(
            decision.look(loads([400, 400, 390]), at: Self.time(26))
                == .remove("web-3", because: "the others can carry the load at 60 % of the limit"))
        decision.note(removed: "web-3")
        #expect(decision.look(loads([100, 100]), at: Self.time(27)) == nil)
        #expect(decision.look(loads([100, 100]), at: Self.time(33)) != nil)
        decision.note(removed: "web-2")
        for second in 40..<60 { #expect(decision.look(loads([0]), at: Self.time(second)) == nil) }
    }

    @Test("what the file or a person added stays")
    func others() {
        var decision = ScaleDecision(ScalePlan(rate: 1000, patience: 0, most: 4))
        for second in 0..<20 { #expect(decision.look(loads([0, 0, 0]), at: Self.time(second)) == nil) }
    }

    @Test("loads of any size are told, whatever a node's own /proc says")
    func huge() {
        var decision = ScaleDecision(ScalePlan(rate: 1000, patience: 0, most: 4))
        #expect(decision.look(loads([Double(UInt64.max) * 1e9, .infinity]), at: Self.time(0)) != nil)
        var other = ScaleDecision(ScalePlan(processor: 90, patience: 0, most: 4))
        #expect(
            other.look(
                [ScaleDecision.Load(instance: "a", rate: 0, processor: Double(UInt64.max) * 1e9)], at: Self.time(0))
                != nil)
    }

    @Test("where nothing works there is nothing to decide")
    func none() {
        var decision = ScaleDecision(ScalePlan(rate: 1, patience: 0, most: 4))
        #expect(decision.look([], at: Self.time(0)) == nil)
    }
}
