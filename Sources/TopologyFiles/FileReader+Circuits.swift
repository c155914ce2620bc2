import Reporting
import Wire
import Yams

/// Circuits: `circuits` and `encapsulation` of an interface.
extension FileReader {
    /// The interfaces of one in the file: itself, and one for each of its circuits.
    ///
    /// An interface with `encapsulation` is a circuit by itself, on a device that has no other frames.
    func circuits(of interface: RawInterface, _ fields: Fields) -> [RawInterface] {
        if let node = fields["encapsulation"] {
            if fields["circuits"] != nil {
                diagnostics.error(
                    fields.origin(of: "circuits"), "\(fields.subject) has `circuits` beside `encapsulation`",
                    hint: "write each circuit below `circuits`, with its own `encapsulation`")
            }
            guard let encapsulation = encapsulation(node, "the encapsulation of \(fields.subject)") else {
                return [interface]
            }
            var device = RawInterface(
                name: Located("\(interface.name.value) device", interface.name.origin), mtu: interface.mtu)
            device.mtu.value = interface.mtu.value + encapsulation.overhead
            (device.queue, device.device) = (interface.queue, interface.device)
            var circuit = interface
            circuit.device = nil
            circuit.circuit = RawCircuit(
                carrier: device.name.value, encapsulation: encapsulation, origin: node.origin, device: device.device)
            checkLoan(of: circuit)
            return [device, circuit]
        }
        guard let node = fields["circuits"] else { return [interface] }
        var device = interface
        var found: [RawInterface] = []
        for (name, value) in nodes.entries(node, "`circuits` of \(fields.subject)").pairs {
            checkName(name, "circuit")
            let own = nodes.fields(value, "circuit \(quoted(name.value))", Grammar.circuit)
            var circuit = interfaceParts(name, own)
            guard let written = own["encapsulation"] else {
                if own.isMapping {
                    diagnostics.error(
                        name.origin, "circuit \(quoted(name.value)) has no encapsulation",
                        hint: "add `encapsulation: vlan 100`")
                }
                continue
            }
            guard let encapsulation = encapsulation(written, "the encapsulation of circuit \(quoted(name.value))")
            else { continue }
            circuit.circuit = RawCircuit(
                carrier: interface.name.value, encapsulation: encapsulation, origin: written.origin,
                device: interface.device)
            behind(&circuit, own, isLent: interface.device != nil)
            checkLoan(of: circuit)
            device.mtu.value = max(device.mtu.value, circuit.mtu.value + encapsulation.overhead)
            found.append(circuit)
        }
        return [device] + found
    }

    /// Reports a circuit that a device of the machine cannot carry, and hosts that cannot be learnt behind it.
    private func checkLoan(of interface: RawInterface) {
        guard let circuit = interface.circuit, let device = circuit.device else { return }
        let encapsulation = circuit.encapsulation
        if encapsulation.link != .ethernet {
            diagnostics.error(
                circuit.origin,
                "\(quoted("\(encapsulation)")) is not on Ethernet, and the device \(quoted(device.value)) is",
                hint: "write a VLAN or labels, or remove `device`")
        } else if encapsulation.payload != .tagged, let prefix = interface.behind.first {
            diagnostics.error(
                prefix.origin,
                "nobody is learnt behind \(quoted("\(encapsulation)")): labels lead to the one node of a circuit",
                hint: "write a VLAN: vlan 100 or qinq 100.200")
        }
    }

    /// A circuit's name in place of an interface's. It may also be named by what tells it apart, where that is enough.
    func resolveCircuits(of file: inout TopologyFile) {
        let circuits = file.circuits
        let names = Set(circuits.map(\.interface.name.value))
        for node in file.nodes.indices {
            for leg in file.nodes[node].legs.indices where file.nodes[node].legs[leg].namesCircuit {
                let name = file.nodes[node].legs[leg].interface
                guard !names.contains(name.value) else { continue }
                let described = circuits.filter { "\($0.circuit.encapsulation)" == name.value }
                if described.count == 1 {
                    file.nodes[node].legs[leg].interface.value = described[0].interface.name.value
                    continue
                }
                let isInterface = file.interfaces.contains { $0.name.value == name.value }
                diagnostics.error(
                    name.origin,
                    isInterface
                        ? "\(quoted(name.value)) is an interface, not a circuit"
                        : described.isEmpty
                            ? "there is no circuit \(quoted(name.value))"
                            : "\(quoted(name.value)) is the encapsulation of \(described.count) circuits",
                    hint: isInterface
                        ? "write `interface: \(name.value)`"
                        : Spelling.hint(for: name.value, among: circuits.map(\.interface.name.value), kind: "circuits"))
                // It is told once.
                file.nodes[node].legs.remove(at: leg)
                break
            }
        }
    }

