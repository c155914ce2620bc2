import Foundation

/// The fenced blocks of a page of the documentation.
///
/// - A block below a line that is a file's name alone, in bold code, is that file.
/// - A `console` block has commands, each after `$`, and below each the lines of its output that the page shows.
/// - An `sh` block has commands that need the world outside: they install, or open a window.
/// - A `text` block is a figure.
struct DocumentationPage {
    struct ReadError: Error, CustomStringConvertible {
        var description: String
    }

    struct Command: Equatable {
        var line: Int
        var text: String
        /// Lines that must occur, in this order; `…` stands for any text within a line.
        var output: [String] = []
        var status: Int32 = 0
    }

    enum Block: Equatable {
        case file(path: String, text: String)
        case console([Command])
        case outside(String)
        case figure
    }

    let name: String
    let blocks: [Block]

    /// - Throws: A ``ReadError`` that names the line of a block that is none of the kinds above, or does not end.
    init(name: String, text: String) throws {
        self.name = name
        var blocks: [Block] = []
        var title = ""
        var open: (language: String, title: String, line: Int, body: [String])?
        for (index, line) in text.components(separatedBy: "\n").enumerated() {
            if line.hasPrefix("```") {
                if let block = open {
                    blocks.append(try Self.block(block.language, block.title, block.body, at: block.line, of: name))
                    (open, title) = (nil, "")
                } else {
                    open = (String(line.dropFirst(3)), title, index + 1, [])
                }
            } else if open != nil {
                open?.body.append(line)
            } else if !line.isEmpty {
                title = line
            }
        }
        if let open { throw ReadError(description: "\(name):\(open.line): the block does not end") }
        self.blocks = blocks
    }

    private static func block(
        _ language: String, _ title: String, _ body: [String], at line: Int, of name: String
    ) throws -> Block {
        let text = body.joined(separator: "\n") + "\n"
        if let path = title.wholeMatch(of: /\*\*`([^`]+)`\*\*/)?.1 {
            guard !path.hasPrefix("/"), !path.contains("..") else {
                throw ReadError(description: "\(name):\(line): the file \(path) is not in the page's folder")
            }
            return .file(path: String(path), text: text)
        }
        switch language {
        case "console": return .console(try commands(body, after: line, of: name))
        case "sh": return .outside(text)
        case "text": return .figure
        default:
            throw ReadError(description: "\(name):\(line): nothing tests a '\(language)' block without a file's name")
        }
    }

    private static func commands(_ body: [String], after line: Int, of name: String) throws -> [Command] {
        var commands: [Command] = []
        for (index, row) in body.enumerated() {
            if row.hasPrefix("$ ") {
                commands.append(Command(line: line + index + 1, text: String(row.dropFirst(2))))
                continue
            }
            guard !commands.isEmpty else {
                throw ReadError(description: "\(name):\(line + index + 1): output without a command above it")
            }
            if let status = row.wholeMatch(of: /\(exit status ([0-9]+)\)/)?.1 {
                commands[commands.count - 1].status = Int32(status) ?? -1
            } else if !row.isEmpty {
                commands[commands.count - 1].output.append(row)
            }
        }
        guard !commands.isEmpty else {
            throw ReadError(description: "\(name):\(line): a console block without a command")
        }
        return commands
    }

    /// The names of the topologies in the page's files.
    var topologies: [String] {
        blocks.compactMap { block in
            guard case .file(let path, let text) = block, path.hasSuffix(".yaml"), text.contains("\ninterfaces:") else {
                return nil
            }
            return text.firstMatch(of: /(?m)^name: (\S+)$/).map { String($0.1) }
        }
    }

    /// The first line of the page that an output does not have, after those before it.
    static func missing(_ expected: [String], in output: String) -> String? {
        var rest = output.components(separatedBy: "\n").map(plain)[...]
        for line in expected {
            let parts = plain(line).components(separatedBy: "…")
            guard let found = rest.firstIndex(where: { matches($0, parts) }) else { return line }
            rest = rest[(found + 1)...]
        }
        return nil
    }

    /// A line as it is where standard output is no terminal, with single blanks.
    private static func plain(_ line: String) -> String {
        line.replacingOccurrences(of: "✓", with: "ok").replacingOccurrences(of: "✗", with: "FAILED")
            .split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ")
    }

    /// Whether a line is these parts, in order, with any text between them.
    private static func matches(_ line: String, _ parts: [String]) -> Bool {
        guard parts.count > 1 else { return line == parts[0] }
        guard line.hasPrefix(parts[0]) else { return false }
        var rest = line.dropFirst(parts[0].count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.range(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return rest.hasSuffix(parts[parts.count - 1])
    }
}
