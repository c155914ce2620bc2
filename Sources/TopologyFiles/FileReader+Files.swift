import Plan
import Reporting
import Yams

extension FileReader {
    /// The files of a node. Those of an instance replace the application's of the same paths.
    func files(_ node: inout RawNode, _ fields: Fields) {
        guard let value = fields["files"] else { return }
        let read =
            value.mapping == nil && !value.isNothing
            ? templates(value, fields.subject)
            : nodes.entries(value, "`files` of \(fields.subject)").pairs.compactMap { file($0, $1) }
        let replaced = Set(read.map(\.path.value))
        node.files.removeAll { replaced.contains($0.path.value) }
        node.files += read
        refuseNested(node.files, fields.subject)
        let mounted = node.files.filter { $0.path.value.hasPrefix("/") }
        if mounted.count > Grammar.mostMounted {
            diagnostics.error(
                mounted[Grammar.mostMounted].path.origin,
                "\(fields.subject) has \(mounted.count) files with absolute paths, more than \(Grammar.mostMounted)",
                hint: "put them into its own folder: leave the / at the beginning out")
        }
    }

    /// Files beside the topology file, by their paths alone: templates that keep their last names.
    private func templates(_ value: Node, _ subject: String) -> [RawFile] {
        var known: [String: String] = [:]
        return nodes.list(value).compactMap { node -> RawFile? in
            guard let written = nodes.text(node, "a file of \(subject)") else { return nil }
            let name = written.value.split(separator: "/").last.map(String.init) ?? ""
            let path = Located(name, written.origin)
            guard check(path), let (contents, origin) = source(node, isTemplate: true) else { return nil }
            if let other = known.updateValue(written.value, forKey: name) {
                diagnostics.error(
                    written.origin, "\(quoted(other)) and \(quoted(written.value)) have the same name in the node",
                    hint: "write `files: { PATH: { from: \(written.value), template: true } }` with another path")
                return nil
            }
            return bounded(
                RawFile(
                    path: path, contents: contents, isTemplate: true, contentsOrigin: origin, mode: Grammar.usualMode))
        }
    }

    private func file(_ path: Located<String>, _ value: Node) -> RawFile? {
        let isPath = check(path)
        let what = "the file \(quoted(path.value))"
        guard value.mapping != nil else {
            guard let text = nodes.text(value, what, mayBeEmpty: true), isPath else { return nil }
            return bounded(
                RawFile(
                    path: path, contents: Array(text.value.utf8), isTemplate: false, contentsOrigin: text.origin,
                    mode: Grammar.usualMode))
        }
        let fields = nodes.fields(value, what, Grammar.nodeFile)
        let mode = self.mode(fields["mode"], what)
        let owner = self.owner(fields["owner"], what)
        let isTemplate = nodes.flag(fields["template"], "`template`")?.value ?? false
        guard let kind = nodes.kind(of: fields, Grammar.nodeFile) else {
            diagnostics.error(
                fields.origin, "\(what) must have one of `from` and `text`",
                hint: "write { from: FILE }, the path of a file beside this one, or { text: … }")
            return nil
        }
        let read =
            kind == "from"
            ? source(fields["from"], isTemplate: isTemplate)
            : nodes.text(fields["text"], "`text` of \(what)", mayBeEmpty: true)
                .map { (Array($0.value.utf8), $0.origin) }
        guard let (contents, origin) = read, isPath else { return nil }
        return bounded(
            RawFile(
                path: path, contents: contents, isTemplate: isTemplate, contentsOrigin: origin, mode: mode,
                owner: owner))
    }

    private func bounded(_ file: RawFile) -> RawFile? {
        guard file.contents.count > SourceFiles.largest else { return file }
        diagnostics.error(
            file.contentsOrigin, "the file \(quoted(file.path.value)) is larger than 4 MiB",
            hint: "let `setup` copy it from a place that the node sees")
        return nil
    }

    /// The content of a file beside the topology file, or beside the included file that names it.
    func source(
        _ node: Node?, isTemplate: Bool, _ what: String = "`from`"
    ) -> (contents: [UInt8], origin: SourceOrigin)? {
        guard let node, let name = nodes.text(node, what) else { return nil }
        let path = FileComposer.path(name.value, of: node.includedFile ?? diagnostics.path)
        let contents: [UInt8]
        do throws(TopologyError) {
            contents = try sources.contents(of: path)
        } catch {
            let problem = error.problems.first
            diagnostics.error(
                name.origin, "\(quoted(name.value)): \(problem?.message ?? "the file cannot be read")",
                hint: problem?.hint)
            return nil
        }
        guard isTemplate else { return (contents, name.origin) }
        guard let text = String(validating: contents, as: UTF8.self) else {
            diagnostics.error(
                name.origin, "\(quoted(name.value)) is not UTF-8 text, so it cannot be a template",
                hint: "save it as UTF-8, or remove `template`")
            return nil
        }
        sources.keep(text, of: path)
        diagnostics.include(path, text)
        return (contents, .line(SourcePosition(line: 1, column: 1, file: path)))
    }