    /// `vlan 100`, or a mapping.
    private func encapsulation(_ node: Node, _ what: String) -> Encapsulation? {
        guard case .mapping = node else {
            return nodes.text(node, what).flatMap { encapsulation($0, what) }
        }
        let fields = nodes.fields(node, what, Grammar.encapsulation)
        var (found, isRight) = (Encapsulation(), true)
        func take<Value>(_ key: String, _ value: Value?, _ use: (Value) -> Void) {
            if let value { use(value) } else if fields[key] != nil { isRight = false }
        }
        take("vlan", nodes.integer(fields["vlan"], "the VLAN", in: VLANTag.identifiers)) { found.tags = [$0.value] }
        if let written = fields["qinq"] {
            if fields["vlan"] != nil {
                diagnostics.error(
                    fields.origin(of: "qinq"), "\(what) has `qinq` beside `vlan`", hint: "remove one of the two")
                isRight = false
            }
            take("qinq", nodes.text(written, "`qinq`").flatMap(doubleTag)) { found.tags = $0 }
        }
        take("mpls", fields["mpls"].flatMap { labels($0, what, &found) ? true : nil }) { _ in }
        for key in ["frame-relay", "atm"] {
            guard let node = fields[key] else { continue }
            if found.payload != .tagged && found.payload != .packets {
                diagnostics.error(
                    fields.origin(of: key), "\(what) has two innermost headers", hint: "remove one of the two")
                isRight = false
            } else if !found.tags.isEmpty, found.labelsIn.count == 0 {
                diagnostics.error(
                    fields.origin(of: key), "\(what) has `\(key)` behind a VLAN, without `mpls` between them",
                    hint: "add `mpls: { in: 16001, out: 16002 }`: \(key) over Ethernet is a pseudo-wire")
                isRight = false
            }
            let isRead = key == "atm" ? atm(node, &found) : frameRelay(node, &found)
            if !isRead { isRight = false }
        }
        if isRight, found == Encapsulation() {
            diagnostics.error(node.origin, "\(what) is empty", hint: "write `vlan 100`, for example")
            return nil
        }
        return isRight ? found : nil
    }

    private func encapsulation(_ text: Located<String>, _ what: String) -> Encapsulation? {
        let words = text.value.split(separator: " ").map(String.init)
        var found = Encapsulation()
        let number = words.count == 2 ? Int(words[1]) : nil
        switch (words.first, words.count) {
        case ("vlan"?, 2) where number.map(VLANTag.identifiers.contains) == true:
            found.tags = [number ?? 0]
            return found
        case ("qinq"?, 2):
            guard let tags = doubleTag(Located(words[1], text.origin)) else { return nil }
            found.tags = tags
            return found
        case ("dlci"?, 2) where number.map(FrameRelayHeader.identifiers.contains) == true:
            found.dlci = number ?? 0
            found.payload = .frameRelay
            return found
        default: break
        }
        let hint =
            switch words.first {
            case "vlan": "write a VLAN from 1 to 4094: `vlan 100`"
            case "dlci", "frame-relay": "write a DLCI from 16 to 1007: `dlci 100`"
            case "mpls", "ethernet":
                "write `{ mpls: { in: 16001, out: 16002, carries: ethernet } }`, or without `carries`"
            case "atm": "write `{ atm: { vpi: 1, vci: 100 } }`"
            default: "write `vlan 100`, `qinq 100.200`, `dlci 100`, or a mapping with `mpls`, `frame-relay` or `atm`"
            }
        diagnostics.error(text.origin, "\(what) is \(quoted(text.value))", hint: hint)
        return nil
    }

