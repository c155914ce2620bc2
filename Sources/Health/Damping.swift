import Wire

/// Keeps an instance out for a while that goes up and down too often: route flap damping (RFC 2439), with the RFC's
/// words.
///
/// Each fall adds a penalty, which halves in every half-life. If a fall lifts it above `suppress`, the instance is
/// suppressed until the penalty has decayed to `reuse`.
public struct Damping: Sendable {
    /// The penalty of one fall.
    public static let penalty = 1_000.0
    /// The ceiling of the penalty, in half-lives until it has decayed to `reuse` (RFC 2439, section 4.2). So no
    /// flapping keeps a calm instance out for longer.
    public static let longest = 4

    private let suppress: Double
    private let reuse: Double
    /// In nanoseconds.
    private let halfLife: Double
    private let ceiling: Double
    private var figure = 0.0
    private var figuredAt = MonotonicTime(nanoseconds: 0)
    /// True while the instance is suppressed.
    public private(set) var isSuppressing = false

    /// - Parameters:
    ///   - suppress: The penalty above which the instance is suppressed.
    ///   - reuse: The penalty at which it is accepted again, at most `suppress`.
    ///   - halfLife: In which the penalty halves; at least a microsecond.
    public init(suppress: Int, reuse: Int, halfLife: Duration) {
        self.suppress = Double(max(1, suppress))
        self.reuse = Double(max(1, min(reuse, suppress)))
        self.halfLife = Double(max(1_000, halfLife.wholeNanoseconds))
        ceiling = self.reuse * Double(1 << Self.longest)
    }

    /// The penalty at a time.
    public func penalty(at now: MonotonicTime) -> Double {
        figure * Self.halved(Double(now.nanoseconds - min(now, figuredAt).nanoseconds) / halfLife)
    }

    /// The instance has gone down.
    public mutating func fell(at now: MonotonicTime) {
        figure = min(max(ceiling, suppress), penalty(at: now) + Self.penalty)
        figuredAt = now
        if figure > suppress { isSuppressing = true }
    }

    /// Accepts the instance if its penalty has decayed far enough.
    public mutating func advance(to now: MonotonicTime) {
        if isSuppressing, penalty(at: now) <= reuse { isSuppressing = false }
    }

    /// When `advance` accepts the instance, unless it falls again; nil if it is not suppressed.
    public var reuseTime: MonotonicTime? {
        guard isSuppressing else { return nil }
        var low = 0.0, high = 1.0
        while figure * Self.halved(high) > reuse { high *= 2 }
        // To a fraction of a half-life that no clock shows.
        for _ in 0..<40 {
            let middle = (low + high) / 2
            if figure * Self.halved(middle) > reuse { low = middle } else { high = middle }
        }
        // A microsecond more than the halving by square roots can be wrong by.
        return figuredAt + .nanoseconds(Int64((high * halfLife).rounded(.up)) + 1_000)
    }

    /// Two to the power of minus `halfLives`, which must not be negative: whole ones by halving, the rest by square
    /// roots.
    static func halved(_ halfLives: Double) -> Double {
        guard halfLives < 1_000 else { return 0 }
        var rest = halfLives
        var value = 1.0
        while rest >= 1 {
            value /= 2
            rest -= 1
        }
        var part = 0.5
        var factor = 0.5.squareRoot()
        while part > 1e-12, rest > 0 {
            if rest >= part {
                value *= factor
                rest -= part
            }
            part /= 2
            factor = factor.squareRoot()
        }
        return value
    }
}
