import Appliance
import ArgumentParser
import ControlAPI

/// `tapline disable`.
struct Disable: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send an instance no packets, from now on until 'enable'.",
        discussion: """
            The instance keeps running, and its health is still checked. Its flows go to the other instances. The command ends when
            the engines decide by the change.

            EXAMPLE
              sudo tapline disable failover fw-a
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    func run() throws { try word.perform(.disable) }
}
