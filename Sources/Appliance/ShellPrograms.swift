/// Finds the programs that a shell command is going to run, as far as they are plain words in it.
///
/// It is no shell: it leaves out words built by expansion, and programs that a program may start itself. It lists only
/// programs that the shell would surely look for.
enum ShellPrograms {
    /// The programs in the order of the text, each once.
    static func named(in command: String) -> [String] {
        var programs: [String] = []
        var expectsProgram = true
        var skipsRedirection = false
        for token in tokens(command) {
            switch token {
            case .operator(let text):
                skipsRedirection = text.contains("<") || text.contains(">")
                if !skipsRedirection { expectsProgram = true }
            case .word(let text, let isLiteral):
                if skipsRedirection {
                    skipsRedirection = false
                } else if expectsProgram {
                    if isAssignment(text) || (isLiteral && openers.contains(text)) { continue }
                    expectsProgram = false
                    // The word after one of these is no program but a name, a pattern or a function's body.
                    if ["for", "case", "select", "function"].contains(text) { return programs }
                    if isLiteral, !text.isEmpty, !builtins.contains(text), !programs.contains(text) {
                        programs.append(text)
                    }
                }
            }
        }
        return programs
    }

    private enum Token {
        case word(String, isLiteral: Bool)
        case `operator`(String)
    }

    /// Words after which the next one is a program still.
    private static let openers: Set<String> = [
        "!", "{", "}", "if", "then", "else", "elif", "fi", "while", "until", "do", "done", "exec", "time", "command",
        "nohup",
    ]

    private static let builtins: Set<String> = [
        ".", ":", "[", "alias", "bg", "break", "cd", "continue", "echo", "eval", "exit", "export", "false", "fg",
        "getopts",
        "hash", "jobs", "kill", "local", "printf", "pwd", "read", "readonly", "return", "set", "shift", "source",
        "test",
        "times", "trap", "true", "type", "ulimit", "umask", "unalias", "unset", "wait",
    ]

    private static func isAssignment(_ word: String) -> Bool {
        guard let sign = word.firstIndex(of: "="), sign > word.startIndex else { return false }
        return word[..<sign].allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" } && !(word.first?.isNumber ?? true)
    }

    private static func tokens(_ command: String) -> [Token] {
        var tokens: [Token] = []
        var word = "", isLiteral = true, inWord = false
        func endWord() {
            guard inWord else { return }
            tokens.append(.word(word, isLiteral: isLiteral))
            (word, isLiteral, inWord) = ("", true, false)
        }
        let text = Array(command)
        var index = 0
        while index < text.count {
            let character = text[index]
            index += 1
            switch character {
            case "#" where !inWord:
                while index < text.count, !text[index].isNewline { index += 1 }
            case "'", "\"":
                inWord = true
                // A quoted assignment's value keeps it an assignment; a quoted program is one all the same.
                while index < text.count, text[index] != character {
                    if character == "\"", text[index] == "$" || text[index] == "`" { isLiteral = false }
                    if character == "\"", text[index] == "\\" { index += 1 }
                    if index < text.count { word.append(text[index]) }
                    index += 1
                }
                index += 1
            case "\\":
                inWord = true
                if index < text.count { word.append(text[index]) }
                index += 1
            case "$", "`", "*", "?":
                (inWord, isLiteral) = (true, false)
                word.append(character)
            case ";", "&", "|", "(", ")", "\n", "<", ">":
                // The number of a redirected descriptor is no word.
                if (character == "<" || character == ">"), inWord, word.allSatisfy(\.isNumber) {
                    (word, inWord) = ("", false)
                }
                endWord()
                // >&2 is one redirection.
                if character == "&", case .operator(let last)? = tokens.last, last.contains(">") || last.contains("<") {
                    continue
                }
                tokens.append(.operator(String(character)))
            case " ", "\t": endWord()
            default:
                inWord = true
                word.append(character)
            }
        }
        endWord()
        return tokens
    }
}
