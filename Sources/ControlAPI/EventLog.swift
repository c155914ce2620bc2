import Reporting
import Synchronization

/// The last events of a topology, for any number of listeners.
///
/// It is bounded, however slowly a listener reads: a listener is a place in the log and holds nothing. A listener whose
/// place is gone learns how many events it has lost. The log is kept in memory only. The folder in /run would not
/// outlive the topology either, and a full disk must not delay anything. Any thread may use it.
package final class EventLog: Sendable {
    /// How many events are kept.
    package static let capacity = 4096
    /// The most that is kept of a reason, in characters.
    private static let longestReason = 1000

    private struct State {
        /// The event of number n is at n modulo the capacity.
        var ring: [ApplianceEvent] = []
        /// The number of the next event.
        var next = 0
        /// True if a listener has been notified and has not read yet.
        var isReported = false

        var oldest: Int { next - ring.count }

        func event(_ number: Int) -> ApplianceEvent { ring[number % EventLog.capacity] }
    }
    private let state = Mutex(State())
    private let listener = Mutex<(@Sendable () -> Void)?>(nil)

    /// An empty log.
    package init() {}

    /// Calls `heard` when there is an event to read, and again only after a read, on the thread of the event.
    package func listen(_ heard: @escaping @Sendable () -> Void) { listener.withLock { $0 = heard } }

    /// Takes an event.
    package func append(_ event: ApplianceEvent) {
        var event = event
        if let reason = event.reason, reason.utf8.count > Self.longestReason {
            event.reason = reason.prefix(Self.longestReason) + "…"
        }
        let isNews = state.withLock { state in
            if state.ring.count < Self.capacity {
                state.ring.append(event)
            } else {
                state.ring[state.next % Self.capacity] = event
            }
            state.next += 1
            defer { state.isReported = true }
            return !state.isReported
        }
        if isNews { listener.withLock { $0 }?() }
    }

    /// The place of the first event that is asked for.
    ///
    /// - Parameters:
    ///   - since: Microseconds since 1970; nil: the oldest that is kept.
    ///   - count: At most so many of the last; nil: all.
    package func place(since: Int?, count: Int?) -> Int {
        state.withLock { state in
            var place = state.oldest
            if let since { while place < state.next, state.event(place).time < since { place += 1 } }
            if let count { place = max(place, state.next - max(0, count)) }
            return place
        }
    }

    /// Reads at most `most` events from a place on, and moves the place behind them. If events at the place are gone,
    /// the first event says how many.
    package func read(_ place: inout Int, most: Int = EventLog.capacity) -> [ApplianceEvent] {
        let (lost, events) = state.withLock { state -> (Int, [ApplianceEvent]) in
            let start = max(place, state.oldest)
            let end = min(state.next, start + most)
            let lost = start - place
            place = end
            state.isReported = false
            return (lost, (start..<end).map(state.event))
        }
        guard lost > 0 else { return events }
        let notice = ApplianceEvent(
            .eventsLost, count: lost,
            reason: "\(Plural.counted(lost, "event")) came faster than \(lost == 1 ? "it was" : "they were") read, and "
                + "\(lost == 1 ? "is" : "are") not shown")
        return [notice] + events
    }
}
