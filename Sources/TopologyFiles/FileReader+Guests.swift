import Glibc
import Plan
import Reporting
import Yams

/// Applications that bring their own files or their own kernel: container images and virtual machines.
extension FileReader {
    /// Reads which image a node's application is. Without the key the node stays as it is.
    func guest(_ node: inout RawNode, _ fields: Fields) {
        if let written = fields["image"], let image = image(written, fields) {
            node.process.guest = .image(image)
            if fields["run"] == nil { node.process.run = GuestPlan.image(image).summary }
        }
        if let written = fields["machine"], let machine = machine(written, fields) {
            if fields["image"] != nil {
                diagnostics.error(
                    fields.origin(of: "machine"), "\(fields.subject) has both `image` and `machine`",
                    hint: "remove one: a node has one application")
            }
            node.process.guest = .machine(machine)
            if fields["run"] == nil { node.process.run = GuestPlan.machine(machine).summary }
        }
        guard let guest = node.process.guest else { return }
        if case .machine = guest { refuseOutside(of: node, fields) }
        if fields["run"] != nil {
            diagnostics.error(
                fields.origin(of: "run"), "\(fields.subject) has both `\(guest.key)` and `run`",
                hint: guest.key == "image"
                    ? "remove one: the command of an image is { name: …, command: [word, word] }"
                    : "remove one: `setup` and `programs` run beside the machine, in its node")
        }
        if let place = fields.pairs.first(where: { key, _ in Grammar.attachments.contains { $0.name == key.value } }) {
            diagnostics.error(
                place.key.origin, "\(fields.subject) has both `\(guest.key)` and `\(place.key.value)`",
                hint: "remove one: Tapline makes the network namespace of what it runs")
            // The place would be told again, for `run`.
            node.process.run = nil
        }
    }

    /// Reports keys that mean a kernel or a file system that the machine has itself.
    private func refuseOutside(of node: RawNode, _ fields: Fields) {
        for key in ["sysctls", "routes", "access", "negotiate"] where fields[key] != nil {
            diagnostics.error(
                fields.origin(of: key), "\(fields.subject) has `\(key)`, which a virtual machine has itself",
                hint: "set it up in the machine, and remove `\(key)`")
        }
    }

    private func machine(_ written: Node, _ fields: Fields) -> MachinePlan? {
        let inner = nodes.fields(written, "`machine` of \(fields.subject)", Grammar.machine)
        guard inner.isMapping else { return nil }
        var machine = MachinePlan()
        machine.disk = machineFile(inner, "disk")
        machine.kernel = machineFile(inner, "kernel")
        machine.initrd = machineFile(inner, "initrd")
        if inner["disk"] == nil, inner["kernel"] == nil {
            diagnostics.error(
                written.origin, "`machine` of \(fields.subject) has neither `disk` nor `kernel`",
                hint: "write { disk: server.qcow2 }, or { kernel: vmlinuz, initrd: initrd.img }")
        }
        for key in ["initrd", "append"] where inner[key] != nil && inner["kernel"] == nil {
            diagnostics.error(
                inner.origin(of: key), "`machine` of \(fields.subject) has `\(key)`, and no `kernel` that would get it",
                hint: "add `kernel: …`, or remove `\(key)`")
        }
        if let append = nodes.text(inner["append"], "`append`") { machine.append = command(append, "`append`") }
        if let memory = size(inner["memory"], "`memory`", in: Grammar.machineMemory, least: "16M") {
            machine.memory = memory
        }
        if let count = nodes.integer(inner["cpus"], "`cpus`", in: Grammar.processors) {
            machine.processors = count.value
        }
        let accelerator: Located<MachinePlan.Accelerator>? = nodes.choice(inner["accelerator"], "`accelerator`")
        machine.accelerator = accelerator?.value
        return machine
    }

