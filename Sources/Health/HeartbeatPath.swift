/// How far one heartbeat has come: in at the `in` leg, out at the `out` leg, its answer in there, and out again.
///
/// Frames go in, the verdict comes out. It has passed when the answer has come out; a negative one when its time is
/// over and it has not come out.
public struct HeartbeatPath: Sendable, Hashable {
    /// Where it was seen last.
    public enum Stage: Sendable, Hashable {
        /// It went in, and has not come out.
        case sent
        /// It came out, and nothing could be made of it: a checksum is wrong, or part of it is missing.
        case broken
        /// It came out, its answer went in, and has not come out.
        case answered
        /// Its answer came out.
        case returned
    }

    /// What else was seen of it.
    public enum Oddity: Sendable, Hashable {
        /// It came out where it went in.
        case turnedBack
        /// The answer came out where it went in.
        case answerTurnedBack
        /// An ICMP error came out of the leg: who sent it refused the packet.
        case refused(leg: Int, SeenProbe.Kind)
    }

    /// What is to be done about a frame.
    public enum Step: Sendable, Hashable {
        /// Nothing.
        case none
        /// Send the answer to it in at the `out` leg.
        case answer
        /// It has passed (a heartbeat) or failed (a negative one).
        case decided(passed: Bool)
    }

    /// True where it must not come out.
    public let isNegative: Bool
    /// Where it was seen last.
    public private(set) var stage = Stage.sent
    /// What else was seen of it.
    public private(set) var oddity: Oddity?

    /// One that has just gone in.
    public init(isNegative: Bool) { self.isNegative = isNegative }

    /// A frame of it came out of a leg.
    ///
    /// - Parameters:
    ///   - leg: Which one, of which 0 is the `in` leg.
    ///   - out: The `out` leg; 0 where an instance has one leg for both.
    public mutating func saw(_ kind: SeenProbe.Kind, leg: Int, out: Int) -> Step {
        switch (kind, leg) {
        case (.request, out):
            if isNegative {
                stage = .answered
                return .decided(passed: false)
            }
            return stage == .sent ? .answer : .none
        case (.answer, 0):
            // A node may also answer by itself what was to go through it: that is no way through.
            guard stage == .answered, !isNegative else { return .none }
            stage = .returned
            return .decided(passed: true)
        case (.request, _): oddity = .turnedBack
        case (.answer, _): oddity = .answerTurnedBack
        case (.refusal, _): oddity = .refused(leg: leg, kind)
        }
        return .none
    }

    /// The answer went in at the `out` leg, or could not be made.
    public mutating func answered(_ isSent: Bool) { stage = isSent ? .answered : .broken }
}
