import Appliance
import ArgumentParser
import ControlAPI

/// `tapline weight`.
struct Weight: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Change an instance's share beside the others'.",
        discussion: """
            0 to 1000; 0 is no share, unless no other instance has one. Without a number, the file's weight holds again.
            Ends when the engines decide by it.

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

    func run() throws { try word.perform(.weigh(weight)) }
}
