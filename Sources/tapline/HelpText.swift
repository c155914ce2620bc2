extension String {
    /// A help text whose paragraphs are one line each, so that they are wrapped once, at the terminal's width. Headings
    /// and what is indented stay as they are; a paragraph ends at an empty line.
    var paragraphs: String {
        var lines: [String] = []
        var isOpen = false
        for line in split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            let isText = !line.isEmpty && !line.hasPrefix(" ")
            let isHeading = isText && line.allSatisfy { $0.isUppercase || $0 == " " }
            if isText, !isHeading, isOpen { lines[lines.count - 1] += " " + line } else { lines.append(line) }
            isOpen = isText && !isHeading
        }
        return lines.joined(separator: "\n")
    }
}
