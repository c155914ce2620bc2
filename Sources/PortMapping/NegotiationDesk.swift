import Wire

/// Whether a mapping came in force.
package enum MappingVerdict: Sendable, Hashable {
    /// Every engine has it.
    case inForce
    /// The proof found that it would take another's packets, or lose its own: why.
    case refused(String)
    /// It could not be brought in force now: why.
    case failed(String)
}

/// Who proves mappings and brings them in force: the control process.
package protocol MappingOffice {
    /// True if another service surely has this port.
    func isTaken(_ address: IPAddress, _ protocolNumber: UInt8, port: UInt16) -> Bool
    /// Brings a mapping in force, in place of the one with its key.
    func put(_ mapping: Mapping) -> MappingVerdict
    /// Takes mappings away.
    ///
    /// - Returns: nil, or why they are in force still.
    func remove(_ mappings: [Mapping]) -> String?
}

/// What became of a datagram.
package struct NegotiationOutcome: Sendable, Hashable {
    /// What is sent back; nil: nothing.
    package var answer: [UInt8]?
    /// The result in the answer.
    package var result: PCPResult?
    /// Why nothing is sent back.
    package var drop: SilentDrop?
    /// Why a mapping was refused, for the operator.
    package var reason: String?
    /// The mapping that came, was renewed, or went.
    package var mapping: Mapping?
}

