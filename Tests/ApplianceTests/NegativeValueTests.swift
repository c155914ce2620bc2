import Testing

/// A value below zero reaches the command, which says what it takes.
@Suite struct NegativeValueTests {
    @Test(arguments: [
        ("test f.yaml --retries -1", "--retries is 0 to 9"), ("test f.yaml --jobs -1", "--jobs is at least 1"),
        ("test f.yaml -j -1", "--jobs is at least 1"), ("events x --count -5", "--count is 0 to"),
        ("events x --since -5m", "--since: write a duration"), ("top x --interval -1s", "--interval: write a duration"),
        ("apply x --drain -.5s --dry-run", "--drain: write a duration"),
        ("record x --for -5s", "--for: write a duration"), ("weight x y -5", "A weight is 0 to 1000"),
        ("capture x --count -1", "The value '-1' is invalid for '--count <count>'"),
        ("balance --seed -1", "The value '-1' is invalid for '--seed <seed>'"),
        ("impair --delay -5ms x", "Name the link"), ("capture x --snaplen -1", "--snaplen is"),
        ("test f.yaml --retries", "Missing value for '--retries <retries>'"),
        ("test f.yaml --retries --json", "Missing value for '--retries <retries>'"),
    ])
    func isToldWithWhatIsRight(_ words: String, _ message: String) throws {
        let run = try CommandLineRun.Started(
            [CommandLineRun.tapline] + words.split(separator: " ").map(String.init)
        ).finish()
        #expect(run.status == 64 && run.errors.contains(message), "\(run.errors)")
    }
}
