import Forwarding
import Wire

extension PlanBuilder {
    /// Checks the addresses of the file, and chooses those that it leaves open.
    func resolveAddresses() {
        // Addresses are unique in the whole topology: one node must never be taken for another.
        var owners: [IPAddress: (what: String, line: Int)] = [:]
        for interface in file.interfaces where interface.home == nil {
            for address in interface.addresses where isHost(address, "the engine's address", length: true) {
                checkLinkLocal(address)
                claim(address, "the engine on \(interface.name.value)", &owners)
            }
        }
        for (index, node) in file.nodes.enumerated() {
            for (place, raw) in [node.inLeg, node.outLeg].compactMap({ $0 }).enumerated() {
                guard legs[index].indices.contains(place) else { continue }
                guard let written = raw.addresses, !written.isEmpty else { continue }
                if node.transparent {
                    diagnostics.error(
                        written[0].position, "\(quoted(node.name.value)) is transparent, but has an address",
                        mend: "remove the address")
                    continue
                }
                for address in written {
                    guard let resolved = onLink(address, legs[index][place].interface) else { continue }
                    if claim(address, "\(node.name.value)", &owners) { legs[index][place].addresses.append(resolved) }
                }
            }
        }
        checkPrefixes()
        let services = file.services.flatMap(\.addresses)
        for service in file.services { checkOwners(of: service, owners) }
        let serviceHosts = Set(services.filter(\.value.isHost).map(\.value.address))
        takeKeptAddresses(serviceHosts, &owners)
        for (index, node) in file.nodes.enumerated() where !node.transparent {
            for (place, raw) in [node.inLeg, node.outLeg].compactMap({ $0 }).enumerated() {
                guard raw.addresses == nil, legs[index].indices.contains(place) else { continue }
                choose(index, place, serviceHosts, &owners)
            }
        }
    }

    /// A service address is nobody's own, unless the service ends at the node that has it.
    private func checkOwners(of service: RawService, _ owners: [IPAddress: (what: String, line: Int)]) {
        let end = service.sequence.last.flatMap { nodeIndex[$0.value] }
        for address in service.addresses where address.value.isHost {
            guard let owner = owners[address.value.address] else { continue }
            if let end, file.nodes[end].kind != .customer, !legs[end].isEmpty, members(of: end).count == 1,
                isOwn(address.value, end)
            {
                continue
            }
            let isNode = nodeIndex[owner.what].map { file.nodes[$0].kind != .customer } ?? false
            diagnostics.error(
                address.position,
                "the service address \(address.value) is that of \(owner.what) on line \(owner.line)",
                mend: isNode && end != nodeIndex[owner.what]
                    ? "choose an unused address, or end the sequence at \(quoted(owner.what))"
                    : "choose an unused address")
        }
    }

    @discardableResult
    private func claim(
        _ address: Located<RawAddress>, _ what: String, _ owners: inout [IPAddress: (what: String, line: Int)]
    ) -> Bool {
        if let owner = owners[address.value.value.address] {
            diagnostics.error(
                address.position,
                "\(address.value.value.address) is already the address of \(owner.what) on line \(owner.line)",
                mend: "choose another address")
            return false
        }
        owners[address.value.value.address] = (what, address.position.line)
        return true
    }

