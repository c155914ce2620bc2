import Appliance
import ArgumentParser
import ControlAPI

/// `tapline undrain`.
struct Undrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give an instance its share again after 'drain'.",
        discussion: """
            An instance that is not healthy gets its share when it is healthy again.

            EXAMPLE
              sudo tapline undrain failover fw-a
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    func run() throws { try word.perform(.undrain) }
}
