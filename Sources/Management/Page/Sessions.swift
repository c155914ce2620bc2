import EventLoop
import Instructions
import Records
import Synchronization
import WebPages
import Wire

/// Who is logged in at the page. A session is random, lives in memory alone, and is bound to the token that it was begun with: it
/// gives no right that the token does not have at that moment.
final class Sessions: Sendable {
    /// One browser that has shown a token.
    struct Session: Sendable {
        /// What tells it from others; no secret.
        var key: [UInt8]
        var admission: Admission
        /// What its forms repeat: no other site can know it.
        var secret: String
        fileprivate var began: MonotonicTime
        fileprivate var used: MonotonicTime
        /// What its next page says: what was done.
        fileprivate var notice: String?
    }

    /// How long a session may be unused, and how long it may last.
    static let idle = Duration.seconds(30 * 60)
    static let longest = Duration.seconds(12 * 3600)
    /// The sessions of one tenant: of more, the one that was used least recently ends.
    static let mostOfTenant = 16

    private let all = Mutex<[[UInt8]: Session]>([:])

    /// Begins a session.
    ///
    /// - Returns: What the browser keeps. It is not kept here.
    func begin(_ admission: Admission) -> String {
        let value = PageSafety.random()
        let now = monotonicTime()
        let session = Session(
            key: Self.key(value), admission: admission, secret: PageSafety.random(), began: now, used: now)
        all.withLock { all in
            all = all.filter { !$0.value.isOver(now) }
            let own = all.values.filter { $0.admission.tenant == admission.tenant }.sorted { $0.used < $1.used }
            for old in own.dropLast(Self.mostOfTenant - 1) { all[old.key] = nil }
            all[session.key] = session
        }
        return value
    }

    /// The session of what a browser keeps; nil if there is none, or it has ended.
    ///
    /// - Parameter isVisit: False for what a page asks by itself: it prolongs nothing.
    func find(_ value: String, isVisit: Bool) -> Session? {
        let now = monotonicTime()
        return all.withLock { all in
            let key = Self.key(value)
            guard var session = all[key] else { return nil }
            guard !session.isOver(now) else {
                all[key] = nil
                return nil
            }
            if isVisit { session.used = now }
            all[key] = session
            return session
        }
    }

    func end(_ session: Session) { all.withLock { $0[session.key] = nil } }

    /// Has the next page say something.
    func note(_ notice: String, _ session: Session) { all.withLock { $0[session.key]?.notice = notice } }

    /// What the next page says, once.
    func takeNotice(_ session: Session) -> String? {
        all.withLock { all in
            defer { all[session.key]?.notice = nil }
            return all[session.key]?.notice
        }
    }

    /// A copy of the memory gives nobody a session.
    private static func key(_ value: String) -> [UInt8] { SHA256.hash(Array(value.utf8)) }
}

extension Sessions.Session {
    fileprivate func isOver(_ now: MonotonicTime) -> Bool {
        now - used > Sessions.idle || now - began > Sessions.longest
    }
}

/// Bounds how often a wrong token can be tried from one place. A token is 256 random bits, so this keeps the log and the processor
/// free rather than the token safe.
struct LoginLimit {
    /// Wrong tokens in a minute.
    static let most = 10
    /// The places that are remembered.
    private static let places = 1024

    private var failures: [String: (count: Int, since: MonotonicTime)] = [:]

    /// How many seconds a place must wait; nil: it need not.
    func wait(of place: String, now: MonotonicTime) -> Int? {
        guard let known = failures[place], known.count >= Self.most else { return nil }
        let left = Duration.seconds(60) - (now - known.since)
        return left > .zero ? Int(left.components.seconds) + 1 : nil
    }

    /// Notes a wrong token.
    mutating func fail(_ place: String, now: MonotonicTime) {
        if let known = failures[place], now - known.since < .seconds(60) {
            failures[place] = (known.count + 1, known.since)
            return
        }
        if failures.count >= Self.places {
            failures = failures.filter { now - $0.value.since < .seconds(60) }
            if failures.count >= Self.places, let oldest = failures.min(by: { $0.value.since < $1.value.since }) {
                failures[oldest.key] = nil
            }
        }
        failures[place] = (1, now)
    }
}
