import CLinux
import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// Runs the machine's nft in a network namespace. Programs and files of the node have no part in it.
package enum Nft {
    /// How long it may take.
    private static let patience = Duration.seconds(30)

    /// What nft prints.
    ///
    /// - Parameters:
    ///   - arguments: Behind its own name.
    ///   - script: What it reads from its standard input, where it is named `-`.
    /// - Throws: `ApplianceError` with what nft says if it refuses, or if it is not installed.
    package static func run(
        _ arguments: [String], script: String = "", in namespace: NetworkNamespace, _ cancellation: Cancellation
    ) throws(ApplianceError) -> String {
        guard let program = path else {
            throw ApplianceError(.machine, "nft is not installed", hint: "install nftables")
        }
        let input = clinux_memfd("nft", 0)
        guard input >= 0 else { throw .system("cannot keep the rules for nft", errno: -input) }
        defer { close(input) }
        guard writeAll(input, Array(script.utf8)), lseek(input, 0, SEEK_SET) == 0 else {
            throw .system("cannot keep the rules for nft", errno: errno)
        }
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        defer { close(ends[0]) }
        let child: Pidfd
        do throws(SystemError) {
            defer { close(ends[1]) }
            child = try ProcessLauncher.spawn(
                Command(
                    program, arguments: ["nft"] + arguments, environment: ["LC_ALL=C"], workingDirectory: "/",
                    descriptors: [0: input, 1: ends[1], 2: ends[1]], diesWithParent: true), network: namespace)
        } catch {
            throw ApplianceError(.failed, "nft cannot be started: \(error)")
        }
        let outcome = CommandRun.finish(
            child, output: ends[0], timeout: patience, cancellation: cancellation,
            bounds: CommandBounds(output: 16 << 20))
        if outcome.end == .exited(0) { return outcome.text }
        try cancellation.check()
        let lines = outcome.text.split(whereSeparator: \.isNewline).prefix(6).map {
            HarmlessText.reading(Array($0.utf8), most: 300)
        }
        throw ApplianceError(
            .failed, "nft \(outcome.end?.summary ?? "did not end in time")" + (lines.first.map { ": \($0)" } ?? ""),
            details: Array(lines.dropFirst()))
    }

    private static var path: String? {
        ProcessPlan.path.split(separator: ":").map { "\($0)/nft" }.first { access($0, X_OK) == 0 }
    }
}
