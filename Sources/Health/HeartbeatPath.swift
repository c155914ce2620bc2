/// The path of one heartbeat: it enters by the `in` leg and comes out of the `out` leg. Its answer enters there, and
/// comes out of the `in` leg.
///
/// Frames go in, the verdict comes out. A heartbeat has passed when its answer has come out. A negative one has passed
/// when its time is over and it has not come out.
public struct HeartbeatPath: Sendable, Hashable {
    /// The last place where it was seen.
    public enum Stage: Sendable, Hashable {
        /// It was sent, and has not come out.
        case sent
        /// It came out damaged: a checksum is wrong, or a part is missing.
        case broken
        /// It came out, its answer was sent, and the answer has not come out.
        case answered
        /// Its answer came out.
        case returned
    }

    /// Unusual observations.
    public enum Oddity: Sendable, Hashable {
        /// It came out of the leg that it entered by.
        case cameBack
        /// The answer came out of the leg that it entered by.
        case answerCameBack
        /// An ICMP error came out of the leg: its sender refused the packet.
        case refused(leg: Int, SeenProbe.Kind)
    }

    /// What to do about a frame.
    public enum Step: Sendable, Hashable {
        /// Nothing.
        case none
        /// Send the answer by the `out` leg.
        case answer
        /// It has passed (a heartbeat) or failed (a negative one).
        case decided(passed: Bool)
    }

    /// True if it must not come out.
    public let isNegative: Bool
    /// The last place where it was seen.
    public private(set) var stage = Stage.sent
    /// An unusual observation, if there was one.
    public private(set) var oddity: Oddity?

    /// A heartbeat that was just sent.
    public init(isNegative: Bool) { self.isNegative = isNegative }

    /// Takes a frame of the heartbeat that came out of a leg.
    ///
    /// - Parameters:
    ///   - kind: The kind of the frame.
    ///   - leg: The index of the leg; 0 is the `in` leg.
    ///   - out: The index of the `out` leg; 0 if an instance has one leg for both.
    public mutating func saw(_ kind: SeenProbe.Kind, leg: Int, out: Int) -> Step {
        switch (kind, leg) {
        case (.request, out):
            if isNegative {
                stage = .answered
                return .decided(passed: false)
            }
            return stage == .sent ? .answer : .none
        case (.answer, 0):
            // A node may answer a packet itself that should have passed through it. That does not count as a path.
            guard stage == .answered, !isNegative else { return .none }
            stage = .returned
            return .decided(passed: true)
        case (.request, _): oddity = .cameBack
        case (.answer, _): oddity = .answerCameBack
        case (.refusal, _): oddity = .refused(leg: leg, kind)
        }
        return .none
    }

    /// The answer was sent by the `out` leg, or could not be made.
    public mutating func answered(_ isSent: Bool) { stage = isSent ? .answered : .broken }
}
