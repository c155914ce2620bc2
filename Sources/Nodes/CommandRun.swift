import ControlAPI
import EventLoop
import Glibc
import LinuxNetwork
import Reporting
import Wire

/// How one run of a command ended.
package struct CommandOutcome: Sendable {
    /// nil if it was ended because its time was over, or because of a cancellation.
    package var end: ProcessExit?
    /// Standard output and error together, at most the bound.
    package var output: [UInt8] = []
    /// There was more.
    package var truncated = false
    /// Why it was ended, if the reason was not its time or a cancellation.
    package var endedFor: String?

    /// Memberwise.
    package init(end: ProcessExit? = nil, output: [UInt8] = [], truncated: Bool = false, endedFor: String? = nil) {
        self.end = end
        self.output = output
        self.truncated = truncated
        self.endedFor = endedFor
    }

    /// The output as text.
    package var text: String { String(decoding: output, as: UTF8.self) }
}

/// The limits of a command; beyond them it is ended.
package struct CommandBounds: Sendable {
    /// The most that is kept of what it prints, in octets.
    package var output = 1 << 20
    /// True if it is ended when it prints more.
    var endsBeyondOutput = false
    /// True if the command is paused when it prints more. Further output is discarded at some megabytes in a tenth of a
    /// second, so it costs no processor.
    var pausesBeyondOutput = false
    /// Its resource limits, which all that it starts inherits.
    package var limits: [Int32: UInt64] = [:]
    /// Asked from time to time: a reason to end it now.
    package var watch: @Sendable () -> String? = { nil }
    /// Takes the witness of the started command; nil if there is none. Without this closure the command has no witness.
    var witnessed: (@Sendable (Witness?) -> Void)?
    /// Ends what it has started and what left its process group, too.
    package var sweep: @Sendable () -> Void = {}

    /// Memberwise.
    package init(
        output: Int = 1 << 20, endsBeyondOutput: Bool = false, pausesBeyondOutput: Bool = false,
        limits: [Int32: UInt64] = [:], watch: @escaping @Sendable () -> String? = { nil },
        witnessed: (@Sendable (Witness?) -> Void)? = nil, sweep: @escaping @Sendable () -> Void = {}
    ) {
        self.output = output
        self.endsBeyondOutput = endsBeyondOutput
        self.pausesBeyondOutput = pausesBeyondOutput
        self.limits = limits
        self.watch = watch
        self.witnessed = witnessed
        self.sweep = sweep
    }
}

/// Runs one command to its end in the calling thread, and takes what it prints.
package enum CommandRun {
    /// The time between two questions to the watch.
    private static let watchPause = Duration.milliseconds(100)

    /// Runs a shell command in a node, and keeps its output.
    ///
    /// - Parameter timeout: The longest time that it may take.
    /// - Throws: `ApplianceError` if the command cannot be started.
    package static func captured(
        _ command: String, in entrance: NodeEntrance, node: Pidfd, timeout: Duration, cancellation: Cancellation,
        bounds: CommandBounds = CommandBounds()
    ) throws(ApplianceError) -> CommandOutcome {
        try captured(
            node: node, timeout: timeout, cancellation: cancellation, bounds: bounds
        ) { entrance.command(command, output: $0) }
    }

    /// Runs a program, and keeps its output.
    ///
    /// - Parameters:
    ///   - node: The init of the node that it runs in; nil: it runs on the machine.
    ///   - command: The program, which prints into the descriptor given.
    package static func captured(
        node: Pidfd?, timeout: Duration, cancellation: Cancellation, bounds: CommandBounds = CommandBounds(),
        _ command: (Int32) -> Command
    ) throws(ApplianceError) -> CommandOutcome {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        defer { close(ends[0]) }
        let child: Pidfd
        do throws(SystemError) {
            defer { close(ends[1]) }
            var started = command(ends[1])
            started.limits = bounds.limits
            if let witnessed = bounds.witnessed, let node {
                let witness: Witness?
                (child, witness) = try Witness.spawn(started, node: node)
                witnessed(witness)
            } else {
                child = try ProcessLauncher.spawn(started, node: node)
            }
        } catch {
            throw ApplianceError(.failed, "\(error)")
        }
        return finish(child, output: ends[0], timeout: timeout, cancellation: cancellation, bounds: bounds)
    }

    /// Waits for `child`. When its time is over, or `cancellation` is raised, ends its whole process group.
    ///
    /// - Parameters:
    ///   - output: The reading end of a pipe that it prints into, or nil if that goes elsewhere.
    ///   - timeout: The longest time that it may take.
    package static func finish(
        _ child: Pidfd, output: Int32?, timeout: Duration, cancellation: Cancellation,
        bounds: CommandBounds = CommandBounds()
    ) -> CommandOutcome {
        let deadline = monotonicTime() + timeout
        var nextWatch = monotonicTime() + watchPause
        var outcome = CommandOutcome()
        var open = output != nil
        while true {
            var waiting = [
                pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            if open, let output { waiting.append(pollfd(fd: output, events: Int16(POLLIN), revents: 0)) }
            let now = monotonicTime()
            let left = deadline - now
            if left <= .zero || cancellation.isRaised { break }
            if now >= nextWatch {
                nextWatch = now + watchPause
                outcome.endedFor = bounds.watch()
                if outcome.endedFor != nil { break }
            }
            let wait = min(left, nextWatch - now).waitMilliseconds
            guard poll(&waiting, nfds_t(waiting.count), wait) >= 0 || errno == EINTR else { break }
            if open, waiting[2].revents != 0, let output { open = take(output, &outcome, bounds.output) }
            if outcome.truncated, bounds.endsBeyondOutput {
                outcome.endedFor = "its output exceeded \(bounds.output >> 20) MiB"
                break
            }
            if outcome.truncated, bounds.pausesBeyondOutput, waiting.count > 2, waiting[2].revents != 0 { usleep(1000) }
            guard waiting[0].revents != 0, let end = try? child.statusIfEnded() else { continue }
            outcome.end = end
            // Background processes of the command may hold the pipe open. Only the command's own end counts, with its
            // output until then, which is at most what a pipe holds.
            var reads = 17
            while open, reads > 0, let output, pollOne(output, POLLIN, within: .zero) {
                open = take(output, &outcome, bounds.output)
                reads -= 1
            }
            outcome.endedFor = bounds.watch()
            if outcome.endedFor != nil { bounds.sweep() }
            return outcome
        }
        end(child)
        bounds.sweep()
        return outcome
    }

    /// Ends a child's process group and reaps the child.
    package static func end(_ child: Pidfd) {
        try? child.signalGroup(SIGKILL)
        try? child.signal(SIGKILL)
        if child.waitForEnd(within: .seconds(2)) { _ = try? child.statusIfEnded() }
    }

    /// False at the end of the pipe.
    private static func take(_ descriptor: Int32, _ outcome: inout CommandOutcome, _ bound: Int) -> Bool {
        guard let bytes = readOnce(descriptor), !bytes.isEmpty else { return false }
        let room = bound - outcome.output.count
        if bytes.count > room { outcome.truncated = true }
        outcome.output += bytes.prefix(max(0, room))
        return true
    }
}

extension NodeEntrance {
    /// A shell command as the node runs it.
    package func command(_ text: String, output: Int32) -> Command {
        var command = Command(
            "/bin/sh", arguments: ["sh", "-c", text],
            environment: environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" },
            workingDirectory: directory, descriptors: [1: output, 2: output], diesWithParent: true)
        command.memoryScore = MemoryRank.application.score
        command.rights = capabilities.map { ProgramRights(bounding: $0) }
        return command
    }
}
