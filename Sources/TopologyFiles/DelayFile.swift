import Forwarding
import Plan
import Reporting

/// A trace of an impaired link: a file with a delay in each line. Empty lines and those that begin with # do not count.
package enum DelayFile {
    /// Its delays, at least one.
    ///
    /// - Parameter mayBePipe: True if it may be one that the shell makes for `<(…)`, which is read until its writer closes
    ///   it.
    /// - Throws: `Fault` with the line, if the file cannot be read or is no trace. Its hint may be empty.
    package static func delays(at path: String, mayBePipe: Bool = true) throws(ImpairmentText.Fault) -> [Duration] {
        let text: String
        do throws(TopologyError) {
            text = try TopologyFile.withoutMark(TopologyFile.text(of: path, mayBePipe: mayBePipe))
        } catch {
            throw ImpairmentText.Fault(
                what: error.problems.first?.message ?? "the file cannot be read",
                hint: error.problems.first?.hint ?? "name a file that can be read")
        }
        var delays: [Duration] = []
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.split { $0 == " " || $0 == "\t" }
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            do throws(ImpairmentText.Fault) {
                guard words.count == 1 else {
                    throw ImpairmentText.Fault(
                        what: "has \(words.count) words", hint: "write one delay in each line, such as 20ms or 250us")
                }
                delays.append(try ImpairmentText.delay(String(first)))
            } catch {
                throw ImpairmentText.Fault(what: "line \(number + 1) \(error.what)", hint: error.hint)
            }
        }
        guard !delays.isEmpty else {
            throw ImpairmentText.Fault(
                what: "it has no delays", hint: "write one in each line, such as 20ms or 250us")
        }
        guard delays.count <= Impairment.longestTrace else {
            throw ImpairmentText.Fault(
                what: "it has \(delays.count) delays", hint: "write at most \(Impairment.longestTrace)")
        }
        return delays
    }
}
