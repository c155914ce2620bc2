import Glibc
import Synchronization

/// The signals that end a command which has something to finish: SIGINT, SIGTERM and SIGHUP.
///
/// The first one is noted, and interrupts what waits. A second one ends the process as it does by itself.
enum Ending {
    private static let noted = Atomic<Int32>(0)

    /// From now on notes the signals.
    static func note() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { number in
                Ending.noted.store(number, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
            sigaction(number, &action, nil)
        }
        signal(SIGPIPE, SIG_IGN)
        // A parent may have blocked them for itself.
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
        sigprocmask(SIG_UNBLOCK, &signals, nil)
    }

    /// True if one of them came.
    static var isAskedFor: Bool { noted.load(ordering: .relaxed) != 0 }
}