    /// Notes `prefixes` of nodes that no packet comes from, and those given twice.
    private func checkPrefixes() {
        for node in file.nodes {
            for (index, prefix) in node.prefixes.enumerated() {
                if let fault = unusable(prefix.value) {
                    diagnostics.error(
                        prefix.position, "\(quoted(node.name.value)) cannot send from \(prefix.value): it \(fault)",
                        mend: "write a network of unicast addresses, or remove it")
                } else if node.prefixes[..<index].contains(where: { $0.value == prefix.value }) {
                    diagnostics.error(prefix.position, "the network \(prefix.value) is given twice", mend: "remove one")
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
                address.position,
                "the engine's address \(value) is link-local: nodes of that network could not reach other networks",
                mend:
                    "remove it (the engine has fe80::1 on every interface), or write a network such as \"2001:db8:1::1/64\""
            )
        } else {
            diagnostics.remark(
                address.position,
                "the engine's address \(value) is link-local: routers do not forward packets of such addresses (RFC 3927, 7)",
                mend: "choose another network, such as 198.18.1.1/24")
        }
    }

    /// What keeps an address or a prefix from being the source or the destination of a host's packets; nil for others.
    func unusable(_ prefix: IPPrefix) -> String? {
        let address = prefix.address
        if address.isMulticast { return "is a group's" }
        if address.isLimitedBroadcast { return "is the broadcast address" }
        if address.isLoopback, prefix.length >= 8 { return "is a loopback address, which never leaves a host" }
        if prefix.isHost, address.isUnspecified { return "is the unspecified address" }
        if address.family == .ipv4, prefix.length >= 8, address.low >> 24 == 0 {
            return "is of network 0, which has no hosts (RFC 1122, 3.2.1.3)"
        }
        if address.family == .ipv4, prefix.length >= 4, address.low >> 28 == 0xF {
            return "is in the reserved range 240.0.0.0/4, which hosts refuse"
        }
        if address.isLinkLocal, prefix.length > 9 { return "is link-local: it is on every link, so it is not unique" }
        return nil
    }

    /// What keeps one address from being a host's on the interfaces of the file: it is a network itself there, or the
    /// broadcast address of one.
    func unusableOnLinks(_ prefix: IPPrefix) -> String? {
        guard prefix.isHost else { return nil }
        for interface in file.interfaces {
            for link in interface.addresses.map(\.value.value)
            where link.prefix.contains(prefix) && link.length < prefix.family.width - 1 {
                let what = "of interface \(quoted(interface.name.value)) on line \(interface.name.position.line)"
                if link.prefix.address == prefix.address { return "is the network itself \(what)" }
                if prefix.family == .ipv4,
                    prefix.address.low == link.prefix.address.low + (1 << UInt64(32 - link.length)) - 1
                {
                    return "is the broadcast address \(what)"
                }
            }
        }
        return nil
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
        diagnostics.error(
            address.position, "\(what) \(value) is \(reason)",
            mend: value.length < value.address.family.width
                ? "choose a host address, such as \(value.prefix.address.advanced(by: 2))/\(value.length)"
                : "choose the address of one host")
        return false
    }

    /// The node's address with the length of the link's prefix; nil where it is told why it cannot be.
    private func onLink(_ address: Located<RawAddress>, _ interface: Int) -> InterfaceAddress? {
        let value = address.value.value
        let raw = file.interfaces[interface]
        let links = raw.addresses.map(\.value.value).filter { $0.address.family == value.address.family }
        if let link = links.first(where: { $0.prefix.contains(value.address) }) {
            if address.value.hasLength, value.length != link.length {
                diagnostics.error(
                    address.position,
                    "\(value) has another prefix length than \(link), the engine's address on the interface",
                    mend: "write \(value.address)/\(link.length)")
                return nil
            }
            let resolved = InterfaceAddress(value.address, length: link.length)
            let written = Located(RawAddress(value: resolved, hasLength: true), address.position)
            return isHost(written, "the address", length: true) ? resolved : nil
        }
        guard isHost(address, "the address", length: address.value.hasLength) else { return nil }
        guard links.isEmpty || value.address.isLinkLocal else {
            diagnostics.error(
                address.position,
                "\(value.address) is not in \(links.map { $0.prefix.description }.joined(separator: " or ")), "
                    + "the network of interface \(quoted(raw.name.value)) on line \(raw.name.position.line)",
                mend: "choose an address of that network, or omit `address` to get one")
            return nil
        }
        return value
    }

    /// Gives nodes whose addresses the file leaves open those that they have had.
    private func takeKeptAddresses(
        _ reserved: Set<IPAddress>, _ owners: inout [IPAddress: (what: String, line: Int)]
    ) {
        for (index, node) in file.nodes.enumerated() where !node.transparent {
            for (place, raw) in [node.inLeg, node.outLeg].compactMap({ $0 }).enumerated() {
                guard raw.addresses == nil, legs[index].indices.contains(place) else { continue }
                let interface = file.interfaces[legs[index][place].interface]
                for address in keptAddresses[[node.name.value, interface.name.value]] ?? [] {
                    let links = interface.addresses.map(\.value.value)
                    guard owners[address.address] == nil, !reserved.contains(address.address),
                        legs[index][place].address(address.address.family) == nil,
                        links.first(where: { $0.address.family == address.address.family })?.prefix == address.prefix
                    else { continue }
                    owners[address.address] = (node.name.value, node.name.position.line)
                    legs[index][place].addresses.append(address)
                }
            }
        }
    }

    /// Gives a leg the first free address of each family that the engine has on the interface.
    private func choose(
        _ node: Int, _ leg: Int, _ reserved: Set<IPAddress>, _ owners: inout [IPAddress: (what: String, line: Int)]
    ) {
        let raw = file.interfaces[legs[node][leg].interface]
        for family in AddressFamily.allCases where legs[node][leg].address(family) == nil {
            guard let link = raw.addresses.map(\.value.value).first(where: { $0.address.family == family }) else {
                continue
            }
            let hostBits = family.width - link.length
            let isPointToPoint = family == .ipv4 && hostBits <= 1
            let first: UInt64 = isPointToPoint ? 0 : 1
            let last: UInt64 =
                hostBits >= 63 ? 1 << 40 : (1 << UInt64(hostBits)) - (isPointToPoint || family == .ipv6 ? 1 : 2)
            let start = max(first, nextFree[link.prefix] ?? first)
            var offset = start
            var found: IPAddress?
            while offset <= last {
                let candidate = link.prefix.address.advanced(by: offset)
                offset += 1
                if owners[candidate] == nil, !reserved.contains(candidate) {
                    found = candidate
                    break
                }
            }
            nextFree[link.prefix] = offset
            guard let found else {
                diagnostics.error(
                    legs[node][leg].position,
                    "no address of \(link.prefix.address)/\(link.length) is left for \(quoted(file.nodes[node].name.value))",
                    mend: "give interface \(quoted(raw.name.value)) a shorter prefix")
                continue
            }
            owners[found] = (file.nodes[node].name.value, file.nodes[node].name.position.line)
            legs[node][leg].addresses.append(InterfaceAddress(found, length: link.length))
        }
    }

    /// The engine's address of a family on an interface; fe80::1 where it has no other.
    func gateway(_ family: AddressFamily, on interface: Int) -> IPAddress? {
        let addresses = file.interfaces[interface].addresses.map(\.value.value.address)
        return addresses.first { $0.family == family } ?? (family == .ipv6 ? TableInterface.linkLocal : nil)
    }
}
