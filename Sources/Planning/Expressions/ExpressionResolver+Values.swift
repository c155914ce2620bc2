import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// A value of an address: its name, and the family if the name has one.
enum AddressValue: String, CaseIterable {
    case address
    case network
    case prefixLength = "prefix-length"
    case gateway

    /// Reads `address`, `address4` or `address6`.
    static func reading(_ word: String) -> (value: AddressValue, family: AddressFamily?)? {
        let family: AddressFamily? = word.hasSuffix("4") ? .ipv4 : word.hasSuffix("6") ? .ipv6 : nil
        return AddressValue(rawValue: family == nil ? word : String(word.dropLast())).map { ($0, family) }
    }

    /// The names of these, with their forms for one family.
    static func words(_ values: [AddressValue]) -> [String] {
        values.flatMap { [$0.rawValue, $0.rawValue + "4", $0.rawValue + "6"] }
    }
}

extension ExpressionResolver {
    private static let legWords =
        AddressValue.words(AddressValue.allCases) + ["mac", "device", "mtu", "interface"]
    private static let nodeWords = ["in", "out", "name", "host-name", "dir"] + legWords
    private static let engineWords = AddressValue.words([.address, .network, .prefixLength]) + ["mac", "mtu"]

    /// A value of a node, or of one of its legs.
    func value(of node: Int, _ names: inout ExpressionPath) throws(ExpressionFault) -> String {
        switch names.ahead {
        case "name":
            _ = names.next()
            return file.nodes[node].name.value
        case "host-name":
            _ = names.next()
            return DerivedNames.node(file.nodes[node].name.value)
        case "dir":
            _ = names.next()
            return folder(of: node)
        default:
            let leg = try leg(&names, of: node)
            return try value(of: leg, &names, of: node)
        }
    }

    /// The leg that the next name says; of a name that is no leg's, the first one.
    func leg(_ names: inout ExpressionPath, of node: Int) throws(ExpressionFault) -> ResolvedLeg {
        let own = legs[node]
        guard let first = own.first else { throw .consequence }
        guard let name = names.ahead else { return first }
        let written = file.nodes[node].legs.compactMap(\.name)
        if let leg = own.first(where: { $0.role == name }), name == "in" || name == "out" || written.contains(name) {
            _ = names.next()
            return leg
        }
        switch name {
        case "in":
            _ = names.next()
            return entryLeg(node).map { own[$0] } ?? first
        case "out":
            _ = names.next()
            guard own.count > 1, let exit = exitLeg(node), exit != entryLeg(node) else {
                // The interface of a leg that the file names may be unknown, which is reported.
                if written.contains(name) { throw .consequence }
                throw ExpressionFault(
                    own.count == 1
                        ? "\(quoted(file.nodes[node].name.value)) has one interface, and no `out`"
                        : "\(quoted(file.nodes[node].name.value)) has no leg `out`",
                    own.count == 1 ? "write `in`" : "write the name of a leg: \(written.joined(separator: ", "))")
            }
            return own[exit]
        default:
            // So is that of any other leg.
            if written.contains(name) { throw .consequence }
            return first
        }
    }

    private func value(
        of leg: ResolvedLeg, _ names: inout ExpressionPath, of node: Int
    ) throws(ExpressionFault) -> String {
        let word = try names.name("value", among: Self.nodeWords)
        switch word {
        case "mac": return leg.mac.description
        case "device": return leg.device
        case "mtu": return String(file.interfaces[leg.interface].mtu.value)
        case "interface": return file.interfaces[leg.interface].home ?? file.interfaces[leg.interface].name.value
        default: break
        }
        guard let (value, family) = AddressValue.reading(word) else {
            throw ExpressionFault(
                unknown: word, among: Self.nodeWords + file.nodes[node].legs.compactMap(\.name), of: names.owner)
        }
        if value == .gateway {
            let families = family.map { [$0] } ?? AddressFamily.allCases
            let found = families.lazy.compactMap { self.gateway($0, on: leg.interface) }.first
            if let found { return found.description }
            throw ExpressionFault(
                "the engine has no \(family.map { "\($0.name) " } ?? "")address on interface "
                    + quoted(file.interfaces[leg.interface].name.value),
                "give the interface one")
        }
        return try address(
            value, family, of: leg.addresses, "\(quoted(file.nodes[node].name.value)) on this leg",
            "give it one, or remove `transparent`")
    }

