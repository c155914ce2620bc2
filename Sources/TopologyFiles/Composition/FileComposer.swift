import Plan
import Reporting
import Yams

/// Makes one tree of nodes of a topology file: with the files that it includes, its variables in their places, and each
/// counted part written out.
struct FileComposer {
    /// The files that one topology is made of.
    private static let most = 64
    /// The octets of all of them.
    private static let largest = 4 << 20

    private let settings: FileSettings
    private let diagnostics: Diagnostics
    /// The texts of the included files, by the paths in the places of their nodes.
    private(set) var included: [String: String] = [:]
    /// The files on the way from the topology file to the one that is read, each by its absolute path.
    private var way: [String] = []
    private var octets = 0
    private var inclusions = 0

    init(settings: FileSettings, diagnostics: Diagnostics) {
        self.settings = settings
        self.diagnostics = diagnostics
    }

    /// The root of the tree; nil if the file cannot be read at all.
    mutating func compose(_ text: String, path: String) -> Node? {
        octets = text.utf8.count
        guard let root = YAMLText.compose(text, diagnostics) else { return nil }
        NodeReader(diagnostics: diagnostics).checkTags(root)
        guard root.mapping != nil else {
            diagnostics.error(
                root.origin, "the file must be a mapping, but is \(root.shape)", hint: "begin with `name: …`")
            return nil
        }
        way = [canonicalPath(path)]
        let written = withIncluded(ShortForms.spelledOut(root), path: path)
        let expansion = FileExpansion(settings: settings, diagnostics: diagnostics)
        let expanded = expansion.expand(NodeKinds(diagnostics: diagnostics).applied(to: written))
        // Of a file that is cut off, nothing else can be said.
        guard !expansion.isTooLarge else { return nil }
        let whole = ShortForms.spelledOut(expanded)
        return CheckDestinations(whole, diagnostics).written(in: whole)
    }

    /// A file's root, put over the roots of the files that it includes.
    private mutating func withIncluded(_ root: Node, path: String) -> Node {
        guard let list = root.value(at: "include") else { return root }
        let reader = NodeReader(diagnostics: diagnostics)
        var base: Node?
        for name in reader.texts(list, "a file of `include`") {
            guard let read = include(name, of: path) else { continue }
            base = base.map { Self.merge($0, under: read, isRoot: true) } ?? read
        }
        let own = root.removing(["include"])
        return base.map { Self.merge($0, under: own, isRoot: true) } ?? own
    }

    /// The root of an included file, with what that one includes.
    private mutating func include(_ name: Located<String>, of path: String) -> Node? {
        let path = Self.path(name.value, of: path)
        let absolute = canonicalPath(path)
        guard !way.contains(absolute) else {
            diagnostics.error(
                name.origin, "\(quoted(name.value)) includes this file, so there is no end",
                hint: "remove one of the two `include`")
            return nil
        }
        inclusions += 1
        guard inclusions <= Self.most else {
            diagnostics.error(
                name.origin, "the topology includes files more than \(Self.most) times",
                hint: "write them into one")
            return nil
        }
        let text: String
        do throws(TopologyError) {
            text = try TopologyFile.withoutMark(TopologyFile.text(of: path))
        } catch {
            let problem = error.problems.first
            diagnostics.error(
                name.origin, "\(quoted(name.value)): \(problem?.message ?? "the file cannot be read")",
                hint: problem?.hint)
            return nil
        }
        octets += text.utf8.count
        guard octets <= Self.largest else {
            diagnostics.error(
                name.origin, "the topology's files are together larger than 4 MiB",
                hint: "split it into several topologies")
            return nil
        }
        included[path] = text
        diagnostics.include(path, text)
        let own = Diagnostics(path: path, text: text)
        let composed = YAMLText.compose(text, own)
        if let composed {
            NodeReader(diagnostics: own).checkTags(composed)
            if composed.mapping == nil {
                own.error(
                    composed.origin, "an included file must be a mapping, but this is \(composed.shape)",
                    hint: "write keys of a topology: `customers: …`")
            }
        }
        diagnostics.absorb(own)
        guard let composed, composed.mapping != nil else { return nil }
        way.append(absolute)
        defer { way.removeLast() }
        return withIncluded(ShortForms.spelledOut(composed.stamped(path)), path: path)
    }

    /// The path of a file that another one names: relative to the folder of that one.
    static func path(_ name: String, of path: String) -> String {
        guard !name.hasPrefix("/"), let slash = path.lastIndex(of: "/"), !path.hasPrefix("/dev/"),
            !path.hasPrefix("/proc/")
        else { return name }
        return String(path[...slash]) + name
    }

    /// `over` put over `base`: mappings key by key, checks one after another; of every other value `over` stands.
    private static func merge(_ base: Node, under over: Node, isRoot: Bool = false) -> Node {
        guard let lower = base.mapping, let upper = over.mapping else { return over.isNothing ? base : over }
        var pairs = lower.map { ($0.key, $0.value) }
        for (key, value) in upper {
            let name = key.scalar?.string
            guard let name, name != "<<", let index = pairs.firstIndex(where: { $0.0.scalar?.string == name }) else {
                pairs.append((key, value))
                continue
            }
            let before = pairs[index].1
            if isRoot, name == "checks" {
                let elements =
                    (before.sequence.map(Array.init) ?? [before]) + (value.sequence.map(Array.init) ?? [value])
                pairs[index].1 = .sequence(Node.Sequence(elements.filter { !$0.isNothing }))
            } else {
                pairs[index] = (key, merge(before, under: value))
            }
        }
        return over.replacingPairs(pairs)
    }
}
