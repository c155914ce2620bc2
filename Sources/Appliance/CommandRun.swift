import Glibc

/// How one run of a command ended.
struct CommandOutcome: Sendable {
    /// nil where it was ended because its time was over, or because of an interruption.
    var end: ProcessEnd?
    /// Standard output and error together, at most the bound.
    var output: [UInt8]
    /// There was more.
    var truncated: Bool

    /// The output as text.
    var text: String { String(decoding: output, as: UTF8.self) }
}

/// Runs one command to its end in the calling thread, and takes what it prints.
enum CommandRun {
    /// The most that is kept of what a command prints, in octets.
    static let outputBound = 1 << 20

    /// Waits for `child`; when its time is over, or `interruption` is raised, ends its whole process group.
    ///
    /// - Parameter output: The reading end of a pipe that it prints into, or nil where that goes elsewhere.
    static func finish(
        _ child: ChildProcess, output: Int32?, timeout: Int, interruption: Interruption
    ) -> CommandOutcome {
        let deadline = monotonicMilliseconds() + timeout
        var outcome = CommandOutcome(end: nil, output: [], truncated: false)
        var open = output != nil
        while true {
            var waiting = [
                pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: interruption.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            if open, let output { waiting.append(pollfd(fd: output, events: Int16(POLLIN), revents: 0)) }
            let left = deadline - monotonicMilliseconds()
            if left <= 0 || interruption.isRaised { break }
            guard poll(&waiting, nfds_t(waiting.count), Int32(clamping: left)) >= 0 || errno == EINTR else { break }
            if open, waiting[2].revents != 0, let output { open = take(output, &outcome) }
            // What the command left in the background may hold the pipe open: its own end counts.
            if waiting[0].revents != 0, let end = child.poll() {
                outcome.end = end
                if let output { while open && pollOne(output, POLLIN, milliseconds: 0) { open = take(output, &outcome) } }
                return outcome
            }
        }
        child.signal(SIGKILL)
        _ = child.wait(milliseconds: 2000)
        return outcome
    }

    /// False at the end of the pipe.
    private static func take(_ descriptor: Int32, _ outcome: inout CommandOutcome) -> Bool {
        guard let bytes = readOnce(descriptor), !bytes.isEmpty else { return false }
        let room = outputBound - outcome.output.count
        if bytes.count > room { outcome.truncated = true }
        outcome.output += bytes.prefix(max(0, room))
        return true
    }
}
