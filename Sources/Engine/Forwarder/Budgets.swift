import Forwarding
import Wire

/// The sender that a limit applies to: a node that the table names by interface and MAC address. All other senders on
/// an interface have one account together, because an unnamed sender can invent any number of MAC addresses.
struct Account: Equatable {
    /// The place among the accounts of `Budgets`, less than `Budgets.accounts`. It belongs to one table.
    var place: Int
    /// interface<<48 and the MAC address, which is 0 for senders that the table does not name. It is the same in every
    /// worker and engine, and for every table of a topology.
    var tag: UInt64
}

/// A rate limit (the virtual scheduling form of ITU-T I.371's GCRA).
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

    /// True if one more event may happen at `now` (nanoseconds of the monotonic clock), when the next is due at `due`.
    @inline(__always)
    func allows(_ due: UInt64, now: UInt64) -> Bool { due <= now &+ tolerance }

    /// The time when the event after that is due, in nanoseconds of the monotonic clock.
    @inline(__always)
    func next(_ due: UInt64, now: UInt64) -> UInt64 { max(due, now) &+ interval }
}

/// Limits for the frames that the engine itself sends. Its memory is allocated once. A sender that causes too many only
/// uses up its own limits.
///
/// Every account has limits of its own. Within an account, every source address has half of them. So if one host behind
/// a router floods, the others keep as much. A host that invents source addresses only uses up its own account. A hash
/// with a secret of the worker chooses which source addresses share a place, so an attacker cannot predict it.
struct Budgets: ~Copyable {
    enum Kind: Int, CaseIterable {
        /// ICMP errors (RFC 1812, section 4.3.2.8).
        case errors
        /// Echo replies, ARP replies and neighbour advertisements.
        case answers
        /// ARP requests and neighbour solicitations.
        case requests
    }

    /// The accounts of nodes that the table names. If it names more, some nodes share an account.
    static let named = 4_096
    /// All accounts: the named ones, and one for each of at most 4,096 interfaces.
    static let accounts = named + 4_096
    private static let sources = 4_096

    /// For each kind, the next due times of the accounts, then of the source addresses.
    private let due: UnsafeMutablePointer<UInt64>
    private let secret: UInt64

    init() {
        let count = Kind.allCases.count * (Self.accounts + Self.sources)
        due = .allocate(capacity: count)
        due.initialize(repeating: 0, count: count)
        secret = .random(in: .min ... .max)
    }

    deinit { due.deallocate() }

    /// The limit of one source address.
    @inline(__always)
    private static func rate(_ kind: Kind) -> Rate {
        switch kind {
        case .errors, .requests: Rate(1_000, burst: 100)
        case .answers: Rate(10_000, burst: 1_000)
        }
    }

    /// The limit of an account.
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

    /// True if an account may send one more for a source address at `now`.
    func allows(_ kind: Kind, _ account: Account, _ source: IPAddress, now: UInt64) -> Bool {
        let due = places(kind, account, source)
        return Self.total(kind).allows(due.account.pointee, now: now)
            && Self.rate(kind).allows(due.source.pointee, now: now)
    }

    /// Like `allows`, and counts it.
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

    /// The account of a node at a place of the table's MAC addresses; nil if the table does not name it.
    func account(_ sender: Int?, _ mac: MACAddress, on interface: Int) -> Account {
        let side = UInt64(truncatingIfNeeded: interface) << 48
        guard let sender else { return Account(place: Self.named &+ interface & 4_095, tag: side) }
        let tag = side | mac.bits
        // If the table's places fit, they are used as they are, so no two nodes share one.
        let place = sender < Self.named ? sender : Int(truncatingIfNeeded: keyedHash(tag, 0, 0, secret) & 4_095)
        return Account(place: place, tag: tag)
    }
}

/// A hash that cannot be predicted without knowing `secret`.
@inline(__always)
func keyedHash(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ secret: UInt64) -> UInt64 {
    func fold(_ value: UInt64, _ key: UInt64) -> UInt64 {
        let product = (value ^ key).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15 ^ key << 1 | 1)
        return product.high ^ product.low
    }
    return fold(fold(fold(first, secret) ^ second, secret >> 7 | secret << 57) ^ third, secret >> 19 | secret << 45)
}

/// The number of places that each account has, of a bounded number. If all places are taken, the account with the most
/// gives one up.
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
    /// The account that an answer to the frame at hand counts for.
    @inline(__always)
    func account(on interface: Int) -> Account { account(of: fields.sourceMAC, on: interface) }

    func account(of mac: MACAddress, on interface: Int) -> Account {
        budgets.account(table.senderPlace(of: mac, on: interface), mac, on: interface)
    }
}
