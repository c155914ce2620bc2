import Appliance
import ArgumentParser
import ControlAPI

/// `tapline enable`.
struct Enable: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give an instance its share again after 'disable'.",
        discussion: """
            An instance that is not healthy gets its share when it is healthy again.

            EXAMPLE
              sudo tapline enable failover fw-a
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    func run() throws { try word.perform(.enable) }
}
