/// Values below zero on the command line.
///
/// The argument parser takes every word with a dash for an option, and then says that the option before it has no
/// value. Joined to their options such values reach the command, which says what it takes.
enum NegativeValues {
    /// The commands of which the words behind the node are another program's.
    private static let others: Set = ["exec", "shell"]

    /// The words with each value below zero joined to its option: `--delay=-5ms`.
    ///
    /// A last word that is below zero and has no option before it is a value of the command itself: `weight … -5`.
    ///
    /// - Parameter words: The command line, without the program's name.
    static func join(_ words: [String]) -> [String] {
        guard let command = words.first, !others.contains(command) else { return words }
        let end = words.firstIndex(of: "--") ?? words.endIndex
        var joined: [String] = []
        for word in words[..<end] {
            guard isNegative(word), let option = joined.last else {
                joined.append(word)
                continue
            }
            if option.hasPrefix("--"), !option.contains("=") {
                joined[joined.count - 1] = "\(option)=\(word)"
            } else if option == "-j" {
                joined[joined.count - 1] = "--jobs=\(word)"
            } else if joined.count == end - 1, end == words.endIndex, command == "weight" {
                joined += ["--", word]
            } else {
                joined.append(word)
            }
        }
        return joined + words[end...]
    }

    /// True for `-5`, `-5ms`, `-.5%`.
    private static func isNegative(_ word: String) -> Bool {
        guard word.first == "-" else { return false }
        return word.dropFirst().first { $0 != "." }?.isNumber ?? false
    }
}
