import FoundationEssentials
import GRDB
import Glibc
import Reporting
import Synchronization

/// The time by which tokens expire. It never steps back, and never stands still.
///
/// It follows the machine's clock forwards. If that is set back, it goes on from the latest time that was seen, with the time
/// since the machine's start. So what has expired stays so, and what has not expires after its life at the latest. The database has
/// both times, so another process goes on in the same way. Only over a restart of the machine, the clock of the machine alone
/// says how much time went by.
final class Clock: Sendable {
    private struct Seen {
        /// Seconds since 1970.
        var time = 0
        /// When that was, in seconds since the machine's start.
        var at: Int
    }

    private let wall: @Sendable () -> Int
    private let running: @Sendable () -> Int
    /// Which start of the machine this is; 0: nobody can tell.
    private let boot: Int
    private let seen: Mutex<Seen>

    /// - Parameters:
    ///   - wall: The machine's clock, in seconds since 1970.
    ///   - running: Seconds since the machine's start.
    ///   - boot: Which start of the machine this is; 0: nobody can tell.
    init(
        wall: @escaping @Sendable () -> Int = { wallClockSeconds() },
        running: @escaping @Sendable () -> Int = { Clock.sinceBoot() }, boot: Int = Clock.machineBoot()
    ) {
        self.wall = wall
        self.running = running
        self.boot = boot
        seen = Mutex(Seen(at: running()))
    }

    /// CLOCK_BOOTTIME goes on while the machine sleeps.
    static func sinceBoot() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return time.tv_sec
    }

    /// A number of its own for each start of the machine, from the kernel's boot_id; 0 if it cannot be read.
    static func machineBoot() -> Int {
        let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        var text = [UInt8](repeating: 0, count: 64)
        let count = read(file, &text, text.count)
        let digits = text.prefix(max(0, count)).filter { $0 != UInt8(ascii: "-") }.prefix(15)
        return Int(String(decoding: digits, as: UTF8.self), radix: 16) ?? 0
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

    /// Begins at the time that was noted last, and goes on from there by the time since the machine's start.
    func begin(_ database: Database) throws {
        func value(_ name: String) throws -> Int? {
            try Int.fetchOne(database, sql: "SELECT value FROM settings WHERE name = ?", arguments: [name])
        }
        var noted = try value("clock") ?? 0
        if boot != 0, try value("boot") == boot, let at = try value("clock-at") { noted += max(0, running() - at) }
        seen.withLock { $0.time = max($0.time, noted) }
    }

    /// Notes the time: none before it counts from now on.
    func note(_ database: Database) throws {
        let (time, at) = (now(), seen.withLock(\.at))
        for (name, value) in [("clock", time), ("clock-at", at), ("boot", boot)] {
            try database.execute(
                sql: """
                    INSERT INTO settings (name, value) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET value = excluded.value
                    """, arguments: [name, value])
        }
    }

    /// RFC 3339.
    static func text(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
    }
}
