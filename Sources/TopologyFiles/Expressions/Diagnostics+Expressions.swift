import Reporting

extension Diagnostics {
    /// The place of an expression in the file.
    ///
    /// A text of YAML is not at one column: it may be folded, indented or in quotes. So the expression of the same number
    /// is looked for from the beginning of the text on.
    ///
    /// - Parameter text: The beginning of the text that it is in.
    /// - Returns: `text` if it is not found: the value of a variable may have brought it.
    package func place(of expression: ExpressionText.Expression, in text: SourceOrigin) -> SourceOrigin {
        guard case .line(let position) = text, let lines = lines(of: position.file),
            lines.indices.contains(position.line - 1)
        else { return text }
        let first = String(lines[position.line - 1].unicodeScalars.dropFirst(position.column - 1))
        let rest = ([Substring(first)] + lines[position.line...].prefix(4096)).joined(separator: "\n")
        guard let source = ExpressionText(rest) else { return text }
        let found =
            source.expressions.first { $0.number == expression.number && $0.meaning == expression.meaning }
            ?? source.unended.flatMap { $0.number == expression.number ? $0 : nil }
        guard let found else { return text }
        let before = rest.unicodeScalars.prefix(found.offset)
        let line = before.count { $0 == "\n" }
        let column = before.reversed().prefix { $0 != "\n" }.count
        return .line(
            SourcePosition(
                line: position.line + line, column: (line == 0 ? position.column : 1) + column, file: position.file))
    }
}
