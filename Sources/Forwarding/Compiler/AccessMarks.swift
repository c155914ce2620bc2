import Wire

/// Which targets lead to an application whose packets are judged.
struct AccessMarks {
    private struct Station: Hashable {
        var interface: Int
        var address: IPAddress
    }
    private struct Holding {
        var interface: Int
        var prefix: IPPrefix
        var mark: UInt64
    }
    /// By interface and MAC address.
    private var stations: [UInt64: UInt64] = [:]
    private var neighbours: [Station: UInt64] = [:]
    private var holdings: [Holding] = []
    /// True if no target is marked.
    var isEmpty: Bool { stations.isEmpty }

    init(_ table: ForwardingTable) {
        var marks: [String: UInt64] = [:]
        // Also where nothing is judged yet: so the first list of an application changes no target.
        for (index, point) in table.access.enumerated() {
            for node in point.nodes { marks[node] = UInt64(index + 1) }
        }
        guard !marks.isEmpty else { return }
        for source in table.sources {
            guard let mark = marks[source.node] else { continue }
            stations[Layout.macKey(interface: source.interface, bits: source.mac.bits)] = mark
        }
        for neighbour in table.neighbours {
            guard let mark = mark(neighbour.interface, neighbour.mac) else { continue }
            neighbours[Station(interface: neighbour.interface, address: neighbour.address)] = mark
        }
        for holder in table.holders {
            guard let mark = mark(holder.interface, holder.mac) else { continue }
            holdings.append(Holding(interface: holder.interface, prefix: holder.prefix, mark: mark))
        }
    }

    /// True if the node that has an address is judged.
    func judges(_ holder: AddressHolder) -> Bool { mark(holder.interface, holder.mac) != nil }

    private func mark(_ interface: Int, _ mac: MACAddress) -> UInt64? {
        stations[Layout.macKey(interface: interface, bits: mac.bits)]
    }

    private func mark(_ interface: Int, _ prefix: IPPrefix) -> UInt64 {
        if prefix.isHost, let mark = neighbours[Station(interface: interface, address: prefix.address)] { return mark }
        return holdings.first { $0.interface == interface && $0.prefix.contains(prefix) }?.mark ?? 0
    }

    /// One more than the index of the point of a target; 0 if there is none.
    ///
    /// - Parameter destination: The destination of the entry.
    func mark(_ target: SendTarget, destination: IPPrefix?) -> UInt64 {
        guard !isEmpty else { return 0 }
        switch target.address {
        case .mac(let mac): return mark(target.interface, mac) ?? 0
        case .network(let address): return mark(target.interface, IPPrefix(host: address))
        case .neighbour(let via?): return mark(target.interface, IPPrefix(host: via))
        case .neighbour(nil): return destination.map { mark(target.interface, $0) } ?? 0
        }
    }

    /// True if the destination of an entry, and not the target alone, decides about one of its targets.
    func depend(on destination: IPPrefix?, _ hops: [Hop]) -> Bool {
        guard !isEmpty, destination != nil else { return false }
        return hops.contains { hop in hop.targets.contains { $0.address == .neighbour(via: nil) } }
    }
}

extension Entry {
    /// True if one of its targets may be at an address of a holder, which tells the application that it leads to.
    func leads(to holder: AddressHolder) -> Bool { hops.contains { leads($0, to: holder) } }

    private func leads(_ hop: Hop, to holder: AddressHolder) -> Bool {
        switch hop {
        case .target(let target): leads(target, to: holder)
        case .instance(_, let targets, let otherwise):
            if targets.contains(where: { leads($0, to: holder) }) {
                true
            } else if case .hops(let hops) = otherwise {
                hops.contains { leads($0, to: holder) }
            } else {
                false
            }
        case .whether(_, let up, let down): (up + down).contains { leads($0, to: holder) }
        }
    }

    private func leads(_ target: SendTarget, to holder: AddressHolder) -> Bool {
        guard target.interface == holder.interface else { return false }
        return switch target.address {
        case .mac: false
        case .network(let address), .neighbour(let address?): holder.prefix.contains(IPPrefix(host: address))
        case .neighbour(nil): destination.map { holder.prefix.contains($0) } ?? false
        }
    }
}
