import Foundation
import Testing

/// A window of tmux: a real terminal that programs draw on, that can be read, typed into and resized.
final class TerminalWindow {
    /// The screen was never as wanted.
    struct NotShown: Error {}

    private let socket: String
    let folder: URL

    /// - Parameter command: What the shell of the window runs. The window stays open after its end.
    init(_ command: String, columns: Int = 80, lines: Int = 24, variables: String = "") throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-tmux-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        socket = folder.appendingPathComponent("socket").path
        let script = """
            ulimit -c 0
            # The shell outlives the signals that the terminal sends to all.
            trap : INT QUIT
            stty -g > before
            \(command)
            echo "ended with $?"
            stty -g > after
            exec sleep 600
            """
        try script.write(to: folder.appendingPathComponent("script"), atomically: true, encoding: .utf8)
        // The server of tmux goes on in the background. It must not keep what Foundation waits for the client by.
        let start = """
            for path in /proc/self/fd/*; do
                if [ "${path##*/}" -gt 2 ]; then eval "exec ${path##*/}>&-"; fi
            done
            cd "$1" && unset TMUX NO_COLOR
            exec tmux -S "$2" -f /dev/null -u new-session -d -x \(columns) -y \(lines) "\(variables) bash script"
            """
        let started = try run("/bin/bash", ["-c", start, "bash", folder.path, socket])
        try #require(started.status == 0, "\(started.output)")
    }

    deinit {
        _ = try? tmux("kill-server")
        try? FileManager.default.removeItem(at: folder)
    }

    @discardableResult
    func tmux(_ words: String...) throws -> String {
        try run("/usr/bin/tmux", ["-S", socket] + words).output
    }

    /// The lines of the screen as they are shown now.
    func lines() throws -> [String] {
        let shown = try tmux("capture-pane", "-p")
        return shown.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// A value of tmux's, such as `alternate_on`.
    func value(_ name: String) throws -> String {
        try tmux("display-message", "-p", "#{\(name)}").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func type(_ keys: String...) throws {
        for key in keys { try tmux("send-keys", key) }
    }

    /// Waits until the screen is as wanted, at most a minute, and returns it.
    ///
    /// - Throws: `NotShown` if it never is; tests read lines of what is returned.
    @discardableResult
    func wait(
        _ what: String, _ holds: ([String]) throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> [String] {
        var shown: [String] = []
        for _ in 0..<1_200 {
            shown = try lines()
            if try holds(shown) { return shown }
            usleep(50_000)
        }
        Issue.record("\(what):\n\(shown.joined(separator: "\n"))", sourceLocation: sourceLocation)
        throw NotShown()
    }

    /// The terminal is as it was before the command: the screen, the cursor, and what stty knows.
    func expectRestored(sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try value("alternate_on") == "0" && value("cursor_flag") == "1", sourceLocation: sourceLocation)
        let settings = try ["before", "after"].map {
            try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8)
        }
        #expect(settings[0] == settings[1] && !settings[0].isEmpty, sourceLocation: sourceLocation)
    }
}
