import Reporting
import Yams

extension NodeReader {
    /// Reports tags that contradict the written value, and tags that no value of a topology has.
    ///
    /// The readers use the written value, never tags: `!!int one` would be the text `one`.
    func checkTags(_ node: Node) {
        switch node {
        case .scalar(let scalar): check("\(scalar.tag)", node)
        case .sequence(let sequence):
            check("\(sequence.tag)", node)
            for element in sequence { checkTags(element) }
        case .mapping(let mapping):
            check("\(mapping.tag)", node)
            for (key, value) in mapping {
                if let scalar = key.scalar { check("\(scalar.tag)", key, isKey: true) } else { checkTags(key) }
                checkTags(value)
            }
        case .alias: break
        }
    }

    private func check(_ tag: String, _ node: Node, isKey: Bool = false) {
        // `!` alone says that the written value has no special kind.
        guard !tag.isEmpty, tag != "!" else { return }
        let core = "tag:yaml.org,2002:"
        let word = tag.hasPrefix(core) ? "!!\(tag.dropFirst(core.count))" : tag
        guard let hint = isKey ? Self.objection(word, key: node) : Self.objection(word, node) else { return }
        diagnostics.error(node.origin, "the tag \(word) precedes \(node.shape)", hint: hint)
    }

    /// The hint for a tag before a key; nil if the two agree.
    ///
    /// When Yams compares keys without a tag, it gives each the tag of its look: the text `<<` is a merge, 0x1F an
    /// integer, 2026-11-28 a day.
    private static func objection(_ word: String, key: Node) -> String? {
        let isLetter = key.scalar?.string.first?.isLetter ?? false
        switch word {
        case "!!str", "!!merge", "!!timestamp", "!!value", "!!bool", "!!null": return nil
        case "!!int", "!!float": return isLetter ? "remove the tag: keys are texts" : nil
        default: return "remove the tag: keys are texts"
        }
    }

    /// The hint for a tag before a value; nil if the two agree.
    private static func objection(_ word: String, _ node: Node) -> String? {
        let text = node.scalar?.string
        let agrees: Bool
        switch word {
        case "!!str": agrees = text != nil
        case "!!int": agrees = text.flatMap { Int($0) } != nil
        case "!!float": agrees = text.flatMap { Double($0) } != nil
        case "!!bool": agrees = ["true", "yes", "on", "false", "no", "off"].contains(text?.lowercased() ?? "")
        case "!!null": agrees = node.isNothing
        case "!!seq": agrees = node.sequence != nil
        case "!!map": agrees = node.mapping != nil
        default: return "remove the tag: values here are texts, numbers, true and false, lists and mappings"
        }
        return agrees ? nil : "write a value of that kind, or remove the tag"
    }
}
