/// The author of a change of a network.
public enum NetworkAuthor: Sendable {
    /// Not seen to be the check's.
    case others
    /// The check's, which had leave.
    case leave
    /// The check's.
    case check
}

/// A check's activity in a network between two looks.
public struct NetworkClaims {
    /// Its requests that the kernel may have carried out meanwhile.
    public var requests: [(what: NetworkRequest, author: NetworkAuthor)]
    /// The numbers of its netlink sockets, all of them held.
    public var ports: [NetworkNotes.Port: NetworkAuthor]
    /// True if one of its requests may still be under way: its effect may be visible before its notification.
    public var isUnderWay: Bool
    /// The author of a change that has no named socket and no known request.
    public var rest: NetworkAuthor

    /// Claims; see the properties.
    public init(
        requests: [(what: NetworkRequest, author: NetworkAuthor)], ports: [NetworkNotes.Port: NetworkAuthor],
        isUnderWay: Bool, rest: NetworkAuthor
    ) {
        self.requests = requests
        self.ports = ports
        self.isUnderWay = isUnderWay
        self.rest = rest
    }
}

/// The author of each difference between two network states, one after the other, by evidence alone.
///
/// A change is the check's in two cases:
///
/// - The kernel's last notification of it names a socket of the check's.
/// - The notification names no socket, and a request of the check's asked for exactly this change.
///
/// A change without notification or request waits for the next look while a request is under way. All other changes are
/// others'.
public struct NetworkAuthorship {
    private let earlier: NetworkState
    private let later: NetworkState
    private let before: [Int32: NetworkState.Device]
    private let after: [Int32: NetworkState.Device]
    private let notes: NetworkNotes
    private let claims: NetworkClaims
    /// In the order of the differences; nil: it cannot be said yet.
    private var authors: [(difference: NetworkState.Difference, author: NetworkAuthor?)] = []
    private var deferredDevices: Set<Int32> = []

    /// The authors of what became different between two looks at a namespace.
    public init(from earlier: NetworkState, to later: NetworkState, _ notes: NetworkNotes, _ claims: NetworkClaims) {
        (self.earlier, self.later, self.notes, self.claims) = (earlier, later, notes, claims)
        (before, after) = (earlier.byIndex, later.byIndex)
        let differences = earlier.differences(to: later)
        for difference in differences {
            let author = author(of: difference, among: differences)
            if author == nil, case .device(let index) = difference { deferredDevices.insert(index) }
            authors.append((difference, author))
        }
    }

    /// The later network state; changes without a known author are left out.
    public var settled: NetworkState {
        var networkState = later
        for (difference, author) in authors where author == nil {
            switch difference {
            case .added(let record): networkState.records.remove(record)
            case .gone(let record): networkState.records.insert(record)
            case .device(let index):
                networkState.devices.removeAll { $0.index == index }
                if let was = before[index] { networkState.devices.append(was) }
            }
        }
        return networkState
    }

    // MARK: - Evidence

    private func author(of difference: NetworkState.Difference, among all: [NetworkState.Difference])
        -> NetworkAuthor?
    {
        switch difference {
        case .device(let index):
            // One that is changed is looked at field by field.
            if before[index] != nil, after[index] != nil { return .others }
            return author(ofDevice: index)
        case .added(let record):
            if let device = record.device, deferredDevices.contains(device) { return nil }
            return named(difference) ?? asked { request in
                guard let device = record.device.flatMap({ after[$0] }) else { return false }
                return request.makes(record, on: device)
            } ?? unnamed(difference)
        case .gone(let record):
            if let device = record.device, deferredDevices.contains(device) { return nil }
            if let author = named(difference) { return author }
            // A replaced route goes without a notification.
            if let key = record.routeKey {
                for case .added(let other) in all where other.routeKey == key {
                    return author(of: .added(other), among: [])
                }
            }
            return asked { request in
                // A route of several ways is on no device.
                let devices = record.device.map { index in before[index].map { [$0] } ?? [] } ?? earlier.devices
                return record.kind != .rule
                    && devices.contains { request.removes(record, of: $0, now: after[$0.index]) }
            } ?? unnamed(difference)
        }
    }

