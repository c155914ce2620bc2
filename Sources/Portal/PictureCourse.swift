import ControlAPI

/// The course of an arrow, cut for drawing.
///
/// A browser computes each dash of a path anew for each tile of the screen that the path passes. A curve over thousands of
/// rows has thousands of dashes, so it is drawn in one stroke, and only what is beside the nodes can be dashed.
struct PictureCourse {
    /// The rows over which a curve may be dashed.
    private static let most = 1_200

    /// A long curve in the middle.
    let curve: String?
    /// All else, up to the tip.
    let rest: String

    /// - Parameter course: Data of an SVG path. One that is not a line, a curve and a line stays whole.
    init(_ course: String) {
        let shape = /M(\d+) (\d+) H(\d+) (C\d+ \d+ \d+ \d+ (\d+) (\d+)) H(\d+)/
        guard let match = course.wholeMatch(of: shape)?.output, let begin = Int(match.2), let end = Int(match.6),
            abs(begin - end) > Self.most
        else {
            (curve, rest) = (nil, course)
            return
        }
        curve = "M\(match.3) \(begin) \(match.4)"
        rest = "M\(match.1) \(begin) H\(match.3) M\(match.5) \(end) H\(match.7)"
    }
}
