import Foundation
import Reporting
import Yams

/// Turns the text of a file into a tree of nodes with positions. It ends soon for any text.
enum YAMLText {
    /// The largest file that is read, in octets.
    static let maximumSize = 1 << 20
    /// The largest size of a file with all aliases written out, in octets.
    private static let maximumExpansion = 8 << 20
    /// A key that was found twice is replaced by this scalar and those after it; the reader passes over such keys.
    private static let replaced: ClosedRange<UInt32> = 0x10FF00...0x10FFFD

    /// True for a key in place of a duplicate, which has been reported already.
    static func isReplaced(_ key: String) -> Bool {
        key.unicodeScalars.first.map { replaced.contains($0.value) } ?? false
    }

    /// The root of the one document; nil if there is none, or if the text cannot be read at all.
    static func compose(_ text: String, _ diagnostics: Diagnostics) -> Node? {
        guard text.utf8.count <= maximumSize else {
            diagnostics.error(
                .line(SourcePosition(line: 1, column: 1)), "the file is larger than 1 MiB",
                hint: "split it into several topologies")
            return nil
        }
        guard expansion(of: text) <= maximumExpansion else {
            diagnostics.error(
                .line(SourcePosition(line: 1, column: 1)), "the aliases of the file expand to too much text",
                hint: "write the text instead of the aliases")
            return nil
        }
        if let own = text.unicodeScalars.firstIndex(where: { replaced.contains($0.value) }) {
            let index = text.unicodeScalars.distance(from: text.startIndex, to: own)
            diagnostics.error(
                .line(place(of: index, in: Array(text.unicodeScalars))),
                "this character has no meaning in any script",
                hint: "remove it")
            return nil
        }
        var text = withoutControlCharacters(text, diagnostics)
        for round in replaced {
            do {
                guard let root = try Yams.compose(yaml: text) else {
                    diagnostics.error(
                        .line(SourcePosition(line: 1, column: 1)), "the file is empty", hint: "begin with `name: …`")
                    return nil
                }
                return root
            } catch let error as YamlError {
                // A mistake that can be taken out of the text must not hide other mistakes.
                if case .duplicatedKeysInMapping(let keys, let context) = error, let key = keys.first,
                    let without = replaceDuplicate(key, first: context.mark, in: text, round: round, diagnostics)
                {
                    text = without
                    continue
                }
                tell(error, text, diagnostics)
                guard let without = replaceIndicator(error, in: text) else { return nil }
                text = without
            } catch {
                diagnostics.error(
                    .line(SourcePosition(line: 1, column: 1)), "the file cannot be read as YAML: \(error)")
                return nil
            }
        }
        return nil
    }

