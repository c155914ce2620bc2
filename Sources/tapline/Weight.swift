import Appliance
import ArgumentParser
import ControlAPI

/// `tapline weight`.
struct Weight: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Change an instance's share of the flows.",
        discussion: """
            0 means no share, unless all other instances have 0 as well. Without a number, the file's weight applies again. The
            command ends when the engines decide by the change.

            EXAMPLE
              sudo tapline weight balance web-1 3
            """.paragraphs)

    @OptionGroup var word: InstanceWord

    @Argument(help: "The weight: 0 to 1000.")
    var weight: Int?

    func validate() throws {
        if let weight, !RequestRange.weight.contains(weight) {
            throw ValidationError("A weight is \(RequestRange.weight.lowerBound) to \(RequestRange.weight.upperBound).")
        }
    }

    func run() throws { try word.perform(.setWeight(weight)) }
}
