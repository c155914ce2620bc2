import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The addresses that are taken, while they are.
private struct AddressBook {
    /// Addresses are unique in the whole topology: one node must never be taken for another.
    var owners: [IPAddress: (what: String, origin: SourceOrigin)] = [:]
    /// For each link: the number of the host that is tried next.
    var nextFree: [IPPrefix: UInt64] = [:]
    /// For each node and leg: its addresses.
    var legs: [[[InterfaceAddress]]]

    func has(_ family: AddressFamily, _ node: Int, _ leg: Int) -> Bool {
        legs[node][leg].contains { $0.address.family == family }
    }
}

/// Checks the addresses of the file, and chooses the addresses that the file leaves open.
struct AddressResolver: NameStage, Diagnosing {
    let named: NamedTopology
    let diagnostics: Diagnostics

    private var legs: [[PlacedLeg]] { named.nodes.legs }

    /// For each node and leg: its addresses.
    func resolve() -> [[[InterfaceAddress]]] {
        var book = AddressBook(legs: legs.map { $0.map { _ in [] } })
        for interface in file.interfaces where interface.home == nil {
            for address in interface.addresses where isHost(address, "the engine's address", length: true) {
                checkLinkLocal(address)
                claim(address, "the engine on \(interface.name.value)", &book)
            }
        }
        for (index, node) in file.nodes.enumerated() {
            for raw in node.legs {
                guard let place = place(of: raw, index) else { continue }
                guard let written = raw.addresses, !written.isEmpty else { continue }
                if node.transparent {
                    diagnostics.error(
                        written[0].origin, "\(quoted(node.name.value)) is transparent, but has an address",
                        hint: "remove the address")
                    continue
                }
                for address in written {
                    guard let resolved = onLink(address, legs[index][place].interface) else { continue }
                    if claim(address, "\(node.name.value)", &book) { book.legs[index][place].append(resolved) }
                }
            }
        }
        checkPrefixes()
        let services = file.services.flatMap(\.addresses)
        for service in file.services { checkOwners(of: service, book) }
        let serviceHosts = Set(services.filter(\.value.isHost).map(\.value.address))
        if let kept = named.kept { takeKept(kept, serviceHosts, &book) }
        for (index, node) in file.nodes.enumerated() where !node.transparent {
            for raw in node.legs {
                guard raw.addresses == nil, let place = place(of: raw, index) else { continue }
                choose(index, place, serviceHosts, &book)
            }
        }
        return book.legs
    }

    /// The place of a leg among those of a node that are on an interface.
    private func place(of raw: RawLeg, _ node: Int) -> Int? {
        legs[node].firstIndex { $0.origin == raw.interface.origin }
    }

    /// A service address must not be a node's own, unless the service ends at that node.
    private func checkOwners(of service: RawService, _ book: AddressBook) {
        let end = service.sequence.last.flatMap { nodeIndex[$0.value] }
        let entry = service.sequence.last?.enter?.value
        for address in service.addresses where address.value.isHost {
            guard let owner = book.owners[address.value.address] else { continue }
            if let end, file.nodes[end].kind != .customer, !named.nodes.legs[end].isEmpty, members(of: end).count == 1,
                book.legs[end][legs[end].firstIndex { $0.role == entry } ?? 0]
                    .contains(where: { $0.address == address.value.address })
            {
                continue
            }
            let isNode = nodeIndex[owner.what].map { file.nodes[$0].kind != .customer } ?? false
            diagnostics.error(
                address.origin,
                "the service address \(address.value) is that of \(owner.what) \(owner.origin.place)",
                hint: isNode && end != nodeIndex[owner.what]
                    ? "choose an unused address, or end the sequence at \(quoted(owner.what))"
                    : "choose an unused address")
        }
    }

    @discardableResult
    private func claim(
        _ address: Located<RawAddress>, _ what: String, _ book: inout AddressBook
    ) -> Bool {
        if let owner = book.owners[address.value.value.address] {
            diagnostics.error(
                address.origin,
                "\(address.value.value.address) is already the address of \(owner.what) \(owner.origin.place)",
                hint: "choose another address")
            return false
        }
        book.owners[address.value.value.address] = (what, address.origin)
        return true
    }

    /// Notes `prefixes` of nodes that no packet comes from, and those given twice.
    private func checkPrefixes() {
        for node in file.nodes {
            for (index, prefix) in node.prefixes.enumerated() {
                if let fault = unusable(prefix.value) {
                    diagnostics.error(
                        prefix.origin, "\(quoted(node.name.value)) cannot send from \(prefix.value): it \(fault)",
                        hint: "write a network of unicast addresses, or remove it")
                } else if node.prefixes[..<index].contains(where: { $0.value == prefix.value }) {
                    diagnostics.error(prefix.origin, "the network \(prefix.value) is given twice", hint: "remove one")
                }
            }
        }
    }

    /// Link-local addresses are each link's own: no packet from or to one may pass on to another.
    private func checkLinkLocal(_ address: Located<RawAddress>) {
        let value = address.value.value
        guard value.address.isLinkLocal else { return }
        if value.address.family == .ipv6 {
            diagnostics.error(
                address.origin,
                "the engine's address \(value) is link-local: nodes of that network could not reach other networks",
                hint:
                    "remove it (the engine has fe80::1 on every interface), or write a network such as \"2001:db8:1::1/64\""
            )
        } else {
            diagnostics.remark(
                address.origin,
                "the engine's address \(value) is link-local: routers do not forward packets of such addresses (RFC 3927, 7)",
                hint: "choose another network, such as 198.18.1.1/24")
        }
    }

