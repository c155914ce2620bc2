import Appliance
import ArgumentParser
import FoundationEssentials
import Reporting

/// `tapline generate-manual`: writes the manual pages that `Scripts/install` installs, from the commands' own help.
struct Manual: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate-manual", abstract: "Write the manual pages into a folder.", shouldDisplay: false)

    @Argument(help: "The folder; it must be there.", completion: .directory)
    var folder: String

    func run() throws {
        let help = try JSONDecoder().decode(CommandHelp.Dump.self, from: Data(Tapline._dumpHelp().utf8)).command
        let commands = (help.subcommands ?? []).filter { $0.shouldDisplay != false && $0.commandName != "help" }
        try reporting { () throws(ApplianceError) in
            try write(ManualPage.overview(help, commands), "tapline.1")
            for command in commands {
                try write(ManualPage.command(command), "tapline-\(command.commandName).1")
            }
        }
    }

    private func write(_ text: String, _ name: String) throws(ApplianceError) {
        try ReportFile(path: "\(folder)/\(name)").write(text)
    }
}

/// A command's help as the argument parser gives it to programs. Only the parts that manual pages show.
struct CommandHelp: Decodable {
    struct Dump: Decodable {
        var command: CommandHelp
    }
    struct Argument: Decodable {
        struct Name: Decodable {
            var kind: String
            var name: String
        }
        var kind: String
        var abstract: String?
        var shouldDisplay: Bool
        var isOptional: Bool
        var isRepeating: Bool
        var parsingStrategy: String
        var valueName: String?
        var names: [Name]?
        var preferredName: Name?
    }
    var commandName: String
    var abstract: String?
    var discussion: String?
    var shouldDisplay: Bool?
    var arguments: [Argument]?
    var subcommands: [CommandHelp]?
}