    /// A value of the engine on an interface.
    func engine(
        _ names: inout ExpressionPath, on interface: Int, mac: MACAddress?
    ) throws(ExpressionFault) -> String {
        let word = try names.name("value", among: Self.engineWords)
        switch word {
        case "mac": return (mac ?? named.interfaces.engineMACs[interface]).description
        case "mtu": return String(file.interfaces[interface].mtu.value)
        default: break
        }
        guard let (value, family) = AddressValue.reading(word), value != .gateway else {
            throw ExpressionFault(unknown: word, among: Self.engineWords, of: names.owner)
        }
        return try address(
            value, family, of: file.interfaces[interface].addresses.map(\.value.value),
            "the engine on interface \(quoted(file.interfaces[interface].name.value))", "give the interface one")
    }

    /// A value of the first address of a family, IPv4 before IPv6 if the family is left open.
    private func address(
        _ value: AddressValue, _ family: AddressFamily?, of addresses: [InterfaceAddress], _ owner: String,
        _ hint: String
    ) throws(ExpressionFault) -> String {
        let found =
            family.map { family in addresses.first { $0.address.family == family } }
            ?? (addresses.first { $0.address.family == .ipv4 } ?? addresses.first)
        guard let found else {
            // An address that is wrong in the file has been reported, and is left out.
            if !diagnostics.isEmpty { throw .consequence }
            throw ExpressionFault("\(owner) has no \(family.map { "\($0.name) " } ?? "")address", hint)
        }
        switch value {
        case .network: return found.prefix.description
        case .prefixLength: return String(found.length)
        case .address, .gateway: return found.address.description
        }
    }
}

extension AddressFamily {
    fileprivate var name: String { self == .ipv4 ? "IPv4" : "IPv6" }
}

/// A value of a service.
enum ServiceValue {
    case address(AddressFamily?)
    case network(AddressFamily?)
    case port
    case ports
    case applicationPort
    case applicationPorts
    case upperProtocol

    static let words =
        AddressValue.words([.address, .network])
        + ["port", "ports", "application-port", "application-ports", "protocol"]

    init?(_ word: String) {
        switch (word, AddressValue.reading(word)) {
        case ("port", _): self = .port
        case ("ports", _): self = .ports
        case ("application-port", _): self = .applicationPort
        case ("application-ports", _): self = .applicationPorts
        case ("protocol", _): self = .upperProtocol
        case (_, (.address, let family)?): self = .address(family)
        case (_, (.network, let family)?): self = .network(family)
        default: return nil
        }
    }

    func value(of service: RawService) throws(ExpressionFault) -> String {
        let name = "service \(quoted(service.name.value))"
        switch self {
        case .address(let family):
            let found = try Self.prefix(of: service, family)
            guard found.isHost else {
                throw ExpressionFault(
                    "\(name) is for \(found), not for one address",
                    "write {{ services.\(service.name.value).network }}, or an address of it")
            }
            return found.address.description
        case .network(let family):
            let found = try Self.prefix(of: service, family)
            return "\(found.address)/\(found.length)"
        case .port, .applicationPort:
            guard let ports = ports(of: service).first else {
                throw ExpressionFault("\(name) is for every port", "write the number, or give the service `ports`")
            }
            return String(ports.lowerBound)
        case .ports, .applicationPorts:
            let found = ports(of: service)
            guard !found.isEmpty else {
                throw ExpressionFault("\(name) is for every port", "write the numbers, or give the service `ports`")
            }
            return found.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
                .uniqued().joined(separator: ", ")
        case .upperProtocol:
            let found = service.ports.first?.value ?? .any
            guard found != .any else {
                throw ExpressionFault("\(name) is for every protocol", "give the service `ports`, such as tcp/80")
            }
            return String(found.description.prefix { $0 != "/" })
        }
    }

    /// The ports as customers have them, or as the application does; without those that are every port.
    private func ports(of service: RawService) -> [ClosedRange<UInt16>] {
        let found = service.ports.map(\.value).filter { $0.ports != 0...65_535 }
        return switch self {
        case .applicationPort, .applicationPorts: found.map { $0.translation?.ports ?? $0.ports }
        default: found.map(\.ports)
        }
    }

    /// The first address of a family, IPv4 before IPv6 if the family is left open.
    private static func prefix(of service: RawService, _ family: AddressFamily?) throws(ExpressionFault) -> IPPrefix {
        let all = service.addresses.map(\.value)
        let found =
            family.map { family in all.first { $0.family == family } }
            ?? (all.first { $0.family == .ipv4 } ?? all.first)
        guard let found else {
            // A service without any address has been reported.
            if all.isEmpty { throw .consequence }
            throw ExpressionFault(
                "service \(quoted(service.name.value)) has no \(family?.name ?? "") address",
                "it has \(all.map(\.description).joined(separator: ", "))")
        }
        return found
    }
}
