/// A text with `{{ … }}` in it: parts of the topology that are known once addresses are.
///
/// `{{ '{{' }}` stands for the text `{{` itself, as every text in quotes stands for itself.
package struct ExpressionText: Sendable {
    /// A part of the text.
    package enum Part: Equatable, Sendable {
        case text(String)
        case expression(Expression)
    }

    /// What is between two braces and two braces.
    package struct Expression: Equatable, Sendable {
        /// Its number in the text, from 0.
        package var number: Int
        /// As it is written, without the braces and the blanks around it.
        package var written: String
        /// What it says; nil if it has no form of an expression.
        package var meaning: Meaning?
        /// Where it begins in the text, in Unicode scalars.
        var offset: Int
    }

    /// What an expression says.
    package enum Meaning: Equatable, Sendable {
        /// `services.shop.address`, by its parts.
        case path([String])
        /// A text in quotes.
        case literal(String)
    }

    package let parts: [Part]
    /// Where a `{{` is that nothing ends, in Unicode scalars, with its number; nil if each one is ended.
    package let unended: Expression?

    /// nil if the text has no `{{`.
    package init?(_ text: String) {
        guard text.utf8.contains(UInt8(ascii: "{")), text.contains("{{") else { return nil }
        let scalars = Array(text.unicodeScalars)
        var (parts, plain, index, number): ([Part], String.UnicodeScalarView, Int, Int) = ([], .init(), 0, 0)
        var unended: Expression?
        while index < scalars.count {
            guard Self.isPair("{", scalars, index) else {
                plain.append(scalars[index])
                index += 1
                continue
            }
            guard let end = Self.end(of: scalars, from: index + 2) else {
                unended = unended ?? Expression(number: number, written: "", meaning: nil, offset: index)
                plain.append(contentsOf: scalars[index...])
                break
            }
            if !plain.isEmpty { parts.append(.text(String(plain))) }
            plain = .init()
            let written = Self.trimmed(scalars[(index + 2)..<end])
            parts.append(
                .expression(
                    Expression(
                        number: number, written: written, meaning: Self.meaning(of: Array(written.unicodeScalars)),
                        offset: index)))
            number += 1
            index = end + 2
        }
        if !plain.isEmpty { parts.append(.text(String(plain))) }
        self.parts = parts
        self.unended = unended
    }

    /// The expressions, in their order.
    package var expressions: [Expression] {
        parts.compactMap { if case .expression(let expression) = $0 { expression } else { nil } }
    }

    private static func isPair(_ brace: Unicode.Scalar, _ scalars: [Unicode.Scalar], _ index: Int) -> Bool {
        index + 1 < scalars.count && scalars[index] == brace && scalars[index + 1] == brace
    }

    /// Where the two braces are that end an expression. Braces inside quotes do not count.
    private static func end(of scalars: [Unicode.Scalar], from start: Int) -> Int? {
        var quote: Unicode.Scalar?
        var fallback: Int?
        for index in start..<scalars.count {
            if fallback == nil, isPair("}", scalars, index) { fallback = index }
            if let open = quote {
                if scalars[index] == open { quote = nil }
            } else if isQuote(scalars[index]) {
                quote = scalars[index]
            } else if isPair("}", scalars, index) {
                return index
            }
        }
        // A quote that nothing ends hides no braces.
        return fallback
    }

    private static func isQuote(_ scalar: Unicode.Scalar) -> Bool { scalar == "\"" || scalar == "'" }

    private static func trimmed(_ scalars: some Collection<Unicode.Scalar>) -> String {
        let isBlank = { (scalar: Unicode.Scalar) in scalar.properties.isWhitespace }
        var view = String.UnicodeScalarView(scalars.drop(while: isBlank))
        while let last = view.last, isBlank(last) { view.removeLast() }
        return String(view)
    }

    /// Parts with dots between them. A part in quotes may have anything in it.
    private static func meaning(of scalars: [Unicode.Scalar]) -> Meaning? {
        var (parts, index, quotes): ([String], Int, Int) = ([], 0, 0)
        while true {
            while index < scalars.count, scalars[index].properties.isWhitespace { index += 1 }
            guard index < scalars.count else { return nil }
            if isQuote(scalars[index]) {
                guard let end = scalars[(index + 1)...].firstIndex(of: scalars[index]) else { return nil }
                parts.append(String(String.UnicodeScalarView(scalars[(index + 1)..<end])))
                quotes += 1
                index = end + 1
                while index < scalars.count, scalars[index].properties.isWhitespace { index += 1 }
            } else {
                let end = scalars[index...].firstIndex { $0 == "." } ?? scalars.count
                let part = trimmed(scalars[index..<end])
                guard !part.isEmpty, !part.unicodeScalars.contains(where: { isQuote($0) || $0 == "{" || $0 == "}" })
                else { return nil }
                parts.append(part)
                index = end
            }
            guard index < scalars.count else { break }
            guard scalars[index] == "." else { return nil }
            index += 1
        }
        return parts.count == 1 && quotes == 1 ? .literal(parts[0]) : .path(parts)
    }
}
