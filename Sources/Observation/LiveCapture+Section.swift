import ControlAPI
import PacketCapture
import PacketFilters
import Reporting
import Tracing
import Wire

/// What a capture says before its first packet.
extension LiveCapture {
    static func check(_ options: Options, _ network: TracedNetwork) throws(ApplianceError) {
        func check(_ name: String?, _ what: String, _ names: [String]) throws(ApplianceError) {
            guard let name, !names.contains(name) else { return }
            throw ApplianceError(
                .name, "there is no \(what) '\(ControlText.shown(name, most: 64))'",
                hint: "the \(what)s are: \(names.joined(separator: ", "))")
        }
        try check(options.node, "node", network.nodes.map(\.name))
        try check(options.interface, "interface", network.interfaces)
        try check(options.service, "service", network.services.map(\.name))
    }

    /// The link of the device whose frames are wanted as they are on it: that of an interface that carries circuits.
    static func wire(
        _ options: Options, _ description: NetworkDescription
    ) throws(ApplianceError) -> FilteredLink? {
        guard let name = options.interface,
            let carrier = description.carriers.first(where: {
                description.interfaces.indices.contains($0.interface) && description.interfaces[$0.interface] == name
            })
        else { return nil }
        let option =
            options.node.map { "the node '\($0)'" } ?? options.service.map { "the service '\($0)'" }
            ?? (options.onlyDropped ? "--dropped" : nil)
        if let option {
            throw ApplianceError(
                .usage,
                "--interface \(name) does not go with \(option): the interface carries circuits, and its capture has frames as on "
                    + "the wire, of no node",
                hint: "name one of its circuits, or use a filter")
        }
        switch carrier.link {
        case "frame-relay": return .frameRelay
        case "atm": return .atm
        default: return .ethernet
        }
    }

    /// The interfaces that can have wanted frames; nil for all.
    static func interfaces(_ options: Options, _ network: TracedNetwork) -> [String]? {
        if let interface = options.interface { return [interface] }
        guard let node = options.node.flatMap(network.node(named:)) else { return nil }
        let legs = network.nodes[node].legs.map { network.interfaceName($0.interface) }
        return legs.isEmpty ? nil : legs
    }

    /// The expression for the engines: what a person wrote, and the service.
    static func expression(_ options: Options, _ network: TracedNetwork) -> String? {
        let made = options.service.flatMap {
            TraceFilter.expression(TraceSelection(service: $0), network)
        }
        return TraceFilter.both(options.filter, made)
    }

    static func section(
        _ options: Options, _ description: NetworkDescription, _ network: TracedNetwork, _ wire: FilteredLink?
    ) -> (section: PcapngSection, places: [Place: Int]) {
        var places: [Place: Int] = [:]
        var interfaces: [PcapngInterface] = []
        if wire != nil, let index = network.interfaces.firstIndex(where: { $0 == options.interface }) {
            let place = Place(node: nil, interface: index)
            places[place] = 0
            var device = interface(place, description, options)
            device.description = "the device of interface \(device.name), as on the wire"
            interfaces.append(device)
        }
        var wanted: [Place] = []
        for node in description.nodes where wire == nil && (options.node == nil || node.name == options.node) {
            for leg in node.legs
            where options.interface == nil || network.interfaceName(leg.interface) == options.interface {
                wanted.append(Place(node: node.name, interface: leg.interface))
            }
        }
        // With too many nodes, those have a place whose packets come first, and each interface has one for the others.
        let others = Set(wanted.map(\.interface)).sorted().map { Place(node: nil, interface: $0) }
        if wanted.count + others.count > PcapngSection.mostInterfaces { wanted = others }
        for place in wanted where places[place] == nil && interfaces.count < PcapngSection.mostInterfaces {
            places[place] = interfaces.count
            interfaces.append(interface(place, description, options))
        }
        var names: [PcapngName] = []
        for node in description.nodes {
            for leg in node.legs {
                names += leg.addresses.compactMap { IPAddress($0) }.map { PcapngName(.network($0), node.name) }
                names += leg.macs.prefix(1).compactMap { MACAddress($0) }.map { PcapngName(.hardware($0), node.name) }
            }
        }
        for service in network.services {
            for prefix in service.addresses where prefix.isHost {
                names.append(PcapngName(.network(prefix.address), service.name))
            }
        }
        let section = PcapngSection(
            interfaces: interfaces, snapLength: options.snapLength ?? PcapngSection.wholeFrames,
            linkType: UInt16(clamping: (wire ?? .ethernet).rawValue), names: names,
            comments: ["topology \(description.name)"])
        return (section, places)
    }

    static func interface(
        _ place: Place, _ description: NetworkDescription, _ options: Options
    ) -> PcapngInterface {
        let name =
            description.interfaces.indices.contains(place.interface)
            ? description.interfaces[place.interface] : "\(place.interface)"
        guard let node = description.nodes.first(where: { $0.name == place.node }) else {
            return PcapngInterface(
                "\(name)", description: "others on interface \(name)", filter: options.filter ?? "")
        }
        let leg = node.legs.first { $0.interface == place.interface }
        let addresses = (leg?.addresses ?? []).joined(separator: ", ")
        return PcapngInterface(
            node: node.name, interface: name,
            description: "\(node.type ?? node.kind) \(node.name) on interface \(name)"
                + (addresses.isEmpty ? "" : ", \(addresses)"),
            hardwareAddress: leg?.macs.first.flatMap { MACAddress($0) }, filter: options.filter ?? "")
    }
}
