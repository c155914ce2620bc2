import Appliance
import ArgumentParser
import ControlAPI

/// `tapline take-out`.
struct TakeOut: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send an instance no packets, from now on until 'put-back'.",
        discussion: """
            The instance keeps running, and its health is still checked. Its flows go to the other instances. The command ends when
            the engines decide by the change.

            EXAMPLE
              sudo tapline take-out failover fw-a
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    func run() throws { try word.perform(.takeOut) }
}
