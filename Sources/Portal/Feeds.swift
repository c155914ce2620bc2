import ApplianceClient
import ControlAPI
import EventLoop
import Glibc
import NIOCore
import Reporting
import Wire

/// Threads that ask the topology, and give what they learn to the hub. They go on for ever: a topology that is gone may come
/// up again.
struct Feeds: Sendable {
    let client: ApplianceClient
    let loop: any NIOCore.EventLoop
    let hub: NIOLoopBound<Hub>

    /// The time between two samples, and between two tries.
    private static let interval = Duration.seconds(1)

    /// Starts the threads.
    ///
    /// - Throws: `ApplianceError` if there is no room for them.
    func start() throws(ApplianceError) {
        try startThread { [self] in followSamples() }
        try startThread { [self] in followEvents() }
    }

    private func followSamples() {
        var known: (run: String, table: UInt64, drawing: Int)?
        var due = monotonicTime()
        while true {
            do throws(ApplianceError) {
                let sample = try client.sample()
                var answer: DrawingAnswer?
                let isKnown = known?.run == sample.status.run
                if !isKnown || known?.table != sample.tableVersion {
                    answer = try? client.drawing(known: isKnown ? known?.drawing : nil)
                    if let answer { known = (sample.status.run, sample.tableVersion, answer.version) }
                }
                loop.execute { [hub, answer] in hub.value.take(sample, answer) }
            } catch {
                known = nil
                let reason = error.message
                loop.execute { [hub] in hub.value.lose(reason) }
            }
            // A slow answer is followed by a whole pause.
            due = max(due + Self.interval, monotonicTime() + Self.interval / 2)
            while monotonicTime() < due { usleep(UInt32(max(1, (due - monotonicTime()) / .microseconds(1)))) }
        }
    }

    private func followEvents() {
        var since: Int?
        while true {
            do throws(ApplianceError) {
                try client.followEvents(since: since, count: since == nil ? Hub.mostEvents : nil) { events in
                    if let last = events.last { since = last.time + 1 }
                    loop.execute { [hub] in hub.value.take(events) }
                    return true
                }
            } catch {
                // The other thread tells what is wrong.
            }
            usleep(1_000_000)
        }
    }
}
