import EventLoop
import Redundancy
import Reporting

extension Moment {
    /// Now, on both clocks.
    static var now: Moment {
        Moment(monotonic: monotonicTime(), microseconds: wallClockMicroseconds())
    }
}
