import Reporting

/// Columns of text, each as wide as its widest cell.
///
/// If the output has a width, the table fits it. Columns of words become narrower, and their cells break at blanks. If
/// that is not enough, each row becomes a block with one line for each cell.
struct TextTable {
    private let header: [String]
    private var rows: [[String]] = []
    private let rightAligned: Set<Int>
    /// The widest cell, in columns of a terminal, if there is no width to fit. A wider one shifts only its own row.
    private static let widest = 64
    /// The least width of a column of words, in columns of a terminal.
    private static let narrowest = 16
    private static let gap = 2

    init(_ header: [String], rightAligned: Set<Int> = []) {
        self.header = header.map(ASCIIText.shown)
        self.rightAligned = rightAligned
    }

    mutating func add(_ row: [String]) { rows.append(row.map(ASCIIText.shown)) }

    /// The lines that fit the output.
    var lines: [String] { lines(fitting: Terminal.width) }

    /// The lines.
    ///
    /// - Parameter width: In columns of a terminal. nil: as wide as the cells.
    func lines(fitting width: Int?) -> [String] {
        let all = [header] + rows
        let columns = all.map(\.count).max() ?? 0
        func widths(upTo limit: Int) -> [Int] {
            (0..<columns).map { column in
                all.map { column < $0.count ? TextColumn.width($0[column]) : 0 }.filter { $0 <= limit }.max() ?? 0
            }
        }
        guard let width else { return aligned(all, widths(upTo: Self.widest)) }
        let natural = widths(upTo: .max)
        guard let fitted = narrowed(natural, all, to: width) else { return blocks(width) }
        return fitted == natural ? aligned(all, natural) : all.flatMap { broken($0, fitted) }
    }

    private func aligned(_ rows: [[String]], _ widths: [Int]) -> [String] { rows.map { line($0, widths) } }

    private func line(_ row: [String], _ widths: [Int]) -> String {
        var line = ""
        for (column, cell) in row.enumerated() {
            let padding = String(repeating: " ", count: max(0, widths[column] - TextColumn.width(cell)))
            line += (rightAligned.contains(column) ? padding + cell : cell + padding)
            line += String(repeating: " ", count: Self.gap)
        }
        while line.last == " " { line.removeLast() }
        return line
    }

    /// The columns' widths if all fit. nil if they cannot.
    private func narrowed(_ natural: [Int], _ all: [[String]], to width: Int) -> [Int]? {
        let least = natural.indices.map { column -> Int in
            guard !rightAligned.contains(column) else { return natural[column] }
            let words = all.compactMap { column < $0.count ? TextColumn.longestWord($0[column]) : nil }
            return min(natural[column], max(words.max() ?? 0, Self.narrowest))
        }
        var widths = natural
        func total() -> Int { widths.reduce(0, +) + Self.gap * max(0, widths.count { $0 > 0 } - 1) }
        while total() > width {
            let wide = widths.indices.filter { widths[$0] > least[$0] }.max { widths[$0] < widths[$1] }
            guard let wide else { return nil }
            widths[wide] -= 1
        }
        return widths
    }

    /// One row whose cells break at blanks.
    private func broken(_ row: [String], _ widths: [Int]) -> [String] {
        let cells = row.enumerated().map { TextColumn.wrapped($1, to: max(1, widths[$0]), indent: 0) }
        return (0..<(cells.map(\.count).max() ?? 0)).map { number in
            line(cells.map { number < $0.count ? $0[number] : "" }, widths)
        }
    }

    /// Row by row: the first cell is a title. Below it come the other cells, each behind the name of its column. A row
    /// without a first cell continues the row before it.
    private func blocks(_ width: Int) -> [String] {
        let names = header.map { $0.trimmingBlanks.lowercased() }
        var lines: [String] = []
        for row in rows {
            let title = row.first ?? ""
            if !title.trimmingBlanks.isEmpty {
                let name = names.first.map { $0.isEmpty ? "" : "\($0) " } ?? ""
                lines += TextColumn.wrapped(name + title.trimmingBlanks, to: width, indent: 4)
            }
            for (column, cell) in row.enumerated().dropFirst() where !cell.isEmpty {
                let name = column < names.count && !names[column].isEmpty ? "\(names[column]): " : ""
                lines += TextColumn.wrapped("    \(name)\(cell)", to: width, indent: 6)
            }
        }
        return lines
    }
}

/// Text as a terminal shows it.
enum TextColumn {
    /// The columns that a text takes. Colours take none.
    static func width(_ text: String) -> Int {
        guard text.contains("\u{1B}") else { return TextWidth.columns(text) }
        return TextWidth.columns(text.replacing(#/\x{1B}\[[0-9;]*m/#, with: ""))
    }

    /// The columns of the longest word.
    static func longestWord(_ text: String) -> Int { text.split(separator: " ").map { width(String($0)) }.max() ?? 0 }

    /// The text broken at blanks. A word that is wider than a whole line is broken where the line ends.
    ///
    /// - Parameters:
    ///   - columns: The width of a line.
    ///   - indent: The number of blanks before each line but the first.
    static func wrapped(_ text: String, to columns: Int, indent: Int) -> [String] {
        guard width(text) > columns else { return [text] }
        let blanks = String(repeating: " ", count: min(indent, columns / 2))
        var lines: [String] = []
        var line = String(text.prefix { $0 == " " })
        var isEmpty = true
        for word in text.split(separator: " ").map(String.init) {
            if !isEmpty, width(line) + 1 + width(word) > columns {
                lines.append(line)
                (line, isEmpty) = (blanks, true)
            }
            if !isEmpty { line += " " }
            var rest = Substring(word)
            while !word.contains("\u{1B}"), width(line) + width(String(rest)) > columns {
                var room = columns - width(line)
                let piece = rest.prefix { character in
                    room -= TextWidth.columns(String(character))
                    return room >= 0
                }
                guard !piece.isEmpty else { break }
                lines.append(line + piece)
                (line, rest) = (blanks, rest.dropFirst(piece.count))
            }
            line += rest
            isEmpty = false
        }
        return lines + [line]
    }
}

extension String {
    /// Without the blanks at both ends.
    var trimmingBlanks: String {
        var text = drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
