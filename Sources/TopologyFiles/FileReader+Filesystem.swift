import Glibc
import Plan
import Reporting
import Yams

extension FileReader {
    /// What nodes see of the machine's files.
    func filesystem(_ node: Node) -> FilesystemPlan? {
        var plan = FilesystemPlan()
        if node.mapping == nil {
            let words: [(String, FilesystemPlan.Base)] = [("machine", .machine), ("shared", .shared)]
            guard let base = nodes.choice(node, "`filesystem`", among: words) else { return nil }
            plan.base = base.value
            return plan
        }
        let fields = nodes.fields(node, "`filesystem`", Grammar.filesystemForm)
        let known = fields.pairs.map(\.key.value).filter(Grammar.filesystemForm.keyNames.contains)
        guard !known.isEmpty else {
            guard fields.pairs.isEmpty else { return nil }
            diagnostics.error(
                fields.origin, "`filesystem` says nothing",
                hint: "write machine, shared, { root: FOLDER }, { image: FILE } or { writable: [FOLDER] }")
            return nil
        }
        for (key, what) in [("root", "a root folder"), ("image", "an image")] {
            guard let written = nodes.text(fields[key], "`\(key)`") else { continue }
            if let other = known.first(where: { $0 != key }) {
                diagnostics.error(
                    fields.origin(of: other),
                    ["root", "image"].contains(other)
                        ? "a node has one root directory, and this is a second one"
                        : "a node with \(what) of its own writes no folder of the machine",
                    hint: "remove one of the two")
            }
            plan.base = key == "root" ? .root(root(written)) : .image(image(written))
            return plan
        }
        plan.writable = folders(fields["writable"], "a folder of `writable`")
        plan.layered = folders(fields["private"], "a folder of `private`")
        return plan
    }

    /// The absolute path of a root directory.
    private func root(_ written: Located<String>) -> String {
        let path = FileComposer.path(written.value, of: written.origin.position?.file ?? diagnostics.path)
        var info = stat()
        if stat(path, &info) != 0 || info.st_mode & S_IFMT != S_IFDIR {
            diagnostics.error(
                written.origin, "the root folder \(quoted(path)) is not there",
                hint: "make it: debootstrap stable \(path), for example")
        } else if access(Self.resolved("/bin/sh", below: path) ?? "", X_OK) != 0 {
            diagnostics.error(
                written.origin, "the root folder \(quoted(path)) has no /bin/sh, which runs a node's commands",
                hint: "install a shell in it")
        }
        let absolute = canonicalPath(path)
        if absolute == "/" || absolute.hasPrefix("/run/") || absolute.hasPrefix("/proc/") || absolute.hasPrefix("/sys/")
        {
            diagnostics.error(
                written.origin, "\(absolute) cannot be a node's root directory",
                hint: "put it elsewhere, such as below /srv")
        }
        return absolute
    }

    /// The archive of a root directory. What is in it is found out when it is unpacked.
    private func image(_ written: Located<String>) -> ImagePlan {
        let path = FileComposer.path(written.value, of: written.origin.position?.file ?? diagnostics.path)
        if let fault = ImageFile.fault(of: path) {
            diagnostics.error(written.origin, "the image \(quoted(path)) \(fault.what)", hint: fault.hint)
        }
        return ImagePlan(path: canonicalPath(path), identity: ImageFile.identity(of: path))
    }

    /// Where a path leads for a process that has `root` as its root directory; nil: nowhere, or in a circle.
    private static func resolved(_ path: String, below root: String) -> String? {
        var (done, rest, links): ([Substring], [Substring], Int) = ([], path.split(separator: "/").reversed(), 0)
        while let part = rest.popLast() {
            if part == "." { continue }
            if part == ".." {
                _ = done.popLast()
                continue
            }
            let here = "\(root)/" + (done + [part]).joined(separator: "/")
            var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            let count = readlink(here, &target, Int(PATH_MAX))
            guard count >= 0 else {
                guard errno == EINVAL else { return nil }
                done.append(part)
                continue
            }
            links += 1
            guard links <= 40 else { return nil }
            let text = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix("/") { done = [] }
            rest += text.split(separator: "/").reversed()
        }
        return "\(root)/" + done.joined(separator: "/")
    }

    private func folders(_ node: Node?, _ what: String) -> [String] {
        var known: [String] = []
        for folder in nodes.texts(node, what) {
            var path = folder.value
            while path.count > 1, path.hasSuffix("/") { path.removeLast() }
            let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            func refuse(_ fault: String, _ hint: String) {
                diagnostics.error(folder.origin, "\(quoted(folder.value)) cannot be \(what): \(fault)", hint: hint)
            }
            if !path.hasPrefix("/") || path == "/" || parts.contains(where: { ["", ".", ".."].contains($0) }) {
                refuse("it is not the absolute path of a folder", "write a path such as /srv/data")
            } else if ["/proc", "/sys", "/dev", "/run"].contains(where: { path == $0 || path.hasPrefix($0 + "/") }) {
                refuse("nodes have their own /\(parts.first ?? "")", "write a path such as /srv/data")
            } else if known.contains(path) {
                refuse("it is there twice", "remove one of the two")
            } else if access(path, F_OK) != 0 {
                refuse("this machine has no such folder", "make it: mkdir -p \(path)")
            } else if known.count == Grammar.mostMounted {
                refuse("there are more than \(Grammar.mostMounted)", "name a folder above them")
            } else {
                known.append(path)
            }
        }
        return known
    }
}
