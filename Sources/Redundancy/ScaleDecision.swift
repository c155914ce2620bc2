import Plan
import Wire

/// Decides when an application needs one more instance, and when one less is enough. It is a pure function of the
/// measured load, with the time as a value.
///
/// One more is needed when the mean load of the instances has been above a limit for the file's time. The last added
/// instance is removed when the others could have carried all of the load at 60 % of the limit. That must hold for six
/// times the file's time. So the others can do without it at once. Only instances that were added by this rule are
/// removed by it.
package struct ScaleDecision: Sendable {
    /// The load of one instance since the last look.
    package struct Load: Sendable, Hashable {
        /// The instance.
        package var instance: String
        /// Packets per second that reached its first leg.
        package var rate: Double
        /// Percent of one processor that its processes used.
        package var processor: Double

        /// Memberwise.
        package init(instance: String, rate: Double, processor: Double) {
            self.instance = instance
            self.rate = rate
            self.processor = processor
        }
    }
    /// The step to take.
    package enum Step: Sendable, Hashable {
        /// One more, and why.
        case add(because: String)
        /// This one less, and why.
        case remove(String, because: String)
    }

    /// An instance goes only if the load on the others is then below this part of the limit.
    private static let calm = 0.6
    /// How much longer than the need for one more the calm must last.
    private static let calmness = 6

    package let plan: ScalePlan
    /// The instances that came by this rule, in the order in which they came.
    package private(set) var added: [String] = []
    /// Since when one more has been needed, and since when one less would do.
    private var needSince: MonotonicTime?
    private var calmSince: MonotonicTime?

    package init(_ plan: ScalePlan) { self.plan = plan }

    /// How long one more must have been needed.
    private var patience: Duration { .milliseconds(plan.patience) }

    /// Takes what the instances did, at a time.
    ///
    /// - Parameters:
    ///   - loads: Those of the instances that take packets.
    ///   - now: Of a clock that never steps back.
    package mutating func look(_ loads: [Load], at now: MonotonicTime) -> Step? {
        guard !loads.isEmpty else {
            (needSince, calmSince) = (nil, nil)
            return nil
        }
        if let need = reason(loads, over: Double(loads.count), above: 1) {
            calmSince = nil
            let since = needSince ?? now
            needSince = since
            guard now - since >= patience, loads.count < plan.most else { return nil }
            return .add(because: need)
        }
        needSince = nil
        guard let last = added.last(where: { name in loads.contains { $0.instance == name } }), loads.count > 1,
            reason(loads, over: Double(loads.count - 1), above: Self.calm) == nil
        else {
            calmSince = nil
            return nil
        }
        let since = calmSince ?? now
        calmSince = since
        guard now - since >= patience * Self.calmness else { return nil }
        return .remove(last, because: "the others can carry the load at \(Int(Self.calm * 100)) % of the limit")
    }

    /// An instance has come by this rule.
    package mutating func note(added instance: String) {
        added.append(instance)
        begin()
    }

    /// An instance has gone, by this rule or otherwise.
    package mutating func note(removed instance: String) {
        added.removeAll { $0 == instance }
        begin()
    }

    /// Forgets all earlier loads: they were of other instances.
    package mutating func begin() { (needSince, calmSince) = (nil, nil) }

    /// A number of any size as a whole one, for people.
    private static func whole(_ number: Double) -> Int { Int(min(max(number, 0), 1e15).rounded()) }

    /// The load that is above its limit if so many instances share all of it; nil if none is.
    private func reason(_ loads: [Load], over instances: Double, above part: Double) -> String? {
        let rate = loads.map(\.rate).reduce(0, +) / instances
        if let limit = plan.rate, rate > Double(limit) * part {
            return "\(Self.whole(rate)) packets a second and instance, above \(limit)"
        }
        let processor = loads.map(\.processor).reduce(0, +) / instances
        if let limit = plan.processor, processor > Double(limit) * part {
            return "\(Self.whole(processor)) % of a processor for each instance, above \(limit) %"
        }
        return nil
    }
}
