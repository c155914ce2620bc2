import Glibc
import Plan
import Reporting
import Yams

/// Applications that bring their own files: container images.
extension FileReader {
    /// Reads which image a node's application is. Without the key the node stays as it is.
    func guest(_ node: inout RawNode, _ fields: Fields) {
        if let written = fields["image"], let image = image(written, fields) {
            node.process.guest = .image(image)
            if fields["run"] == nil { node.process.run = GuestPlan.image(image).summary }
        }
        guard let guest = node.process.guest else { return }
        if fields["run"] != nil {
            diagnostics.error(
                fields.origin(of: "run"), "\(fields.subject) has both `\(guest.key)` and `run`",
                hint: "remove one: the command of an image is { name: …, command: [word, word] }")
        }
        if let place = fields.pairs.first(where: { key, _ in Grammar.attachments.contains { $0.name == key.value } }) {
            diagnostics.error(
                place.key.origin, "\(fields.subject) has both `\(guest.key)` and `\(place.key.value)`",
                hint: "remove one: Tapline makes the network namespace of what it runs")
            // The place would be told again, for `run`.
            node.process.run = nil
        }
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
