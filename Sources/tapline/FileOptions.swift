import ArgumentParser
import Glibc
import TopologyFiles

/// Values for the variables of a topology file, as every command that reads one takes them.
struct FileOptions: ParsableArguments {
    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Give a variable of the file another value. May be repeated.", valueName: "name=value"))
    var assignments: [String] = []

    @Option(
        name: .customLong("env"),
        help: ArgumentHelp(
            "Take a variable's value from the environment variable of the same name. May be repeated.",
            valueName: "name"))
    var environment: [String] = []

    func validate() throws {
        for word in assignments where word.firstIndex(of: "=").map({ $0 == word.startIndex }) ?? true {
            throw ValidationError("--set '\(word)': write NAME=VALUE.")
        }
        for name in environment where getenv(name) == nil {
            throw ValidationError("--env \(name): the environment has no such variable.")
        }
    }

    /// The values; of one variable the last one, and --set before --env.
    var settings: FileSettings {
        var values: [String: String] = [:]
        for name in environment {
            if let value = getenv(name) { values[name] = String(cString: value) }
        }
        for word in assignments {
            guard let sign = word.firstIndex(of: "=") else { continue }
            values[String(word[..<sign])] = String(word[word.index(after: sign)...])
        }
        return FileSettings(values)
    }

    /// The values for a running topology; nil where none is given: it keeps those that it has.
    var given: [String: String]? { assignments.isEmpty && environment.isEmpty ? nil : settings.values }
}
