import ControlAPI
import Reporting

/// The repeated answers to one request. On the loop's thread.
struct ControlStream {
    /// A line that answers, and the descriptors that go beside it.
    struct Line {
        var bytes: [UInt8]
        /// They stay the stream's; the other end gets copies.
        var descriptors: [Int32] = []
        /// What keeps the descriptors open until they are sent.
        var owners: [AnyObject] = []
        /// True closes the connection behind the line.
        var isLast = false
    }

    /// True if lines may have descriptors. Then each line is written by itself.
    let hasDescriptors: Bool
    /// The next line; nil while there are no more.
    let next: () -> Line?
    /// The connection is closed.
    let closed: () -> Void

    init(hasDescriptors: Bool = false, next: @escaping () -> Line?, closed: @escaping () -> Void = {}) {
        self.hasDescriptors = hasDescriptors
        self.next = next
        self.closed = closed
    }

    /// A stream of answers without descriptors.
    init<Answer>(answers: @escaping () -> ControlAnswer<Answer>?) {
        self.init(next: { answers().flatMap { try? JSONLine.encode($0) }.map { Line(bytes: $0) } })
    }
}
