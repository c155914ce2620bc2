extension String {
    /// A help text with each paragraph in one line, so that the terminal's width alone decides where lines break.
    /// Headings and indented lines stay as they are. A paragraph ends at an empty line.
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
