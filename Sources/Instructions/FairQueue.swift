/// Work of several tenants in turns: who has much waits for themselves alone.
package struct FairQueue<Work> {
    private var waiting: [String: [Work]] = [:]
    /// Tenants with work, in the order of their turns.
    private var turns: [String] = []
    /// How much of one tenant may wait.
    package let mostOfOne: Int

    package init(mostOfOne: Int) { self.mostOfOne = mostOfOne }

    /// Adds work at the end of a tenant's.
    ///
    /// - Returns: False if too much of the tenant waits already.
    package mutating func add(_ work: Work, of tenant: String) -> Bool {
        let count = waiting[tenant]?.count ?? 0
        guard count < mostOfOne else { return false }
        if count == 0 { turns.append(tenant) }
        waiting[tenant, default: []].append(work)
        return true
    }

    /// The next one; nil if there is none.
    package mutating func next() -> Work? {
        guard !turns.isEmpty else { return nil }
        let tenant = turns.removeFirst()
        guard var own = waiting.removeValue(forKey: tenant), !own.isEmpty else { return nil }
        let work = own.removeFirst()
        if !own.isEmpty {
            waiting[tenant] = own
            turns.append(tenant)
        }
        return work
    }
}

/// How many instructions somebody may still give: as many as a rate adds, up to a burst.
package struct InstructionBudget: Sendable {
    /// Instructions left, in millionths.
    private var left: Int
    private var at: UInt64

    private static let whole = 1_000_000

    /// How many may come at once.
    package static func burst(perMinute: Int) -> Int { max(5, perMinute / 60) }

    /// - Parameter now: Nanoseconds of a clock that never steps back.
    package init(perMinute: Int, now: UInt64) {
        left = Self.burst(perMinute: perMinute) * Self.whole
        at = now
    }

    /// Takes one.
    ///
    /// - Returns: nil if it may be given, else the seconds until the next one may.
    package mutating func take(perMinute: Int, now: UInt64) -> Int? {
        let most = Self.burst(perMinute: perMinute) * Self.whole
        // Millionths for each microsecond: perMinute / 60.
        let passed = Int(clamping: min((now &- at) / 1_000, 3_600_000_000))
        let gained = passed * perMinute / 60
        // Parts of a millionth are not lost to those who ask often.
        if gained > 0 { (left, at) = (min(most, left + gained), now) }
        guard left < Self.whole else {
            left -= Self.whole
            return nil
        }
        let missing = Self.whole - left
        return max(1, (missing * 60 / max(1, perMinute) + Self.whole - 1) / Self.whole)
    }
}
