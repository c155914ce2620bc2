import Glibc

/// The terminal of this process while a program draws the whole of it: another screen, no cursor, keys without Enter.
///
/// `restore` gives the terminal back as it was, as often as it is called.
final class RawTerminal {
    /// True if standard input and output are a terminal that can be drawn on.
    static var isUsable: Bool {
        guard isatty(0) == 1, isatty(1) == 1, let kind = getenv("TERM").map({ String(cString: $0) }) else {
            return false
        }
        return !kind.isEmpty && kind != "dumb"
    }

    private var before = termios()
    private var isTaken = false

    /// The size in columns and lines; 80 by 24 where the terminal does not tell.
    var size: (columns: Int, lines: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Takes the terminal.
    func take() {
        guard !isTaken, tcgetattr(0, &before) == 0 else { return }
        var raw = before
        // Ctrl-C and Ctrl-Z still send their signals.
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(0, TCSADRAIN, &raw)
        isTaken = true
        Terminal.write("\u{1B}[?1049h\u{1B}[?25l\u{1B}[H\u{1B}[2J", 1)
    }

    /// Gives it back.
    func restore() {
        guard isTaken else { return }
        isTaken = false
        Terminal.write("\u{1B}[0m\u{1B}[?25h\u{1B}[?1049l", 1)
        // Keys that were pressed and not read are not typed into the shell.
        tcsetattr(0, TCSAFLUSH, &before)
    }

    /// Draws lines from the top. Each must fit; the rest of the screen is cleared.
    func draw(_ lines: [String]) {
        let text = lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n")
        Terminal.write("\u{1B}[H" + text + "\u{1B}[J", 1)
    }
}

/// A key that was pressed.
enum Key: Equatable {
    case character(Character)
    case up, down, pageUp, pageDown, tab, enter, escape, backspace

    /// The keys of octets that came from a terminal. Sequences that are not known are left out.
    static func all(in bytes: [UInt8]) -> [Key] {
        var keys: [Key] = []
        var text = Substring(String(decoding: bytes, as: UTF8.self))
        while let first = text.first {
            if first == "\u{1B}" {
                keys += sequence(&text)
                continue
            }
            text.removeFirst()
            switch first {
            case "\t": keys.append(.tab)
            case "\r", "\n", "\r\n": keys.append(.enter)
            case "\u{7F}", "\u{8}": keys.append(.backspace)
            default:
                if first.unicodeScalars.allSatisfy({ $0.value >= 0x20 }) { keys.append(.character(first)) }
            }
        }
        return keys
    }

    /// Takes one escape sequence (ECMA-48, 5.4; and SS3 of the application mode of cursor keys).
    private static func sequence(_ text: inout Substring) -> [Key] {
        text.removeFirst()
        guard let second = text.first, second == "[" || second == "O" else { return [.escape] }
        text.removeFirst()
        let parameters = text.prefix { "0123456789;".contains($0) }
        text = text.dropFirst(parameters.count)
        let final = text.popFirst()
        switch (parameters, final) {
        case ("", "A"): return [.up]
        case ("", "B"): return [.down]
        case ("5", "~"): return [.pageUp]
        case ("6", "~"): return [.pageDown]
        default: return []
        }
    }
}
