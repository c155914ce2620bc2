import Plan
import Reporting
import Wire
import Yams

extension FileReader {
    /// Finds the interfaces and services that the file leaves the addresses of to Tapline, and gives them some.
    ///
    /// An interface gets addresses if a node on it has to send packets to the engine, and no node on it names an address of
    /// its own. Interfaces with a device, circuits and tunnels get none: their networks are somebody else's.
    func giveAddresses(_ fields: Fields, _ root: Node, to file: inout TopologyFile) {
        if let wanted = nodes.flag(fields["ipv6"], "`ipv6`") { file.givesIPv6 = wanted.value }
        file.namedAddresses = root.namedAddresses()
        var (needing, naming): (Set<String>, Set<String>) = ([], [])
        var waiting: [String: Located<String>] = [:]
        for node in file.nodes where !node.transparent {
            for (place, leg) in node.legs.enumerated() {
                // A passive application's first leg gets copies alone.
                if !node.passive || place > 0 { needing.insert(leg.interface.value) }
                if leg.addresses?.isEmpty == false { naming.insert(leg.interface.value) }
                if leg.addresses == nil, waiting[leg.interface.value] == nil {
                    waiting[leg.interface.value] = node.name
                }
            }
        }
        for (index, interface) in file.interfaces.enumerated() {
            let isOwn = interface.device == nil && interface.circuit == nil && interface.tunnel == nil
            let isOpen =
                isOwn && interface.behind.isEmpty && interface.addresses.isEmpty && !interface.namesAddresses
                && needing.contains(interface.name.value)
            file.interfaces[index].isGiven = isOpen && !naming.contains(interface.name.value)
            if isOpen, !file.interfaces[index].isGiven, let node = waiting[interface.name.value] {
                diagnostics.remark(
                    node.origin,
                    "\(quoted(node.value)) gets no address on interface \(quoted(interface.name.value)), where another node names "
                        + "its own",
                    hint: "write the interface's `address`, or one for each node there")
            }
        }
        for (index, service) in file.services.enumerated() where service.isGiven {
            guard let end = service.sequence.last,
                file.nodes.contains(where: { $0.kind == .router && $0.name.value == end.value })
            else { continue }
            file.services[index].isGiven = false
            diagnostics.error(
                service.name.origin, "service \(quoted(service.name.value)) has no address",
                hint: "add `address: 0.0.0.0/0`, or the networks behind \(quoted(end.value))")
        }
        file.giveAddresses(diagnostics)
    }
}

extension Node {
    /// All addresses and prefixes in the texts of this node, those in the middle of a command too.
    func namedAddresses() -> [IPPrefix] {
        var found: Set<IPPrefix> = []
        collect(into: &found)
        return found.sorted { ($0.address, $0.length) < ($1.address, $1.length) }
    }

    private func collect(into found: inout Set<IPPrefix>) {
        switch self {
        case .scalar(let scalar): found.formUnion(Self.addresses(in: scalar.string))
        case .sequence(let sequence): for element in sequence { element.collect(into: &found) }
        case .mapping(let mapping): for (_, value) in mapping { value.collect(into: &found) }
        case .alias: break
        }
    }

    private static func addresses(in text: String) -> [IPPrefix] {
        let utf8 = text.utf8
        let (hasDots, hasColons) = (utf8.contains(UInt8(ascii: ".")), utf8.contains(UInt8(ascii: ":")))
        guard hasDots || hasColons else { return [] }
        var words: [Substring] = []
        if hasDots { words += text.split { !$0.isASCII || !($0.isNumber || $0 == "." || $0 == "/") } }
        if hasColons { words += text.split { !$0.isASCII || !($0.isHexDigit || $0 == ":" || $0 == "/") } }
        return words.compactMap { word in
            let trimmed = word.drop { $0 == "/" }
            guard trimmed.utf8.count >= 3 else { return nil }
            let whole = InterfaceAddress(String(trimmed))
            return (whole ?? trimmed.split(separator: "/").first.flatMap { InterfaceAddress(String($0)) })?.prefix
        }
    }
}
