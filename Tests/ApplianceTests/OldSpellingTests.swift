import Testing

@Suite("Old spellings of commands") struct OldSpellingTests {
    @Test("take-out and put-back do what disable and enable do, and --help does not show them")
    func hidden() throws {
        let help = try CommandLineRun.run("--help").output
        for (old, new) in [("take-out", "disable"), ("put-back", "enable")] {
            #expect(help.contains("\n  \(new) ") && !help.contains(old), "\(help)")
            let earlier = try CommandLineRun.run(old, "no-such-topology", "web-1")
            let now = try CommandLineRun.run(new, "no-such-topology", "web-1")
            #expect(now.status == 5 && earlier.status == now.status && earlier.errors == now.errors, "\(earlier)")
        }
    }
}