    private func author(ofDevice index: Int32) -> NetworkAuthor? {
        let difference = NetworkState.Difference.device(index)
        if let author = named(difference) { return author }
        // One request makes or removes both ends of a pair.
        if let device = before[index] ?? after[index], let peer = device.peer,
            let other = before[peer] ?? after[peer], other.peer == index,
            (before[peer] == nil) == (before[index] == nil),
            (after[peer] == nil) == (after[index] == nil), let author = named(.device(peer))
        {
            return author
        }
        return asked { request in
            if let now = after[index] { return request.makes(now) }
            guard let was = before[index] else { return false }
            return request.takesAway(was) || was.peer.flatMap { before[$0] }.map(request.takesAway) == true
        } ?? unnamed(difference)
    }

    /// The owner of the socket that the kernel named last.
    private func named(_ difference: NetworkState.Difference) -> NetworkAuthor? {
        guard let port = notes.port(of: difference), port != 0 else { return nil }
        return claims.ports[port] ?? .others
    }

    private func asked(_ isAskedFor: (NetworkRequest) -> Bool) -> NetworkAuthor? {
        claims.requests.first { isAskedFor($0.what) }?.author
    }

    private func unnamed(_ difference: NetworkState.Difference) -> NetworkAuthor? {
        claims.isUnderWay && notes.port(of: difference) == nil && !notes.hasLost ? nil : claims.rest
    }

    // MARK: - Taking over

    /// Copies changes of other authors into a network state.
    ///
    /// - Parameter isOthers: True for the authors whose changes are copied.
    public func adopt(into networkState: inout NetworkState, where isOthers: (NetworkAuthor) -> Bool) {
        for (difference, author) in authors {
            guard let author, isOthers(author) else { continue }
            switch difference {
            case .added(let record): adopt(record, &networkState)
            case .gone(let record): networkState.records.remove(record)
            case .device(let index): adopt(index, &networkState, isOthers)
            }
        }
        // A record that others have made once more is others'.
        for case (let difference, let port) in notes.lastNotified {
            switch difference {
            case .added(let record) where earlier.records.contains(record) && later.records.contains(record):
                let isAnew = port != 0 || (claims.requests.isEmpty && notes.port(of: .gone(record)) != nil)
                if isAnew, isOthers(port == 0 ? .others : claims.ports[port] ?? .others) {
                    adopt(record, &networkState)
                }
            case .device(let index) where port != 0 && before[index] != nil && networkState.byIndex[index] == nil:
                if let device = after[index], isOthers(claims.ports[port] ?? .others) {
                    networkState.devices.append(device)
                }
            default: break
            }
        }
    }

    private func adopt(_ record: NetworkState.Record, _ networkState: inout NetworkState) {
        // It has the place of what the check has removed from there.
        if let key = record.routeKey {
            networkState.records = networkState.records.filter { $0.routeKey != key || later.records.contains($0) }
        }
        networkState.records.insert(record)
    }

    private func adopt(_ index: Int32, _ networkState: inout NetworkState, _ isOthers: (NetworkAuthor) -> Bool) {
        guard let now = after[index] else {
            networkState.devices.removeAll { $0.index == index }
            networkState.records = networkState.records.filter { $0.device != index }
            return
        }
        guard let was = before[index] else {
            if !networkState.devices.contains(where: { $0.index == index }) { networkState.devices.append(now) }
            return
        }
        guard let place = networkState.devices.firstIndex(where: { $0.index == index }) else { return }
        // Fields that they did not change stay as they were: another author may have changed them.
        for field in NetworkRequest.Field.allCases
        where field.differs(was, now) && isOthers(asked { $0.asks(for: field, of: now, before: was) } ?? claims.rest) {
            field.copy(from: now, to: &networkState.devices[place])
        }
        networkState.devices[place].peer = now.peer
    }
}

extension NetworkRequest.Field {
    func differs(_ one: NetworkState.Device, _ other: NetworkState.Device) -> Bool {
        switch self {
        case .name: one.name != other.name
        case .isUp: one.isUp != other.isUp
        case .isRunning: one.isRunning != other.isRunning
        case .mtu: one.mtu != other.mtu
        case .mac: one.mac != other.mac
        case .master: one.master ?? 0 != other.master ?? 0
        }
    }

    func copy(from one: NetworkState.Device, to other: inout NetworkState.Device) {
        switch self {
        case .name: other.name = one.name
        case .isUp: other.isUp = one.isUp
        case .isRunning: other.isRunning = one.isRunning
        case .mtu: other.mtu = one.mtu
        case .mac: other.mac = one.mac
        case .master: other.master = one.master
        }
    }
}
