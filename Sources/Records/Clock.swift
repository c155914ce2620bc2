import FoundationEssentials
import GRDB
import Glibc
import Reporting
import Synchronization

/// The time by which tokens expire. It never steps back, and never stands still.
///
/// It follows the machine's clock forwards. If that is set back, it goes on from the latest time that was seen, with the time
/// since the machine's start. So what has expired stays so, and what has not expires after its life at the latest. While the
/// process does not run, it goes on only as far as the machine's clock has come.
final class Clock: Sendable {
    private struct Seen {
        /// Seconds since 1970.
        var time = 0
        /// When that was, in seconds since the machine's start.
        var at: Int
    }

    private let wall: @Sendable () -> Int
    private let running: @Sendable () -> Int
    private let seen: Mutex<Seen>

    /// - Parameters:
    ///   - wall: The machine's clock, in seconds since 1970.
    ///   - running: Seconds since the machine's start.
    init(
        wall: @escaping @Sendable () -> Int = { wallClockSeconds() },
        running: @escaping @Sendable () -> Int = { Clock.sinceBoot() }
    ) {
        self.wall = wall
        self.running = running
        seen = Mutex(Seen(at: running()))
    }

    /// CLOCK_BOOTTIME goes on while the machine sleeps.
    static func sinceBoot() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return time.tv_sec
    }

    /// Seconds since 1970.
    func now() -> Int {
        seen.withLock { seen in
            let at = running()
            seen.time = max(seen.time + max(0, at - seen.at), wall())
            seen.at = at
            return seen.time
        }
    }

    /// Begins at the time that was noted last.
    func begin(_ database: Database) throws {
        let noted = try Int.fetchOne(database, sql: "SELECT value FROM settings WHERE name = 'clock'") ?? 0
        seen.withLock { $0.time = max($0.time, noted) }
    }

    /// Notes the time: none before it counts from now on.
    func note(_ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO settings (name, value) VALUES ('clock', ?)
                ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
                """, arguments: [now()])
    }

    /// RFC 3339.
    static func text(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
    }
}
