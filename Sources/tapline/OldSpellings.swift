import Appliance
import ControlAPI
import ArgumentParser

/// `tapline take-out`: the old spelling of `disable`. `--help` does not show it.
struct OldDisable: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "take-out", abstract: "The old spelling of 'disable'.", shouldDisplay: false)

    @OptionGroup var word: InstanceWord

    func run() throws { try word.perform(.disable) }
}

/// `tapline put-back`: the old spelling of `enable`. `--help` does not show it.
struct OldEnable: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put-back", abstract: "The old spelling of 'enable'.", shouldDisplay: false)

    @OptionGroup var word: InstanceWord

    func run() throws { try word.perform(.enable) }
}
