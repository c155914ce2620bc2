import Appliance
import ArgumentParser
import ControlAPI

/// `tapline put-back`.
struct PutBack: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give an instance its share again after 'take-out'.",
        discussion: """
            An instance that is not healthy gets its share when it is healthy again.

            EXAMPLE
              sudo tapline put-back failover fw-a
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    func run() throws { try word.perform(.putBack) }
}