/// Answers requests for mappings, and keeps those that it granted. It reads no clock and opens no socket.
package struct NegotiationDesk: Sendable {
    /// How long a client shall not repeat a request that was refused, in seconds. The RFC recommends half an hour for some
    /// refusals (8.5), but what a file allows here can change at any time.
    package static let refusalLifetime: UInt32 = 30
    /// How many service ports are proved for one request before it is refused.
    package static let attempts = 8
    /// How many filters a mapping has at most (RFC 6887, 13.3).
    package static let mostFilters = 16
    /// How many rules all filters of an application are at most: one each, and one for each mapping that has some.
    package static let mostRules = 1000

    /// The rules, by application.
    package private(set) var rules: [String: NegotiationRules] = [:]
    /// What is granted.
    package internal(set) var mappings: [Mapping.Key: Mapping] = [:]
    /// When the state began, in milliseconds of the caller's clock: the epoch counts from here (RFC 6887, 8.5).
    package private(set) var beginning: UInt64
    private var budgets: [String: (tokens: UInt64, at: UInt64)] = [:]

    /// - Parameters:
    ///   - beginning: When the state began, in milliseconds.
    ///   - mappings: What was granted since.
    package init(beginning: UInt64, mappings: [Mapping] = []) {
        self.beginning = beginning
        for mapping in mappings { self.mappings[mapping.key] = mapping }
    }

    /// Takes new rules: of a changed file. Mappings that they no longer allow are returned, for the caller to take away.
    package mutating func adopt(_ rules: [NegotiationRules]) -> [Mapping] {
        self.rules = Dictionary(rules.map { ($0.application, $0) }, uniquingKeysWith: { first, _ in first })
        let gone = mappings.values.filter { mapping in
            guard let rules = self.rules[mapping.key.application] else { return true }
            return !rules.addresses.contains(mapping.address)
                || !rules.allow(mapping.key.protocolNumber, mapping.port)
        }
        for mapping in gone { mappings[mapping.key] = nil }
        return gone.sorted()
    }

    /// Has the epoch start anew: something that was granted is lost (RFC 6887, 8.5).
    package mutating func beginAnew(at now: UInt64) { beginning = now }

    /// The epoch, in seconds.
    package func epoch(at now: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: (now &- beginning) / 1000) }

    // MARK: - Requests

    /// Answers one datagram.
    ///
    /// - Parameters:
    ///   - datagram: The payload of UDP.
    ///   - asker: Who sent it.
    ///   - now: Milliseconds of the clock of `beginning`.
    package mutating func answer(
        _ datagram: [UInt8], from asker: Asker, at now: UInt64, office: some MappingOffice
    ) -> NegotiationOutcome {
        guard let rules = rules[asker.application], spend(rules, now) else {
            return NegotiationOutcome(drop: .rate)
        }
        let reply = Reply(datagram: datagram, epoch: epoch(at: now))
        switch Self.read(datagram, from: asker.address) {
        case .silent(let drop): return NegotiationOutcome(drop: drop)
        case .refused(let result, let dialect): return reply.refused(result, dialect)
        case .request(let request):
            let turn = Turn(rules: rules, asker: asker, now: now / 1000, reply: reply, dialect: request.dialect)
            switch request.question {
            case .announce:
                return NegotiationOutcome(
                    answer: PCPMessage.announcement(epoch: reply.epoch), result: .success)
            case .externalAddress:
                let address = rules.addresses.first { $0.family == .ipv4 }
                return NegotiationOutcome(
                    answer: NATPMPMessage.externalAddress(address, epoch: reply.epoch),
                    result: address == nil ? .networkFailure : .success)
            case .map(let wish): return map(wish, turn, office)
            case .delete(let wish): return delete(wish, turn, office)
            }
        }
    }

    static func read(_ datagram: [UInt8], from source: IPAddress) -> RequestReading {
        guard datagram.count >= 2 else { return .silent(.tooShort) }
        guard datagram[1] & 0x80 == 0 else { return .silent(.answer) }
        switch datagram[0] {
        case PCPMessage.version: return PCPMessage.read(datagram, from: source)
        // NAT-PMP is of IPv4 alone.
        case 0 where source.family == .ipv4: return NATPMPMessage.read(datagram)
        default: return .refused(.unsupportedVersion, .pcp)
        }
    }

    /// A bucket of twice the requests of a second, in thousandths.
    private mutating func spend(_ rules: NegotiationRules, _ now: UInt64) -> Bool {
        let (rate, full) = (UInt64(rules.requests), UInt64(rules.requests) * 2000)
        let budget = budgets[rules.application] ?? (full, now)
        let tokens = min(full, budget.tokens + min(now &- budget.at, 10_000) * rate)
        guard tokens >= 1000 else { return false }
        budgets[rules.application] = (tokens - 1000, now)
        return true
    }

    private struct Reply {
        var datagram: [UInt8]
        var epoch: UInt32

        func refused(
            _ result: PCPResult, _ dialect: MappingRequest.Dialect, _ reason: String? = nil, wish: MappingWish? = nil
        ) -> NegotiationOutcome {
            let answer =
                switch (dialect, wish) {
                case (.pcp, _):
                    PCPMessage.refusal(datagram, result, lifetime: refusalLifetime, epoch: epoch)
                case (.natPMP, let wish?):
                    NATPMPMessage.mapping(wish, result, port: 0, lifetime: 0, epoch: epoch)
                case (.natPMP, nil): NATPMPMessage.refusal(datagram[1], result, epoch: epoch)
                }
            return NegotiationOutcome(answer: answer, result: result, reason: reason)
        }

        func granted(
            _ wish: MappingWish, _ dialect: MappingRequest.Dialect, _ address: IPAddress, port: UInt16,
            lifetime: UInt32, _ mapping: Mapping?
        ) -> NegotiationOutcome {
            let answer =
                dialect == .pcp
                ? PCPMessage.granted(wish, address, port: port, lifetime: lifetime, epoch: epoch)
                : NATPMPMessage.mapping(wish, .success, port: port, lifetime: lifetime, epoch: epoch)
            return NegotiationOutcome(answer: answer, result: .success, mapping: mapping)
        }
    }

    /// What all steps of an answer need.
    private struct Turn {
        var rules: NegotiationRules
        var asker: Asker
        /// Seconds.
        var now: UInt64
        var reply: Reply
        var dialect: MappingRequest.Dialect

        func key(_ wish: MappingWish) -> Mapping.Key {
            Mapping.Key(
                application: rules.application, family: asker.address.family, protocolNumber: wish.protocolNumber,
                internalPort: wish.internalPort)
        }

        func refused(_ result: PCPResult, _ reason: String? = nil, _ wish: MappingWish) -> NegotiationOutcome {
            reply.refused(result, dialect, reason, wish: wish)
        }
    }

    // MARK: - Mappings

    private mutating func map(
        _ wish: MappingWish, _ turn: Turn, _ office: some MappingOffice
    ) -> NegotiationOutcome {
        // Only these have ports that the engine turns; all ports, and all protocols, are nobody's to ask for.
        guard [IPProtocol.tcp, IPProtocol.udp].contains(wish.protocolNumber), wish.internalPort != 0 else {
            return turn.refused(.unsupportedProtocol, nil, wish)
        }
        let granted = min(max(wish.lifetime, turn.rules.lifetime.lowerBound), turn.rules.lifetime.upperBound)
        let holder = Mapping.Holder(
            node: turn.asker.node, address: turn.asker.address, nonce: wish.nonce, end: turn.now + UInt64(granted))
        if let known = mappings[turn.key(wish)] {
            return renew(known, wish, holder, granted, turn, office)
        }
        guard turn.rules.ports.contains(where: { $0.protocolNumber == wish.protocolNumber }) else {
            return turn.refused(
                .notAuthorized, "`negotiate` of \(turn.rules.application) gives it no ports of this protocol", wish)
        }
        guard mappings.values.filter({ $0.key.application == turn.rules.application }).count < turn.rules.mappings
        else {
            return turn.refused(
                .quotaExceeded, "\(turn.rules.application) has \(turn.rules.mappings) mappings, its limit", wish)
        }
        let filters = wish.filters.reduce(into: [SenderFilter]()) { if !$0.contains($1) { $0.append($1) } }
        if let why = excess(filters, turn.key(wish)) { return turn.refused(.excessiveRemotePeers, why, wish) }
        return grant(wish, filters, holder, granted, turn, office)
    }

    /// Why a mapping cannot have so many filters; nil: it can.
    private func excess(_ filters: [SenderFilter], _ key: Mapping.Key) -> String? {
        guard !filters.isEmpty else { return nil }
        guard filters.count <= Self.mostFilters else { return "it would have more than \(Self.mostFilters) filters" }
        let others = mappings.values.filter { $0.key.application == key.application && $0.key != key }
        let rules = others.reduce(filters.count + 1) { $0 + ($1.filters.isEmpty ? 0 : $1.filters.count + 1) }
        return rules > Self.mostRules
            ? "the filters of \(key.application) would be more than \(Self.mostRules) rules" : nil
    }

    private mutating func renew(
        _ known: Mapping, _ wish: MappingWish, _ holder: Mapping.Holder, _ granted: UInt32, _ turn: Turn,
        _ office: some MappingOffice
    ) -> NegotiationOutcome {
        var mapping = known
        if let place = mapping.holders.firstIndex(where: { $0.node == holder.node }) {
            guard mapping.holders[place].nonce == nil || mapping.holders[place].nonce == wish.nonce else {
                return turn.refused(.notAuthorized, "it has another nonce than the mapping", wish)
            }
            mapping.holders[place] = holder
        } else {
            mapping.holders.append(holder)
        }
        guard !wish.prefersFailure || wish.isMet(by: mapping.address, mapping.port) else {
            return turn.refused(
                .cannotProvideExternal, "the mapping has \(mapping.address) port \(mapping.port) already", wish)
        }
        if wish.clearsFilters { mapping.filters = [] }
        for filter in wish.filters where !mapping.filters.contains(filter) { mapping.filters.append(filter) }
        if let why = excess(mapping.filters, mapping.key) { return turn.refused(.excessiveRemotePeers, why, wish) }
        if mapping.filters != known.filters {
            switch office.put(mapping) {
            case .inForce: break
            case .refused(let why): return turn.refused(.noResources, why, wish)
            case .failed(let why): return turn.refused(.networkFailure, why, wish)
            }
        }
        mappings[mapping.key] = mapping
        return turn.reply.granted(
            wish, turn.dialect, mapping.address, port: mapping.port, lifetime: granted, mapping)
    }

    private mutating func grant(
        _ wish: MappingWish, _ filters: [SenderFilter], _ holder: Mapping.Holder, _ granted: UInt32, _ turn: Turn,
        _ office: some MappingOffice
    ) -> NegotiationOutcome {
        let family = turn.asker.address.family
        // An answer of NAT-PMP names no address: it is the one that such clients are told.
        let addresses = turn.rules.addresses.filter { $0.family == family }
            .prefix(turn.dialect == .natPMP ? 1 : .max)
        guard !addresses.isEmpty else {
            return turn.refused(
                .networkFailure, "`negotiate` of \(turn.rules.application) has no \(family) address", wish)
        }
        let held = Set(mappings.values.map { Place($0.address, $0.key.protocolNumber, $0.port) })
        var tried = 0
        var why =
            wish.prefersFailure
            ? "it may not have the one that it suggests, or another has it" : "every port that it may have is taken"
        for (address, port) in Candidates(wish, turn.rules, Array(addresses)) {
            guard !held.contains(Place(address, wish.protocolNumber, port)),
                !office.isTaken(address, wish.protocolNumber, port: port)
            else { continue }
            let mapping = Mapping(
                key: turn.key(wish), address: address, port: port, filters: filters, holders: [holder])
            switch office.put(mapping) {
            case .inForce:
                mappings[mapping.key] = mapping
                return turn.reply.granted(wish, turn.dialect, address, port: port, lifetime: granted, mapping)
            case .failed(let why): return turn.refused(.networkFailure, why, wish)
            case .refused(let reason): why = reason
            }
            tried += 1
            guard tried < Self.attempts else { break }
        }
        return turn.refused(wish.prefersFailure ? .cannotProvideExternal : .noResources, why, wish)
    }

    private mutating func delete(
        _ wish: MappingWish, _ turn: Turn, _ office: some MappingOffice
    ) -> NegotiationOutcome {
        let own = mappings.values.filter { mapping in
            mapping.key.application == turn.rules.application && mapping.key.family == turn.asker.address.family
                && (wish.protocolNumber == 0 || mapping.key.protocolNumber == wish.protocolNumber)
                && (wish.internalPort == 0 || mapping.key.internalPort == wish.internalPort)
                && mapping.holders.contains { $0.node == turn.asker.node }
        }.sorted()
        let meant = own.filter { mapping in
            mapping.holders.contains { $0.node == turn.asker.node && ($0.nonce == nil || $0.nonce == wish.nonce) }
        }
        guard own.isEmpty || !meant.isEmpty else {
            return turn.refused(.notAuthorized, "it has another nonce than the mapping", wish)
        }
        let left = meant.map { mapping in
            var mapping = mapping
            mapping.holders.removeAll { $0.node == turn.asker.node }
            return mapping
        }
        let gone = left.filter(\.holders.isEmpty)
        if !gone.isEmpty, let why = office.remove(gone) { return turn.refused(.networkFailure, why, wish) }
        for mapping in left { mappings[mapping.key] = mapping.holders.isEmpty ? nil : mapping }
        // What was asked is repeated (RFC 6887, 15.1); NAT-PMP wants port 0 (RFC 6886, 3.4).
        return turn.reply.granted(
            wish, turn.dialect, wish.suggestedAddress, port: turn.dialect == .pcp ? wish.suggestedPort : 0,
            lifetime: 0, gone.first)
    }
}