    private func doubleTag(_ text: Located<String>) -> [Int]? {
        let parts = text.value.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        if parts.count == 2, let outer = parts[0], let inner = parts[1], VLANTag.identifiers.contains(outer),
            VLANTag.identifiers.contains(inner)
        {
            return [outer, inner]
        }
        diagnostics.error(
            text.origin, "`qinq` is \(quoted(text.value))",
            hint: "write the provider's VLAN and the customer's, each from 1 to 4094: \"100.200\"")
        return nil
    }

    private func labels(_ node: Node, _ what: String, _ found: inout Encapsulation) -> Bool {
        let fields = nodes.fields(node, "`mpls` of \(what)", Grammar.labels)
        var isRight = true
        func stack(_ key: String) -> LabelStack {
            guard let written = fields[key] else {
                if fields.isMapping {
                    diagnostics.error(
                        node.origin, "`mpls` of \(what) has no `\(key)`", hint: "write { in: 16001, out: 16002 }")
                }
                isRight = false
                return LabelStack()
            }
            let list = nodes.list(written)
            let labels = list.compactMap { nodes.integer($0, "a label of `\(key)`", in: LabelStack.labels)?.value }
            if labels.count == list.count, let stack = LabelStack(labels) { return stack }
            if labels.count == list.count {
                diagnostics.error(
                    written.origin, "`\(key)` of `mpls` has \(labels.count) labels",
                    hint: "write 1 to \(LabelStack.mostLabels) labels, the outermost first")
            }
            isRight = false
            return LabelStack()
        }
        found.labelsIn = stack("in")
        if fields.isMapping { found.labelsOut = stack("out") }
        let payload: Located<LabelPayload>? = nodes.choice(fields["carries"], "`carries`")
        found.payload = payload?.value == .ethernet ? .ethernet : .packets
        if let word = nodes.flag(fields["control-word"], "`control-word`") {
            found.hasControlWord = word.value
            if !word.value, found.payload != .ethernet {
                diagnostics.error(
                    word.origin, "`control-word: off` is for Ethernet pseudo-wires alone",
                    hint: "add `carries: ethernet`, or remove it")
                isRight = false
            }
        }
        let ttl: Located<LabelTTL>? = nodes.choice(fields["ttl"], "`ttl`")
        if let ttl, ttl.value == .uniform {
            found.isUniform = true
            if found.payload == .ethernet {
                diagnostics.error(
                    ttl.origin, "`ttl: uniform` is for labels that carry packets", hint: "remove it")
                isRight = false
            }
        }
        return isRight
    }

    private func frameRelay(_ node: Node, _ found: inout Encapsulation) -> Bool {
        let fields = nodes.fields(node, "`frame-relay`", Grammar.frameRelay)
        let header: Located<FrameRelayProtocol>? = nodes.choice(fields["header"], "`header`")
        found.isSNAP = header?.value == .snap
        found.payload = .frameRelay
        guard let dlci = nodes.integer(fields["dlci"], "the DLCI", in: FrameRelayHeader.identifiers) else {
            if fields.isMapping, fields["dlci"] == nil {
                diagnostics.error(node.origin, "`frame-relay` has no `dlci`", hint: "write { dlci: 100 }")
            }
            return false
        }
        found.dlci = dlci.value
        return true
    }

    private func atm(_ node: Node, _ found: inout Encapsulation) -> Bool {
        let fields = nodes.fields(node, "`atm`", Grammar.atm)
        let kind: Located<ATMMultiplexing>? = nodes.choice(fields["aal5"], "`aal5`")
        found.payload = kind?.value == .multiplexed ? .multiplexed : .llc
        let path = nodes.integer(fields["vpi"], "the VPI", in: 0...255)
        let channel = nodes.integer(fields["vci"], "the VCI", in: 32...65535)
        for key in ["vpi", "vci"] where fields.isMapping && fields[key] == nil {
            diagnostics.error(node.origin, "`atm` has no `\(key)`", hint: "write { vpi: 1, vci: 100 }")
        }
        guard let path, let channel else { return false }
        (found.path, found.channel) = (path.value, channel.value)
        return true
    }
}
