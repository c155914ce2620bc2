import PacketFilters
import Reporting

/// The words behind a topology's name: a node, an expression of pcap-filter, or a node and an expression.
package struct CaptureWords: Sendable, Hashable {
    /// The node.
    package var node: String?
    /// The expression.
    package var filter: String?

    /// - Parameters:
    ///   - words: As a shell gives them.
    ///   - nodes: The nodes of the topology.
    /// - Throws: `ApplianceError` if the first word names no node, and is no part of an expression either.
    package init(_ words: [String], nodes: [String]) throws(ApplianceError) {
        guard let first = words.first else { return }
        if nodes.contains(first) {
            node = first
            filter = words.count > 1 ? words.dropFirst().joined(separator: " ") : nil
            return
        }
        let expression = words.joined(separator: " ")
        filter = expression
        // A word that only a name can be is probably a node that was misspelt. Other faults are told where the filter is used.
        guard Self.isLikeNode(first) else { return }
        do throws(PacketFilterError) { _ = try PacketFilter(expression) } catch {
            throw ApplianceError(
                .name,
                "there is no node '\(first)', so it was read as a filter, and that does not compile: "
                    + HarmlessText.reading(error.reason.utf8, most: 400),
                hint: Spelling.hint(for: first, among: nodes, kind: "nodes"), details: error.marked)
        }
    }

    private static func isLikeNode(_ word: String) -> Bool {
        word.count <= 64 && word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
            && FilterWords.isName(word)
    }
}
