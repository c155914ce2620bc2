import Appliance
import ArgumentParser
import ControlAPI

/// `tapline take-out`.
struct TakeOut: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give an instance nothing, at once, until 'put-back'.",
        discussion: """
            It runs on, and its health is looked at; its flows go to the others. Ends when the engines decide by it.

            EXAMPLE
              sudo tapline take-out failover fw-a
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    func run() throws { try word.perform(.takeOut) }
}
