/// Lines of text for a terminal that do not exceed its width, or whole lines for programs.
struct TextRows {
    /// Columns of the terminal.
    let width: Int
    /// The columns that a text takes.
    let measure: (String) -> Int
    /// True if no line is broken, and no word is cut. Columns begin below each other where the words fit.
    let isWhole: Bool

    init(width: Int, measure: @escaping (String) -> Int, isWhole: Bool = false) {
        self.width = width
        self.measure = measure
        self.isWhole = isWhole
    }

    /// The same with another width.
    func narrowed(to width: Int) -> TextRows { TextRows(width: width, measure: measure, isWhole: isWhole) }

    /// The text with blanks up to a width; a longer one is cut and ends with `…`.
    func cell(_ text: String, _ columns: Int, isRight: Bool = false) -> String {
        let shown = cut(text, columns)
        let blanks = String(repeating: " ", count: max(0, columns - measure(shown)))
        return isRight ? blanks + shown : shown + blanks
    }

    /// The text, cut to a width.
    func cut(_ text: String, _ columns: Int) -> String {
        guard !isWhole, measure(text) > columns else { return text }
        var shown = ""
        for character in text {
            guard measure(shown + String(character)) < columns else { break }
            shown.append(character)
        }
        return shown + "…"
    }

    /// The text broken at blanks; all lines but the first are indented.
    func wrapped(_ text: String, indent: Int) -> [String] {
        guard !isWhole else { return text.isEmpty ? [] : [text] }
        let blanks = String(repeating: " ", count: indent)
        var lines: [String] = []
        var line: String?
        for word in text.split(separator: " ") {
            let word = cut(String(word), width - indent)
            guard let begun = line else {
                line = word
                continue
            }
            if measure(begun) + 1 + measure(word) <= width {
                line = begun + " " + word
            } else {
                lines.append(begun)
                line = blanks + word
            }
        }
        return lines + (line.map { [$0] } ?? [])
    }

    /// A bar from one point of a whole to another.
    func bar(_ from: UInt64, _ to: UInt64, of whole: UInt64, columns: Int) -> String {
        let total = Double(max(whole, 1))
        let first = min(columns - 1, Int(Double(from) / total * Double(columns)))
        let last = max(first + 1, min(columns, Int((Double(to) / total * Double(columns)).rounded(.up))))
        return String(repeating: " ", count: first) + String(repeating: "#", count: last - first)
            + String(repeating: " ", count: columns - last)
    }
}
