import Appliance
import Fabric

/// Manual pages in the macros of man(7).
struct ManualPage {
    private var lines: [String] = []

    private init(_ name: String, _ abstract: String) {
        let title = Self.escaped(name.uppercased())
        lines.append(".TH \(title) 1 \(Machine.releaseDay) \"Tapline \(Machine.version)\" \"Tapline\"")
        section("NAME")
        // Up to the full stop, because whatis(1) shows one phrase.
        let phrase = abstract.hasSuffix(".") ? String(abstract.dropLast()) : abstract
        lines.append("\(Self.escaped(name)) \\- \(Self.escaped(phrase.prefix(1).lowercased() + phrase.dropFirst()))")
    }

    /// `tapline(1)`: all commands, and what they have in common.
    static func overview(_ help: CommandHelp, _ commands: [CommandHelp]) -> String {
        var page = ManualPage(help.commandName, help.abstract ?? "")
        page.section("SYNOPSIS")
        page.lines += [".B tapline", ".I command", "[\\fIoption\\fR ...] [\\fIargument\\fR ...]"]
        let parts = Part.all(of: help.discussion ?? "")
        page.body(parts.first { $0.title == nil }, as: "DESCRIPTION")
        page.section("COMMANDS")
        for command in commands {
            page.item("\\fBtapline\\-\(escaped(command.commandName))\\fR(1)", command.abstract ?? "")
        }
        for part in parts where part.title != nil && part.title != "EXAMPLE" { page.body(part, as: part.title ?? "") }
        page.section("ENVIRONMENT")
        page.item("\\fBNO_COLOR\\fR", "If it is set, no output is coloured.")
        page.item("\\fBTERM\\fR", "If it is dumb, nothing is coloured and no line is overwritten.")
        page.item("\\fBTAPLINE_ENGINE\\fR", "The packeting engine to use instead of the one beside tapline.")
        page.item(
            "\\fBPATH\\fR, \\fBHOME\\fR, \\fBLANG\\fR", "The commands of a topology file get them.")
        page.item(
            "\\fBTAPLINE_TOPOLOGY\\fR, \\fBTAPLINE_NODE\\fR, \\fBTAPLINE_DIR\\fR",
            "A node's commands get them: the topology's name, the node's name, and the node's own folder.")
        page.section("FILES")
        page.item("\\fI/run/tapline/NAME\\fR", "The state of a topology that is up, its log, and its nodes' folders.")
        page.item("\\fI/run/netns/NAME\\-NODE\\fR", "The network namespace of a node, as ip\\-netns(8) shows it.")
        page.item("\\fI/dev/net/tun\\fR", "The device that interfaces are made with.")
        page.body(parts.first { $0.title == "EXAMPLE" }, as: "EXAMPLES")
        page.section("SEE ALSO")
        let others = commands.map { "\\fBtapline\\-\(escaped($0.commandName))\\fR(1)" } + ["\\fBip\\-netns\\fR(8)"]
        page.lines.append(others.joined(separator: ",\n"))
        return page.lines.joined(separator: "\n") + "\n"
    }

    /// One command's own page.
    static func command(_ help: CommandHelp) -> String {
        var page = ManualPage("tapline-\(help.commandName)", help.abstract ?? "")
        let arguments = (help.arguments ?? []).filter(\.shouldDisplay)
        page.section("SYNOPSIS")
        page.lines.append(".B tapline \(escaped(help.commandName))")
        page.lines += arguments.filter { !["help", "version"].contains($0.preferredName?.name) }.map(synopsis)
        let parts = Part.all(of: help.discussion ?? "")
        page.section("DESCRIPTION")
        page.paragraph(help.abstract ?? "")
        if let first = parts.first(where: { $0.title == nil }) {
            page.lines.append(".PP")
            page.text(first.lines)
        }
        page.section("OPTIONS")
        for argument in arguments { page.item(term(argument), argument.abstract ?? "") }
        for part in parts where part.title != nil && part.title != "EXAMPLE" { page.body(part, as: part.title ?? "") }
        if !parts.contains(where: { $0.title == "EXIT STATUS" }) {
            page.section("EXIT STATUS")
            page.paragraph("The same for all commands: see tapline(1).")
        }
        page.body(parts.first { $0.title == "EXAMPLE" }, as: "EXAMPLES")
        page.section("SEE ALSO")
        page.lines.append("\\fBtapline\\fR(1)")
        return page.lines.joined(separator: "\n") + "\n"
    }

