import NIOCore

/// The connections that are open at once, a bounded number. If all places are taken, the peer with the most connections gives one
/// up: the one that has kept the server waiting for a request the longest. So whoever opens connections and says nothing takes
/// places only from themselves, and a newcomer with a request is served.
///
/// On the event loop.
final class ConnectionPlaces {
    /// What a place is held by.
    protocol Holder: AnyObject {
        /// Since when the server waits for a request; nil while it works at one, or writes the answer.
        var waitingSince: NIODeadline? { get }
        /// Closes the connection at once, without an answer.
        func giveUp()
    }

    static let most = 256

    private var peers: [String: [ObjectIdentifier: any Holder]] = [:]
    private(set) var count = 0

    /// Takes a place.
    ///
    /// - Parameter peer: Whoever is at the other end: its address; empty: the operator.
    /// - Returns: False if there is none: the server works for all connections of the peer with the most.
    func enter(_ holder: any Holder, of peer: String) -> Bool {
        if count >= Self.most {
            guard let crowd = peers.max(by: { $0.value.count < $1.value.count }),
                let oldest = Self.longestWaiting(crowd.value.values)
            else { return false }
            leave(oldest, of: crowd.key)
            oldest.giveUp()
        }
        peers[peer, default: [:]][ObjectIdentifier(holder)] = holder
        count += 1
        return true
    }

    private static func longestWaiting(_ holders: some Sequence<any Holder>) -> (any Holder)? {
        var oldest: (holder: any Holder, since: NIODeadline)?
        for holder in holders {
            guard let since = holder.waitingSince, oldest.map({ since < $0.since }) ?? true else { continue }
            oldest = (holder, since)
        }
        return oldest?.holder
    }

    /// Gives a place back. Nothing happens if it was given back already.
    func leave(_ holder: any Holder, of peer: String) {
        guard peers[peer]?.removeValue(forKey: ObjectIdentifier(holder)) != nil else { return }
        count -= 1
        if peers[peer]?.isEmpty == true { peers[peer] = nil }
    }
}