    /// Permissions in octal digits.
    private func mode(_ node: Node?, _ what: String) -> Int {
        guard let node else { return Grammar.usualMode }
        let written = node.scalar?.string ?? ""
        let digits = written.hasPrefix("0o") ? String(written.dropFirst(2)) : written
        guard (3...4).contains(digits.utf8.count), let mode = Int(digits, radix: 8), !digits.hasPrefix("+") else {
            diagnostics.error(
                node.origin, "the mode of \(what) is \(node.shape)",
                hint: "write octal digits as of chmod: 0644, 0640 or 0755")
            return Grammar.usualMode
        }
        return mode
    }

    /// A user, and a group behind a colon: names, or numbers.
    private func owner(_ node: Node?, _ what: String) -> Located<String>? {
        guard let written = nodes.text(node, "the owner of \(what)") else { return nil }
        let parts = written.value.split(separator: ":", omittingEmptySubsequences: false)
        let isLegal = { (part: Substring) in
            !part.isEmpty && !part.contains { $0.isWhitespace || $0 == "/" }
        }
        guard parts.count <= 2, parts.allSatisfy(isLegal) else {
            diagnostics.error(
                written.origin, "the owner of \(what) is \(quoted(written.value))",
                hint: "write a user, or USER:GROUP: proxy, or proxy:adm")
            return nil
        }
        for (part, kind) in zip(parts, ["user", "group"]) {
            guard let mend = accountMend(String(part), kind) else { continue }
            diagnostics.error(
                written.origin,
                "the owner of \(what) is \(quoted(written.value)): no \(kind) is \(quoted(String(part)))",
                hint: mend)
            return nil
        }
        return written
    }

    /// Reports a path that cannot be a file's in a node.
    func check(_ path: Located<String>) -> Bool {
        func refuse(_ fault: String, _ hint: String) -> Bool {
            diagnostics.error(
                path.origin, "\(quoted(path.value, seen: true)) cannot be the path of a file: \(fault)", hint: hint)
            return false
        }
        let text = path.value
        let isAbsolute = text.hasPrefix("/")
        let parts = (isAbsolute ? text.dropFirst() : text[...]).split(separator: "/", omittingEmptySubsequences: false)
        let example = "write a path such as nginx.conf, in the node's own folder, or /etc/squid/squid.conf"
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return refuse("it has control characters", example)
        }
        if parts.contains("..") || parts.contains(".") { return refuse("it has `.` or `..` in it", example) }
        if parts.contains(where: \.isEmpty) { return refuse("a part of it is empty", example) }
        if text.utf8.count > 1024 || parts.contains(where: { $0.utf8.count > 255 }) {
            return refuse("it is too long", "write at most 255 octets between two slashes, and 1024 together")
        }
        if text == "output.log" { return refuse("the node's log is there", "choose another name") }
        guard isAbsolute else { return true }
        if let kernel = ["/proc", "/sys", "/dev"].first(where: { text == $0 || text.hasPrefix($0 + "/") }) {
            return refuse("\(kernel) is the kernel's", "use `sysctls` for settings of the network")
        }
        if text.hasPrefix(DerivedNames.root + "/") || text == DerivedNames.root {
            return refuse(
                "\(DerivedNames.root) is Tapline's", "leave the folder out: a relative path is in the node's own folder"
            )
        }
        if parts.count == 1 { return refuse("it is in no folder", "name a folder that the machine has: /etc\(text)") }
        return true
    }

    /// Reports a file that another one would need as its folder.
    private func refuseNested(_ files: [RawFile], _ subject: String) {
        for file in files {
            guard let inner = files.first(where: { $0.path.value.hasPrefix(file.path.value + "/") }) else { continue }
            diagnostics.error(
                inner.path.origin,
                "\(quoted(inner.path.value)) cannot be in \(quoted(file.path.value)), which is a file of \(subject)",
                hint: "rename one of the two")
        }
    }
}
