import Appliance
import ArgumentParser
import ControlAPI
import Reporting

/// `tapline drain`.
struct Drain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send an instance no new connections, and after a time no packets at all.",
        discussion: """
            New TCP connections go to the instances that take over, if there are any. All other packets stay with the instance
            until the time is over (the file's 'drain', 30s by default). Then it gets no packets until 'undrain'. The command ends
            when the engines decide by the change.

            EXAMPLE
              sudo tapline drain failover fw-a --for 10s
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    @Option(name: .customLong("for"), help: "How long it keeps its connections.")
    var time: String?

    func validate() throws {
        if let time, DurationText.duration(time) == nil { throw ValidationError("--for: \(DurationText.hint).") }
    }

    func run() throws {
        try word.perform(.drain(for: time.flatMap { DurationText.duration($0) }.map(Milliseconds.init)))
    }
}