    // MARK: - Arguments

    private static func synopsis(_ argument: CommandHelp.Argument) -> String {
        var text = "\\fI\(escaped(argument.valueName ?? "value"))\\fR"
        if argument.kind != "positional", let name = argument.preferredName {
            text = "\\fB\(dashed(name))\\fR" + (argument.kind == "option" ? " " + text : "")
        } else if argument.parsingStrategy == "postTerminator" {
            text = "\\-\\- " + text
        }
        if argument.isRepeating { text += " ..." }
        let isRequired = !argument.isOptional || argument.parsingStrategy == "postTerminator"
        return isRequired && argument.kind == "positional" ? text : "[\(text)]"
    }

    private static func term(_ argument: CommandHelp.Argument) -> String {
        let value = "\\fI\(escaped(argument.valueName ?? "value"))\\fR"
        guard argument.kind != "positional", let names = argument.names else { return value }
        let shown = names.map { "\\fB\(dashed($0))\\fR" }.joined(separator: ", ")
        return argument.kind == "option" ? "\(shown) \(value)" : shown
    }

    private static func dashed(_ name: CommandHelp.Argument.Name) -> String {
        escaped((name.kind == "long" ? "--" : "-") + name.name)
    }

    // MARK: - Text

    /// The text below one heading of a command's help.
    private struct Part {
        /// The heading. nil for the text before the first one.
        var title: String?
        var lines: [String] = []

        static func all(of discussion: String) -> [Part] {
            var parts = [Part()]
            for line in discussion.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
                let isTitle = line.count > 3 && line.allSatisfy { $0.isUppercase || $0 == " " } && line.first != " "
                if isTitle { parts.append(Part(title: line)) } else { parts[parts.count - 1].lines.append(line) }
            }
            return parts.filter { part in part.lines.contains { !$0.isEmpty } }
        }
    }

    private mutating func section(_ title: String) {
        lines.append(".SH \(title)")
    }

    private mutating func body(_ part: Part?, as title: String) {
        guard let part else { return }
        section(title)
        text(part.lines)
    }

    private mutating func paragraph(_ text: String) {
        lines.append(Self.escaped(text))
    }

    private mutating func item(_ term: String, _ text: String) {
        lines += [".TP", term, Self.escaped(text)]
    }

    /// Paragraphs. Indented lines with a wide gap are a list of terms, all others an example.
    private mutating func text(_ text: [String]) {
        var index = 0
        while index < text.count {
            if text[index].isEmpty {
                index += 1
                continue
            }
            let isIndented = text[index].hasPrefix("  ")
            let end = text[index...].firstIndex { $0.isEmpty || $0.hasPrefix("  ") != isIndented } ?? text.count
            let block = text[index..<end].map { String($0.drop { $0 == " " }) }
            index = end
            guard isIndented else {
                breakParagraph()
                lines += block.map(Self.escaped)
                continue
            }
            let rows = block.map(Self.row)
            if rows.contains(where: { $0 != nil }) {
                for (row, line) in zip(rows, block) {
                    if let row {
                        item("\\fB\(Self.escaped(row.term))\\fR", row.text)
                    } else {
                        breakParagraph()
                        paragraph(line)
                    }
                }
            } else {
                breakParagraph()
                lines += [".EX"] + block.map(Self.escaped) + [".EE"]
            }
        }
    }

    private mutating func breakParagraph() {
        if let last = lines.last, !last.hasPrefix(".SH"), last != ".PP" { lines.append(".PP") }
    }

    /// `0   done` as a term and what it means.
    private static func row(_ line: String) -> (term: String, text: String)? {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        guard words.count == 2, Int(words[0]) != nil else { return nil }
        return (words[0], String(words[1].drop { $0 == " " }))
    }

    /// Text with all characters escaped that mean something to roff.
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "\\": escaped += "\\e"
            case "-": escaped += "\\-"
            default: escaped.append(character)
            }
        }
        return escaped.first == "." || escaped.first == "'" ? "\\&" + escaped : escaped
    }
}
