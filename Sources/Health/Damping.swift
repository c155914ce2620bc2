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
    private let halfLife: Double
    private let ceiling: Double
    private var figure = 0.0
    private var figuredAt = 0
    /// True while it keeps the instance out.
    public private(set) var isSuppressing = false

    /// - Parameters:
    ///   - suppress: The penalty above which it keeps the instance out.
    ///   - reuse: The penalty at which it lets it in again; no more than `suppress`.
    ///   - halfLife: In microseconds.
    public init(suppress: Int, reuse: Int, halfLife: Int) {
        self.suppress = Double(max(1, suppress))
        self.reuse = Double(max(1, min(reuse, suppress)))
        self.halfLife = Double(max(1, halfLife))
        ceiling = self.reuse * Double(1 << Self.longest)
    }

    /// The penalty at a time.
    public func penalty(at now: Int) -> Double {
        figure * Self.halved(Double(max(0, now - figuredAt)) / halfLife)
    }

    /// The instance has gone down.
    public mutating func fell(at now: Int) {
        figure = min(max(ceiling, suppress), penalty(at: now) + Self.penalty)
        figuredAt = now
        if figure > suppress { isSuppressing = true }
    }

    /// Lets the instance in where its penalty has come down far enough.
    public mutating func advance(to now: Int) {
        if isSuppressing, penalty(at: now) <= reuse { isSuppressing = false }
    }

    /// The time at which `advance` lets it in, unless it falls again; nil where it is not kept out.
    public var reuseTime: Int? {
        guard isSuppressing else { return nil }
        var low = 0.0, high = 1.0
        while figure * Self.halved(high) > reuse { high *= 2 }
        // To a part of a half-life that no clock shows.
        for _ in 0..<40 {
            let middle = (low + high) / 2
            if figure * Self.halved(middle) > reuse { low = middle } else { high = middle }
        }
        return figuredAt + Int((high * halfLife).rounded(.up)) + 1
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
