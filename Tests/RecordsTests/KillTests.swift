import Foundation
import Seeds
import Testing

/// SIGKILL at random moments under load, as many rounds as fit into a minute, and at each step of an instruction in turn.
/// `kill-rounds.py` says what has to hold, and does more rounds by hand.
@Suite(.serialized) struct KillTests {
    @Test func whatWasAnsweredHoldsAfterKillsAtRandomMoments() throws {
        try rounds("--rounds", "10", "--seconds", "60")
    }

    @Test func everyStepOfAnInstructionMayBeTheLast() throws { try rounds("--steps") }

    private func rounds(_ words: String...) throws {
        let seed = Seed.drawn(in: 1...UInt64(UInt32.max))
        let rounds = Process()
        let output = Pipe()
        rounds.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        rounds.arguments =
            [
                "python3", JudgeTests.here.path + "/kill-rounds.py", RecordsLab.programs.path + "/tapline", "--seed",
                "\(seed)",
            ] + words
        rounds.standardOutput = output
        rounds.standardError = output
        try rounds.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        rounds.waitUntilExit()
        #expect(rounds.terminationStatus == 0 && text.contains("\nheld: "), "\(text)")
    }
}
