/// Finds the name that was probably meant.
public enum Spelling {
    /// The candidate with the fewest edits from `word`, if they are few enough to be a slip; the first of equals.
    public static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let written = Array(word.lowercased().unicodeScalars.prefix(80))
        var best: (candidate: String, distance: Int)?
        for candidate in candidates {
            let other = Array(candidate.lowercased().unicodeScalars.prefix(80))
            let limit = max(1, min(written.count, other.count) / 2)
            let distance = distance(written, other)
            if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.candidate
    }

    /// The hint for a name that does not exist: the nearest name, else all names.
    package static func hint(for word: String, among candidates: [String], kind: String) -> String {
        if let hint = hint(forExpression: word) { return hint }
        if let nearest = nearest(to: word, among: candidates) { return "did you mean \(quoted(nearest))?" }
        guard !candidates.isEmpty else { return "the file has no \(kind)" }
        let shown = candidates.prefix(12).map { quoted($0) }.joined(separator: ", ")
        return "there \(candidates.count == 1 ? "is" : "are") \(shown)" + (candidates.count > 12 ? " and others" : "")
    }

    /// The hint for a text with `{{` where expressions have no value yet; nil for any other text.
    package static func hint(forExpression word: String) -> String? {
        word.contains("{{") ? "{{ … }} has no value here: write what it stands for, or a variable, ${NAME}" : nil
    }

    /// Edits (insertion, deletion, replacement, swap of neighbours) that turn one into the other.
    private static func distance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        guard !left.isEmpty else { return right.count }
        guard !right.isEmpty else { return left.count }
        var beforeLast = [Int](repeating: 0, count: right.count + 1)
        var last = Array(0...right.count)
        for row in 1...left.count {
            var current = [row]
            for column in 1...right.count {
                let same = left[row - 1] == right[column - 1]
                var edits = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (same ? 0 : 1))
                if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
                    edits = min(edits, beforeLast[column - 2] + 1)
                }
                current.append(edits)
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }
}

/// The text in double quotes, shortened if it is long, with control characters made visible.
///
/// - Parameter seen: Whether other invisible characters are made visible, too.
package func quoted(_ text: String, seen: Bool = false) -> String {
    let limit = 60
    let shown = text.unicodeScalars.prefix(limit).map { scalar in
        scalar.properties.generalCategory == .control || (0x202A...0x202E).contains(scalar.value)
            || (0x2066...0x2069).contains(scalar.value) || seen && scalar.properties.isDefaultIgnorableCodePoint
            ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
    }.joined()
    return "\"\(shown)\(text.unicodeScalars.count > limit ? "…" : "")\""
}
