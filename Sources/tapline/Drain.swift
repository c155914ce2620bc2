import Appliance
import ArgumentParser
import ControlAPI
import Reporting
import Topology

/// `tapline drain`.
struct Drain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give an instance nothing new, and after a time nothing at all.",
        discussion: """
            New TCP connections go to the instances that take over, where there are any; all else stays until the time
            is over (the file's 'drain', 30s by default). Then the instance gets nothing until 'undrain'. Ends when the
            engines decide by it.

            EXAMPLE
              sudo tapline drain failover fw-a --for 10s
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    @Option(name: .customLong("for"), help: "How long it keeps what it has.")
    var time: String?

    func validate() throws {
        if let time, DurationText.milliseconds(time) == nil { throw ValidationError("--for: \(DurationText.mend).") }
    }

    func run() throws {
        try word.perform(.drain(milliseconds: time.flatMap { DurationText.milliseconds($0) }))
    }
}