    /// True for an address that one host can have.
    private func isHost(_ address: Located<RawAddress>, _ what: String, length hasLength: Bool) -> Bool {
        let value = address.value.value
        let reason: String
        if value.address.isUnspecified {
            reason = "the unspecified address"
        } else if value.address.isMulticast || value.address.isLimitedBroadcast {
            reason = "a group's address"
        } else if value.address.isLoopback {
            reason = "a loopback address"
        } else if value.address.family == .ipv4, value.address.low >> 24 == 0 || value.address.low >> 28 == 0xF {
            reason = "in a reserved range"
        } else if value.address == TableInterface.linkLocal {
            reason = "the engine's own on every interface"
        } else if hasLength, value.length < value.address.family.width - 1, value.prefix.address == value.address {
            reason = "the network itself"
        } else if hasLength, value.address.family == .ipv4, value.length < 31,
            value.address.low == value.prefix.address.low + (1 << UInt64(32 - value.length)) - 1
        {
            reason = "the broadcast address of its network"
        } else {
            return true
        }
        let count = counting(of: address)
        diagnostics.error(
            address.origin, "\(what) \(value)\(count?.words ?? "") is \(reason)",
            hint: count?.hint
                ?? (value.length < value.address.family.width
                    ? "choose a host address, such as \(value.prefix.address.advanced(by: 2))/\(value.length)"
                    : "choose the address of one host"))
        return false
    }

    /// Where a counted address began, and how to keep it on its link; nil if the file has the address itself.
    private func counting(of address: Located<RawAddress>) -> (words: String, hint: String)? {
        let found = address.value.value.address
        guard let written = diagnostics.addressWritten(at: address.origin)?.address, written < found,
            written.family == found.family
        else { return nil }
        let offset = found.low &- written.low
        return (
            ", counted from \(written),",
            "begin lower, give the interface a shorter prefix, or count to \(offset)\(offset == 1 ? "" : " at most")"
        )
    }

    /// The node's address with the length of the link's prefix. Reports why there is none, and returns nil.
    private func onLink(_ address: Located<RawAddress>, _ interface: Int) -> InterfaceAddress? {
        let value = address.value.value
        let raw = file.interfaces[interface]
        let links = raw.addresses.map(\.value.value).filter { $0.address.family == value.address.family }
        if let link = links.first(where: { $0.prefix.contains(value.address) }) {
            if address.value.hasLength, value.length != link.length {
                diagnostics.error(
                    address.origin,
                    "\(value) has another prefix length than \(link), the engine's address on the interface",
                    hint: "write \(value.address)/\(link.length)")
                return nil
            }
            let resolved = InterfaceAddress(value.address, length: link.length)
            let written = Located(RawAddress(value: resolved, hasLength: true), address.origin)
            return isHost(written, "the address", length: true) ? resolved : nil
        }
        guard isHost(address, "the address", length: address.value.hasLength) else { return nil }
        guard links.isEmpty || value.address.isLinkLocal else {
            let count = counting(of: address)
            diagnostics.error(
                address.origin,
                "\(value.address)\(count?.words ?? "") is not in \(links.map { $0.prefix.description }.joined(separator: " or ")), "
                    + "the network of interface \(quoted(raw.name.value)) \(raw.name.origin.place)",
                hint: count?.hint ?? "choose an address of that network, or omit `address` to get one")
            return nil
        }
        return value
    }

    /// Gives nodes whose addresses the file leaves open their previous addresses.
    private func takeKept(_ kept: KeptParts, _ reserved: Set<IPAddress>, _ book: inout AddressBook) {
        for (index, node) in file.nodes.enumerated() where !node.transparent {
            for raw in node.legs {
                guard raw.addresses == nil, let place = place(of: raw, index) else { continue }
                let interface = file.interfaces[legs[index][place].interface]
                for address in kept.addresses[[node.name.value, interface.name.value]] ?? [] {
                    let links = interface.addresses.map(\.value.value)
                    guard book.owners[address.address] == nil, !reserved.contains(address.address),
                        !book.has(address.address.family, index, place),
                        links.first(where: { $0.address.family == address.address.family })?.prefix == address.prefix
                    else { continue }
                    book.owners[address.address] = (node.name.value, node.name.origin)
                    book.legs[index][place].append(address)
                }
            }
        }
    }

    /// Gives a leg the first free address of each family that the engine has on the interface.
    private func choose(_ node: Int, _ leg: Int, _ reserved: Set<IPAddress>, _ book: inout AddressBook) {
        let raw = file.interfaces[legs[node][leg].interface]
        for family in AddressFamily.allCases where !book.has(family, node, leg) {
            guard let link = raw.addresses.map(\.value.value).first(where: { $0.address.family == family }) else {
                continue
            }
            let hostBits = family.width - link.length
            let isPointToPoint = family == .ipv4 && hostBits <= 1
            let first: UInt64 = isPointToPoint ? 0 : 1
            let last: UInt64 =
                hostBits >= 63 ? 1 << 40 : (1 << UInt64(hostBits)) - (isPointToPoint || family == .ipv6 ? 1 : 2)
            let start = max(first, book.nextFree[link.prefix] ?? first)
            var offset = start
            var found: IPAddress?
            while offset <= last {
                let candidate = link.prefix.address.advanced(by: offset)
                offset += 1
                if book.owners[candidate] == nil, !reserved.contains(candidate) {
                    found = candidate
                    break
                }
            }
            book.nextFree[link.prefix] = offset
            guard let found else {
                diagnostics.error(
                    legs[node][leg].origin,
                    "no address of \(link.prefix.address)/\(link.length) is left for \(quoted(file.nodes[node].name.value))",
                    hint: "give interface \(quoted(raw.name.value)) a shorter prefix")
                continue
            }
            book.owners[found] = (file.nodes[node].name.value, file.nodes[node].name.origin)
            book.legs[node][leg].append(InterfaceAddress(found, length: link.length))
        }
    }
}
