/// The place of the fault in an expression that libpcap refused. libpcap tells only what is wrong, not where.
///
/// - A message that quotes a word of the expression (`unknown host 'x'`) or names a number of it points at that word.
/// - Of a syntax error, the place is the first word after which nothing could make the expression right. So the words up to
///   there, with several ends that complete what is open, are given to libpcap. An expression that could still be completed
///   lacks something at its end.
struct FaultPlace {
    /// Characters of the expression; empty at its end; nil: not known.
    private(set) var range: Range<Int>?

    init(in expression: String, _ reason: String) {
        let words = Self.words(of: Array(expression))
        if reason.hasSuffix("syntax error") {
            range = Self.syntaxFault(in: Array(expression), words)
        } else {
            range = Self.quoted(in: Array(expression), words, reason)
        }
    }

    // MARK: - Words

    /// The words of an expression: runs of what names, numbers and addresses consist of, and single other characters.
    private static func words(of characters: [Character]) -> [Range<Int>] {
        var words: [Range<Int>] = []
        var index = 0
        while index < characters.count {
            let start = index
            if characters[index].isWhitespace {
                index += 1
                continue
            }
            while index < characters.count, isPartOfName(characters[index]) { index += 1 }
            if index == start {
                index += isOperator(characters, index) ? 2 : 1
            }
            words.append(start..<index)
        }
        return words
    }

    private static func isPartOfName(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || ".:_-\\$".contains(character)
    }

    private static func isOperator(_ characters: [Character], _ index: Int) -> Bool {
        index + 1 < characters.count
            && ["<=", ">=", "==", "!=", "<<", ">>", "&&", "||"].contains(String(characters[index...index + 1]))
    }

    // MARK: - A word that the message names

    /// The first word, or address of words, that stands in the message.
    private static func quoted(in characters: [Character], _ words: [Range<Int>], _ reason: String) -> Range<Int>? {
        var candidates: [Substring] = []
        for mark in ["'", "\""] as [Character] {
            let parts = reason.split(separator: mark, omittingEmptySubsequences: false)
            candidates += parts.indices.filter { $0 % 2 == 1 && $0 < parts.count - 1 }.map { parts[$0] }
        }
        candidates += reason.split(separator: " ").filter { $0.contains { $0.isNumber } }
        for candidate in candidates where !candidate.isEmpty {
            if let word = words.first(where: { String(characters[$0]) == candidate }) { return word }
            let wanted = Array(candidate)
            guard wanted.count <= characters.count else { continue }
            for start in 0...characters.count - wanted.count
            where characters[start] == wanted[0] && Array(characters[start..<start + wanted.count]) == wanted {
                return start..<start + wanted.count
            }
        }
        return nil
    }

    // MARK: - A syntax error

    /// Ends that complete an expression that stops anywhere.
    private static let ends = [
        "", " tcp", " 1", " 192.0.2.1", " host 192.0.2.1", " port 1", " = 1", " 1 = 1", " 00:00:00:00:00:00",
        " 2001:db8::1",
        " \\tcp", " ip",
    ]

    private static func syntaxFault(in characters: [Character], _ words: [Range<Int>]) -> Range<Int>? {
        // Long expressions would take long.
        guard words.count <= 512 else { return nil }
        // If some words can be completed, fewer can, too.
        var (good, bad) = (0, words.count + 1)
        while bad - good > 1 {
            let middle = (good + bad) / 2
            let text = middle == 0 ? "" : String(characters[..<words[middle - 1].upperBound])
            if canBeCompleted(text) { good = middle } else { bad = middle }
        }
        guard bad <= words.count else { return characters.count..<characters.count }
        return words[bad - 1]
    }

    private static func canBeCompleted(_ text: String) -> Bool {
        var closers = ""
        for character in text {
            switch character {
            case "(": closers = ")" + closers
            case "[": closers = "]" + closers
            case ")", "]": if closers.first == character { closers.removeFirst() } else { return false }
            default: break
            }
        }
        // What is open is closed at once, or one bracket at a time with a comparison between.
        let brackets = closers.isEmpty ? [""] : [closers, closers + " = 1"]
        for end in ends {
            for closing in brackets where isRight(text + end + closing) { return true }
            guard closers.count > 1 else { continue }
            for place in 1..<closers.count {
                let split = closers.index(closers.startIndex, offsetBy: place)
                if isRight(text + end + closers[..<split] + " = 1" + closers[split...]) { return true }
            }
        }
        return false
    }

    /// True if it compiles, or only its meaning is refused.
    private static func isRight(_ text: String) -> Bool {
        switch FilterCompiler.compile(FilterWords.withoutNames(text)) {
        case .compiled: true
        case .refused(let reason): !reason.hasSuffix("syntax error")
        }
    }
}
