/// Words as a shell reads them.
enum ShellWord {
    /// The word as it is, or in single quotes if a shell would read it differently.
    static func quoted(_ word: String) -> String {
        let isSafe =
            !word.isEmpty
            && word.unicodeScalars.allSatisfy { scalar in
                scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                    || "-_./:@%+,=".unicodeScalars.contains(scalar)
            }
        return isSafe ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }
}