    private static func tell(_ error: YamlError, _ text: String, _ diagnostics: Diagnostics) {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            var position = SourcePosition(line: max(1, mark.line), column: max(1, mark.column))
            var message = problem
            if let begin = context?.mark, begin.line > 0 {
                if problem.contains("expected ':'") || problem.contains("alphabetic or numeric") {
                    // libyaml notices this mistake behind its place.
                    position = SourcePosition(line: begin.line, column: max(1, begin.column))
                } else if begin.line != mark.line, !problem.contains("document") {
                    message += ", in the part that begins on line \(begin.line)"
                }
            }
            let lines = Diagnostics.lines(of: text)
            let line = lines.indices.contains(position.line - 1) ? lines[position.line - 1] : ""
            let indentedByTab = line.prefix { $0 == " " || $0 == "\t" }.contains("\t")
            diagnostics.error(
                .line(position),
                problem.contains("nesting level")
                    ? "the nesting is too deep"
                    : problem.contains("another document")
                        ? "the file has more than one document" : "this is not YAML: \(message)",
                hint: indentedByTab
                    ? "indent with spaces, not with tabs"
                    : problem.contains("alias")
                        ? "define the anchor with & before it is used, or put the text in quotes"
                        : isStrayElement(problem, line)
                            ? "this is an element of a list among keys: indent it below the key it belongs to, or write `key: value`"
                            : hint(problem))
        case .reader(let problem, let offset, _, _):
            var position = SourcePosition(line: 1, column: 1)
            for character in text.prefix(offset ?? 0) {
                if Diagnostics.endsLine(character) {
                    position = SourcePosition(line: position.line + 1, column: 1)
                } else {
                    position.column += character.unicodeScalars.count
                }
            }
            diagnostics.error(
                .line(position), "this is not YAML: \(problem)", hint: "remove the control character")
        case .duplicatedKeysInMapping(let keys, let context):
            diagnostics.error(
                .line(SourcePosition(line: max(1, context.mark.line), column: max(1, context.mark.column))),
                "the key \(quoted(keys.first ?? "")) is given twice", hint: "remove one of the two")
        default:
            diagnostics.error(.line(SourcePosition(line: 1, column: 1)), "the file cannot be read as YAML: \(error)")
        }
    }

    /// The text with a letter in place of each control character that YAML forbids; reports each of them.
    private static func withoutControlCharacters(_ text: String, _ diagnostics: Diagnostics) -> String {
        func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.value {
            case 9, 10, 13, 0x20...0x7E, 0x85, 0xA0...: scalar.value & 0xFFFE != 0xFFFE
            default: false
            }
        }
        guard !text.unicodeScalars.allSatisfy(isAllowed) else { return text }
        var position = SourcePosition(line: 1, column: 1)
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            // A file that is full of them is none that was written as text.
            if !isAllowed(scalar), diagnostics.count < 100 {
                diagnostics.error(
                    .line(position), "this is not YAML: control characters are not allowed",
                    hint: "remove the control character")
            }
            result.append(isAllowed(scalar) ? scalar : "x")
            position =
                scalar == "\n"
                ? SourcePosition(line: position.line + 1, column: 1)
                : SourcePosition(line: position.line, column: position.column + 1)
        }
        return String(result)
    }

    /// The text with a letter in place of one character: a `*` that refers to nothing, or a character that no text
    /// begins with.
    private static func replaceIndicator(_ error: YamlError, in text: String) -> String? {
        let mark: Mark
        switch error {
        case .composer(_, let problem, let place, _) where problem.contains("undefined alias"): mark = place
        case .scanner(_, let problem, let place, _) where problem.contains("cannot start any token"): mark = place
        case .scanner(let context?, let problem, _, _) where problem.contains("alphabetic or numeric"):
            mark = context.mark
        default: return nil
        }
        var scalars = Array(text.unicodeScalars)
        guard let index = offset(of: mark, in: scalars), ["*", "&", "@", "`", "%"].contains(scalars[index]) else {
            return nil
        }
        scalars[index] = "x"
        var result = String.UnicodeScalarView()
        result.append(contentsOf: scalars)
        return String(result)
    }

    private static func hint(_ problem: String) -> String? {
        if problem.contains("mapping values are not allowed") {
            return "put a text with \": \" in quotes, or check the indentation"
        }
        if problem.contains("expected ':'") { return "write `key: value`, or append the line to the one before it" }
        if problem.contains("nesting level") { return "remove brackets: no topology needs so many" }
        if problem.contains("cannot start any token") || problem.contains("alphabetic or numeric") {
            return "put the text in quotes"
        }
        if problem.contains("did not find expected ',' or") { return "close the bracket, or put the text in quotes" }
        if problem.contains("did not find expected key") { return "check the indentation and the quotes" }
        if problem.contains("did not find expected node content") {
            return "close the bracket, or write the missing value"
        }
        if problem.contains("unexpected end of stream") { return "close the quotes" }
        if problem.contains("another document") { return "remove the second `---`" }
        return hints.first { problem.contains($0.part) }?.hint
            ?? "check the line, or put special characters in quotes"
    }

    /// The hints for the rarer mistakes, by a part of libyaml's message.
    private static let hints: [(part: String, hint: String)] = [
        (
            "invalid Unicode character escape",
            "write the character itself: \\u takes no half of a pair, and nothing above 10FFFF"
        ),
        (
            "hexdecimal number",
            "write \\x and two digits, \\u and four, or \\U and eight; or use single quotes, in which \\ stands for itself"
        ),
        ("unknown escape character", "write \\\\ for the character \\ itself, or use single quotes"),
        ("incompatible YAML document", "remove the line, or write %YAML 1.2"),
        ("duplicate %YAML", "remove one of the two lines"),
        ("duplicate %TAG", "remove one of the two lines"),
        ("directive", "remove the line: a topology needs no directive; a text that begins with % is put in quotes"),
        ("version number", "write %YAML 1.2, or remove the line"),
        ("digit or '.'", "write %YAML 1.2, or remove the line"),
        (
            "did not find expected '-' indicator",
            "begin each element of the list with `- `, or indent the line like its list"
        ),
        ("block sequence entries are not allowed", "begin the list on a line of its own, below its key"),
        ("block collections are not allowed", "write the list or mapping in brackets, or on lines below its key"),
        ("tag", "remove the tag: a text that begins with ! is put in quotes"),
        ("expected '>'", "remove the tag: a text that begins with ! is put in quotes"),
        ("comment or line break", "let the text begin on the line after | or >"),
        ("indentation indicator", "let the text begin on the line after | or >"),
        ("block scalar", "let the text begin on the line after | or >, indented"),
        ("document start", "begin with `name: …`; a line of `---` may stand before it"),
        ("document end", "remove the second `---`"),
        ("could not find expected", "write `key: value`, or put the text in quotes"),
        ("multiple", "remove one of the two"),
        ("anchor", "write & and a name of letters and digits, or put the text in quotes"),
    ]

    /// A list's element in place of a mapping's key: libyaml only says that it expected a key.
    private static func isStrayElement(_ problem: String, _ line: some StringProtocol) -> Bool {
        let text = line.drop { $0 == " " }
        return problem.contains("did not find expected key") && (text.hasPrefix("- ") || text == "-")
    }

    /// The text with the later one of two equal keys replaced; reports that key. nil if it cannot be found.
    private static func replaceDuplicate(
        _ key: String, first: Mark, in text: String, round: UInt32, _ diagnostics: Diagnostics
    ) -> String? {
        let scalars = Array(text.unicodeScalars)
        // Two keys are equal however their accents are composed.
        let forms = [key, key.precomposedStringWithCanonicalMapping, key.decomposedStringWithCanonicalMapping]
            .map { Array($0.unicodeScalars) }.uniqued()
        return forms.lazy.compactMap { wanted in
            replace(wanted, key, first: first, in: scalars, round: round, diagnostics)
        }.first
    }

    private static func replace(
        _ wanted: [Unicode.Scalar], _ key: String, first: Mark, in scalars: [Unicode.Scalar], round: UInt32,
        _ diagnostics: Diagnostics
    ) -> String? {
        guard !wanted.isEmpty, let start = offset(of: first, in: scalars) else { return nil }
        let isQuoted = scalars[start] == "\"" || scalars[start] == "'"
        var candidates: [Int] = []
        var at = start + wanted.count
        while at + wanted.count < scalars.count {
            if scalars[at] == wanted[0], Array(scalars[at..<at + wanted.count]) == wanted,
                !isName(scalars[at - 1]), endsKey(scalars, at + wanted.count)
            {
                candidates.append(at)
            }
            at += 1
        }
        // A block mapping's keys share their column; in a flow mapping the next one it is.
        let column = first.column + (isQuoted ? 1 : 0)
        let inColumn = candidates.first { place(of: $0, in: scalars).column == column }
        guard let found = isBlockKey(scalars, start) ? inColumn : candidates.first,
            let substitute = Unicode.Scalar(round)
        else { return nil }
        let position = place(of: found, in: scalars)
        diagnostics.error(
            .line(position), "the key \(quoted(key)) is given twice; the first is on line \(first.line)",
            hint: "remove one of the two")
        var changed = scalars
        for offset in found..<found + wanted.count { changed[offset] = substitute }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: changed)
        return String(result)
    }

    private static func isName(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "-" || scalar == "_" || scalar == "." || scalar == "/" || scalar.properties.isAlphabetic
            || ("0"..."9").contains(scalar)
    }

    /// True if the scalars from `index` on end a key: a closing quote, blanks, a colon.
    private static func endsKey(_ scalars: [Unicode.Scalar], _ index: Int) -> Bool {
        var at = index
        while at < scalars.count, scalars[at] == " " || scalars[at] == "\"" || scalars[at] == "'" { at += 1 }
        return at < scalars.count && scalars[at] == ":"
    }

    private static func isBlockKey(_ scalars: [Unicode.Scalar], _ index: Int) -> Bool {
        var at = index - 1
        while at >= 0, scalars[at] != "\n" {
            guard scalars[at] == " " || scalars[at] == "-" || scalars[at] == "?" else { return false }
            at -= 1
        }
        return true
    }

    private static func offset(of mark: Mark, in scalars: [Unicode.Scalar]) -> Int? {
        var line = 1
        var at = 0
        while line < mark.line, at < scalars.count {
            if scalars[at] == "\n" { line += 1 }
            at += 1
        }
        let index = at + mark.column - 1
        return scalars.indices.contains(index) ? index : nil
    }

    private static func place(of index: Int, in scalars: [Unicode.Scalar]) -> SourcePosition {
        var position = SourcePosition(line: 1, column: 1)
        for scalar in scalars[..<index] {
            if scalar == "\n" {
                position = SourcePosition(line: position.line + 1, column: 1)
            } else {
                position.column += 1
            }
        }
        return position
    }

    /// An upper bound of the text's size when every alias is written out, in octets.
    ///
    /// The text of an alias begins at its anchor and ends before the first use.
    private static func expansion(of text: String) -> Int {
        var total = 0
        let octets = text.utf8
        var begins: [[UInt8]: Int] = [:]
        var weights: [[UInt8]: Int] = [:]
        var at = octets.startIndex
        var previous: UInt8 = 0x20
        while at < octets.endIndex {
            let octet = octets[at]
            total += 1
            let startsToken = previous <= 0x20 || [0x5B, 0x7B, 0x2C, 0x3A, 0x2D, 0x3F].contains(previous)
            if startsToken, octet == 0x26 || octet == 0x2A {
                let name = Array(
                    octets[octets.index(after: at)...].prefix { $0 > 0x20 && ![0x2C, 0x5D, 0x7D].contains($0) })
                if octet == 0x26 {
                    begins[name] = total
                    weights[name] = nil
                } else if let begin = begins[name] {
                    let weight = weights[name] ?? total - begin
                    weights[name] = weight
                    total += weight
                    if total > maximumExpansion { return total }
                }
            }
            previous = octet
            at = octets.index(after: at)
        }
        return total
    }
}