/// A service port, in sets.
private struct Place: Hashable {
    var address: IPAddress
    var protocolNumber: UInt8
    var port: UInt16

    init(_ address: IPAddress, _ protocolNumber: UInt8, _ port: UInt16) {
        self.address = address
        self.protocolNumber = protocolNumber
        self.port = port
    }
}

extension NegotiationRules {
    /// True if the application can be given a service port.
    func allow(_ protocolNumber: UInt8, _ port: UInt16) -> Bool {
        ports.contains { $0.protocolNumber == protocolNumber && $0.range.contains(port) }
    }
}

extension MappingWish {
    /// True if a mapping has what was suggested.
    func isMet(by address: IPAddress, _ port: UInt16) -> Bool {
        (suggestedPort == 0 || suggestedPort == port)
            && (suggestedAddress.isUnspecified || suggestedAddress == address)
    }
}

extension Mapping: Comparable {
    /// The order in which mappings are told: by application, protocol and port.
    package static func < (left: Mapping, right: Mapping) -> Bool { left.order < right.order }

    private var order: String {
        let number = String(UInt64(key.protocolNumber) << 16 | UInt64(key.internalPort))
        return "\(key.application)\0\(key.family)\0\(String(repeating: "0", count: 10 - number.count))\(number)"
    }
}