    /// The absolute path of a machine's file. Whether it is there shows when the machine is to start, as with programs.
    private func machineFile(_ fields: Fields, _ key: String) -> String? {
        guard let written = nodes.text(fields[key], "`\(key)`") else { return nil }
        let path = FileComposer.path(written.value, of: written.origin.position?.file ?? diagnostics.path)
        let canonical = canonicalPath(path)
        return canonical.hasPrefix("/") ? canonical : "\(canonicalPath("."))/\(canonical)"
    }

    private func image(_ written: Node, _ fields: Fields) -> ContainerImagePlan? {
        if written.mapping == nil {
            return imageName(written, "`image`").map { ContainerImagePlan(name: $0) }
        }
        let inner = nodes.fields(written, "`image` of \(fields.subject)", Grammar.containerImage)
        guard let name = imageName(inner["name"], "the name of the image") else {
            if inner["name"] == nil, inner.isMapping {
                diagnostics.error(
                    written.origin, "`image` of \(fields.subject) has no `name`",
                    hint: "write { name: docker.io/library/nginx:1.27, … }")
            }
            return nil
        }
        var image = ContainerImagePlan(name: name)
        let pull: Located<ContainerImagePlan.Pull>? = nodes.choice(inner["pull"], "`pull`")
        if let pull { image.pull = pull.value }
        image.command = nodes.texts(inner["command"], "a word of `command`").map { command($0, "a word of `command`") }
        if let command = inner["command"]?.scalar, command.string.contains(" ") {
            diagnostics.error(
                inner.origin(of: "command"), "`command` of \(fields.subject) is one word with blanks in it",
                hint: "write its words as a list: [sh, -c, \"exec server --verbose\"]; no shell divides them")
        }
        if let mounts = inner["mounts"] {
            image.mounts = nodes.entries(mounts, "`mounts` of \(fields.subject)").pairs.compactMap(mount)
        }
        return image
    }

    /// A name as registries take it. None can be taken for an option.
    private func imageName(_ node: Node?, _ what: String) -> String? {
        guard let written = nodes.text(node, what) else { return nil }
        let octets = Array(written.value.utf8)
        let isLegal =
            octets.count < 512 && octets.first != UInt8(ascii: "-")
            && octets.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "'") }
        guard isLegal else {
            diagnostics.error(
                written.origin, "\(what) is \(quoted(written.value, seen: true)), which is no name of an image",
                hint: "write registry/name:tag, such as docker.io/library/nginx:1.27; 'podman images' lists those here")
            return nil
        }
        return written.value
    }

    private func mount(_ target: Located<String>, _ value: Node) -> ContainerImagePlan.Mount? {
        let fields = value.mapping == nil ? nil : nodes.fields(value, "a mount", Grammar.containerMount)
        let what = "the source of the mount \(quoted(target.value))"
        guard let source = nodes.text(fields == nil ? value : fields?["from"], what) else {
            if let fields, fields["from"] == nil, fields.isMapping {
                diagnostics.error(
                    target.origin, "the mount \(quoted(target.value)) has no `from`", hint: "add `from: folder`")
            }
            return nil
        }
        let path = FileComposer.path(source.value, of: source.origin.position?.file ?? diagnostics.path)
        guard target.value.hasPrefix("/"), target.value != "/", !target.value.contains(":"),
            !target.value.split(separator: "/").contains("..")
        else {
            diagnostics.error(
                target.origin, "\(quoted(target.value)) is no place in a container",
                hint: "write an absolute path without a colon, such as /usr/share/nginx/html")
            return nil
        }
        if access(path, F_OK) != 0 {
            diagnostics.error(
                source.origin, "\(quoted(source.value)), which a container is to see, is not there", hint: "make it")
        } else if canonicalPath(path).contains(":") {
            diagnostics.error(
                source.origin, "the path of \(quoted(source.value)) has a colon, which engines take for its end",
                hint: "rename it, or name a folder above it")
        }
        return ContainerImagePlan.Mount(
            source: canonicalPath(path), target: target.value,
            isWritable: nodes.flag(fields?["writable"], "`writable`")?.value ?? false)
    }
}
