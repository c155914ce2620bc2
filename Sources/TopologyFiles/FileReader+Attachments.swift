import Plan
import Reporting
import Wire

/// Nodes in network namespaces that somebody else made.
extension FileReader {
    private static let attachmentKeys = Grammar.attachments.map(\.name)

    /// Reads where a node's namespace is. Without a key the node stays as it is.
    func attachment(_ node: inout RawNode, _ fields: Fields) {
        let keys = Self.attachmentKeys.filter { fields[$0] != nil }
        if keys.count > 1 {
            diagnostics.error(
                fields.origin(of: keys[1]), "\(fields.subject) has both `\(keys[0])` and `\(keys[1])`",
                hint: "remove one: a node is in one network namespace")
        } else if let key = keys.first, let place = place(key, fields) {
            node.attachment = AttachmentPlan(place: place, origin: fields.origin(of: key))
        }
        guard let attachment = node.attachment else { return }
        refuseOwnership(of: node, attachment, fields)
    }

    private func place(_ key: String, _ fields: Fields) -> AttachmentPlan.Place? {
        switch key {
        case "pid":
            return nodes.integer(fields[key], "`pid`", in: Grammar.processNumbers).map { .process(Int32($0.value)) }
        case "container": return nodes.text(fields[key], "`container`").flatMap(container)
        default: return nodes.text(fields[key], "`namespace`").flatMap(namespace)
        }
    }

    private func namespace(_ written: Located<String>) -> AttachmentPlan.Place? {
        guard written.value.hasPrefix("/"), !written.value.utf8.contains(0), written.value.utf8.count < 4096 else {
            diagnostics.error(
                written.origin, "`namespace` is \(quoted(written.value)), which is not an absolute path",
                hint: "write the path of its file, such as /run/netns/box; 'ip netns' lists the names there")
            return nil
        }
        return .namespace(path: written.value)
    }

    private func container(_ written: Located<String>) -> AttachmentPlan.Place? {
        let parts = written.value.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let engines = ContainerEngine.allCases.map(\.rawValue)
        guard parts.count == 2, let engine = ContainerEngine(rawValue: parts[0]) else {
            diagnostics.error(
                written.origin, "`container` is \(quoted(written.value)), which names no engine",
                hint: parts.count == 2
                    ? Spelling.hint(for: parts[0], among: engines, kind: "engines")
                    : "write podman:\(written.value) or docker:\(written.value)")
            return nil
        }
        // The form of both engines: [a-zA-Z0-9][a-zA-Z0-9_.-]*. No name can be taken for an option.
        let octets = Array(parts[1].utf8)
        func isAlphanumeric(_ octet: UInt8) -> Bool {
            (0x30...0x39).contains(octet) || (0x61...0x7A).contains(octet | 0x20)
        }
        guard let first = octets.first, isAlphanumeric(first), octets.count < 256,
            octets.allSatisfy({ isAlphanumeric($0) || [0x5F, 0x2E, 0x2D].contains($0) })
        else {
            diagnostics.error(
                written.origin, "\(quoted(parts[1], seen: true)) cannot be the name of a container",
                hint: "write its name or its ID, as '\(engine.rawValue) ps' lists them")
            return nil
        }
        return .container(engine, name: parts[1])
    }

    /// Reads which device of the machine is bound to an interface, and what is behind it.
    func device(_ interface: inout RawInterface, _ fields: Fields) {
        if let written = nodes.text(fields["device"], "`device`") {
            let octets = written.value.utf8.count
            let isLegal =
                (1...15).contains(octets) && ![".", "..", "all", "default"].contains(written.value)
                && !written.value.unicodeScalars.contains {
                    $0.value <= 0x20 || $0 == "/" || $0 == ":" || $0.value == 0x7F
                }
            if written.value == "lo" {
                diagnostics.error(
                    written.origin, "`device` is lo, the loopback device, which leads nowhere",
                    hint: "name a device that customers are behind, such as eth1; 'ip link' lists them")
            } else if !isLegal {
                diagnostics.error(
                    written.origin, "`device` is \(quoted(written.value, seen: true)), which no device can be called",
                    hint: "write its name of at most 15 octets, such as eth1; 'ip link' lists them")
            } else {
                interface.device = written
            }
        }
        behind(&interface, fields, isLent: fields["device"] != nil)
    }

    /// Reads which networks are behind the device of an interface, or of a circuit's.
    ///
    /// - Parameter isLent: Whether it is a device of the machine.
    func behind(_ interface: inout RawInterface, _ fields: Fields, isLent: Bool) {
        guard let behind = fields["behind"] else { return }
        guard isLent else {
            diagnostics.error(
                fields.origin(of: "behind"), "\(fields.subject) has `behind`, and no `device` that could lead there",
                hint: "add `device: …`, or give a customer `prefixes`")
            return
        }
        interface.behind = nodes.list(behind).compactMap { nodes.prefix($0, "a network behind the device") }
        for prefix in interface.behind
        where !interface.addresses.contains(where: { $0.value.value.prefix.contains(prefix.value) }) {
            diagnostics.error(
                prefix.origin, "\(prefix.value) is not in a network of \(fields.subject)",
                hint:
                    "write a part of one, or widen the interface's `address`: hosts behind the device are its neighbours"
            )
        }
    }

    /// Reports devices that two interfaces are bound to.
    func checkDevices(of interfaces: [RawInterface]) {
        var seen: [String: RawInterface] = [:]
        for interface in interfaces {
            guard let device = interface.device else { continue }
            if let other = seen[device.value] {
                diagnostics.error(
                    device.origin,
                    "the device \(quoted(device.value)) is bound to the interface \(quoted(other.name.value)) already",
                    hint: "name another device: one device is one interface",
                    related: [(other.device?.origin ?? other.name.origin, "that is here")])
            }
            seen[device.value] = seen[device.value] ?? interface
        }
    }

    /// Reports keys that would change what is not Tapline's.
    private func refuseOwnership(of node: RawNode, _ attachment: AttachmentPlan, _ fields: Fields) {
        let process = node.process
        let programs: [(String, Bool)] = [
            ("run", process.run != nil), ("setup", !process.setup.isEmpty), ("programs", !process.programs.isEmpty),
            ("after", !process.after.isEmpty),
        ]
        for (key, isThere) in programs where isThere {
            diagnostics.error(
                fields[key] == nil ? attachment.origin : fields.origin(of: key),
                "\(fields.subject) has `\(key)`, but the namespace is somebody else's: \(attachment.place)",
                hint: "start programs where the namespace was made, or remove `\(key)`")
        }
        if let sysctl = node.sysctlPlaces.first {
            diagnostics.error(
                sysctl.origin,
                "\(fields.subject) has `sysctls`, but the namespace is somebody else's: \(attachment.place)",
                hint: "set \(sysctl.name) where the namespace was made, and remove it here")
        }
        let judge = fields["access"] == nil ? nil : "access"
        if let key = judge ?? (fields["negotiate"] == nil ? nil : "negotiate") {
            diagnostics.error(
                fields.origin(of: key),
                "\(fields.subject) has `\(key)`, but the namespace is somebody else's: \(attachment.place)",
                hint: "remove `\(key)`: it would change rules or devices there")
        }
    }
}
