import Forwarding
import Wire

/// At whose expense the engine does what is limited: a node that the table names by its interface and MAC address, or all
/// other senders on an interface together, because whoever is not named can have as many MAC addresses as it likes.
struct Account: Equatable {
    /// Its place among the accounts of `Budgets`, less than `Budgets.accounts`; of one table.
    var place: Int
    /// The interface<<48 and the MAC address, which is 0 for those that the table does not name: the same in every worker
    /// and engine, and for every table of a topology.
    var tag: UInt64
}

/// How often what happens may happen (the virtual scheduling form of ITU-T I.371's GCRA).
struct Rate {
    private let interval: UInt64
    private let tolerance: UInt64

    /// - Parameters:
    ///   - rate: Events a second, at least 1.
    ///   - burst: Events at once, at least 1.
    init(_ rate: UInt64, burst: UInt64) {
        interval = 1_000_000_000 / max(1, rate)
        tolerance = interval * (max(1, burst) - 1)
    }

    /// True where one more may happen at `now` (nanoseconds of the monotonic clock) while the next is due at `due`.
    @inline(__always)
    func allows(_ due: UInt64, now: UInt64) -> Bool { due <= now &+ tolerance }

    /// When the one after that is due.
    @inline(__always)
    func next(_ due: UInt64, now: UInt64) -> UInt64 { max(due, now) &+ interval }
}

/// What the engine may send of its own, in memory that is allocated once: whoever makes it send too much uses up only
/// their own share.
///
/// Every account has limits of its own, and within it every source address has half of them: of the hosts behind one
/// router, one that floods leaves the others as much. A host that invents source addresses uses up its account and no
/// other. Source addresses share places where a hash with a secret of the worker says so, which nobody outside can tell.
struct Budgets: ~Copyable {
    enum Kind: Int, CaseIterable {
        /// ICMP errors (RFC 1812, section 4.3.2.8).
        case errors
        /// Echo replies, ARP replies and neighbour advertisements.
        case answers
        /// ARP requests and neighbour solicitations.
        case requests
    }

    /// The accounts of nodes that the table names. Where it names more, some share one.
    static let named = 4_096
    /// All accounts: those, and one for each of at most 4,096 interfaces.
    static let accounts = named + 4_096
    private static let sources = 4_096

    /// For each kind the accounts' next due times, then the source addresses'.
    private let due: UnsafeMutablePointer<UInt64>
    private let secret: UInt64

    init() {
        let count = Kind.allCases.count * (Self.accounts + Self.sources)
        due = .allocate(capacity: count)
        due.initialize(repeating: 0, count: count)
        secret = .random(in: .min ... .max)
    }

    deinit { due.deallocate() }

    /// What one source address may cause.
    @inline(__always)
    private static func rate(_ kind: Kind) -> Rate {
        switch kind {
        case .errors, .requests: Rate(1_000, burst: 100)
        case .answers: Rate(10_000, burst: 1_000)
        }
    }

    /// What an account may cause.
    @inline(__always)
    private static func total(_ kind: Kind) -> Rate {
        switch kind {
        case .errors, .requests: Rate(2_000, burst: 200)
        case .answers: Rate(20_000, burst: 2_000)
        }
    }

    @inline(__always)
    private func places(
        _ kind: Kind, _ account: Account, _ source: IPAddress
    ) -> (account: UnsafeMutablePointer<UInt64>, source: UnsafeMutablePointer<UInt64>) {
        let first = due + kind.rawValue &* (Self.accounts &+ Self.sources)
        let hash = keyedHash(account.tag, source.high, source.low, secret)
        let place = Int(truncatingIfNeeded: hash & UInt64(Self.sources &- 1))
        return (first + account.place, first + Self.accounts + place)
    }

    /// True where an account may cause one more for a source address at `now`.
    func allows(_ kind: Kind, _ account: Account, _ source: IPAddress, now: UInt64) -> Bool {
        let due = places(kind, account, source)
        return Self.total(kind).allows(due.account.pointee, now: now)
            && Self.rate(kind).allows(due.source.pointee, now: now)
    }

    /// The same, and counts it.
    func take(_ kind: Kind, _ account: Account, _ source: IPAddress, now: UInt64) -> Bool {
        let due = places(kind, account, source)
        let (total, rate) = (Self.total(kind), Self.rate(kind))
        guard total.allows(due.account.pointee, now: now), rate.allows(due.source.pointee, now: now) else {
            return false
        }
        due.account.pointee = total.next(due.account.pointee, now: now)
        due.source.pointee = rate.next(due.source.pointee, now: now)
        return true
    }

    /// The account of a node that stands at a place of the table's MAC addresses; nil: it does not stand there.
    func account(_ station: Int?, _ mac: MACAddress, on interface: Int) -> Account {
        let side = UInt64(truncatingIfNeeded: interface) << 48
        guard let station else { return Account(place: Self.named &+ interface & 4_095, tag: side) }
        let tag = side | mac.bits
        // The places of tables that fit are used as they are: no two nodes share one.
        let place = station < Self.named ? station : Int(truncatingIfNeeded: keyedHash(tag, 0, 0, secret) & 4_095)
        return Account(place: place, tag: tag)
    }
}

/// A hash that nobody can predict who does not know `secret`.
@inline(__always)
func keyedHash(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ secret: UInt64) -> UInt64 {
    func fold(_ value: UInt64, _ key: UInt64) -> UInt64 {
        let product = (value ^ key).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15 ^ key << 1 | 1)
        return product.high ^ product.low
    }
    return fold(fold(fold(first, secret) ^ second, secret >> 7 | secret << 57) ^ third, secret >> 19 | secret << 45)
}

/// How many of a bounded number of places each account has, so that where all are taken the one with the most gives way.
struct Holdings: ~Copyable {
    private let counts: UnsafeMutablePointer<UInt8>

    init() {
        counts = .allocate(capacity: Budgets.accounts)
        counts.initialize(repeating: 0, count: Budgets.accounts)
    }

    deinit { counts.deallocate() }

    /// The places of an account.
    @inline(__always)
    subscript(account: Account) -> Int { Int(counts[account.place]) }

    func add(_ account: Account) { counts[account.place] &+= 1 }

    func remove(_ account: Account) { counts[account.place] &-= 1 }
}

extension Forwarder {
    /// At whose expense an answer to the frame at hand is.
    @inline(__always)
    func account(on interface: Int) -> Account { account(of: fields.sourceMAC, on: interface) }

    func account(of mac: MACAddress, on interface: Int) -> Account {
        budgets.account(table.stationPlace(of: mac, on: interface), mac, on: interface)
    }
}
