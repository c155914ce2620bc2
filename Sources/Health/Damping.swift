import Wire

/// What keeps an instance that comes and goes out for a while: route flap damping (RFC 2439), with its words.
///
/// Each fall earns a penalty, which halves in every half-life. Where a fall lifts it above `suppress`, the instance is
/// suppressed until the penalty has come down to `reuse`.
public struct Damping: Sendable {
    /// What a fall earns.
    public static let penalty = 1_000.0
    /// The penalty is no more than what comes down to `reuse` in so many half-lives, so that no flapping, however
    /// wild, keeps an instance out for longer than that once it is calm (RFC 2439, section 4.2: the ceiling).
    public static let longest = 4

    private let suppress: Double
    private let reuse: Double
    /// In nanoseconds.
    private let halfLife: Double
    private let ceiling: Double
    private var figure = 0.0
    private var figuredAt = MonotonicTime(nanoseconds: 0)
    /// True while it keeps the instance out.
    public private(set) var isSuppressing = false

    /// - Parameters:
    ///   - suppress: The penalty above which it keeps the instance out.
    ///   - reuse: The penalty at which it lets it in again; no more than `suppress`.
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

    /// Lets the instance in where its penalty has come down far enough.
    public mutating func advance(to now: MonotonicTime) {
        if isSuppressing, penalty(at: now) <= reuse { isSuppressing = false }
    }

    /// The time at which `advance` lets it in, unless it falls again; nil where it is not kept out.
    public var reuseTime: MonotonicTime? {
        guard isSuppressing else { return nil }
        var low = 0.0, high = 1.0
        while figure * Self.halved(high) > reuse { high *= 2 }
        // To a part of a half-life that no clock shows.
        for _ in 0..<40 {
            let middle = (low + high) / 2
            if figure * Self.halved(middle) > reuse { low = middle } else { high = middle }
        }
        // A microsecond more than the halving by square roots can be wrong by.
        return figuredAt + .nanoseconds(Int64((high * halfLife).rounded(.up)) + 1_000)
    }

    /// Two to the power of minus `halfLives`, which are not negative: whole ones by halving, the rest by square roots.
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
