import CLinux
import EventLoop
import Glibc
import Metrics
import Reporting
import Synchronization
import Wire

/// `tapline top` on a terminal: draws rates, takes keys, and gives the terminal back however it ends.
final class TopSession {
    private let watch: RateWatch
    private var view: TopView
    private let interval: Duration
    private let count: Int?
    private let terminal = RawTerminal()
    private var report: RateReport?
    /// How many reports were shown.
    private var shown = 0

    /// What a look at the topology brought.
    private typealias Look = Result<RateReport?, ApplianceError>
    private let look = Mutex<Look?>(nil)
    /// Readable when a look has ended.
    private var lookEnded: Int32 = -1

    /// - Parameters:
    ///   - interval: The time between two looks.
    ///   - count: How many intervals; nil: no end.
    init(watch: RateWatch, view: TopView, interval: Duration, count: Int?) {
        self.watch = watch
        self.view = view
        self.interval = interval
        self.count = count
    }

    /// Draws until the user, a signal or the topology ends it. A signal ends the process as it does by itself.
    ///
    /// - Throws: `ApplianceError` if there is no such topology, or if it goes away.
    func run() throws(ApplianceError) {
        // What is wrong from the start is said before the screen is taken.
        _ = try watch.next()
        let ended = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard ended >= 0 else { throw .system("cannot watch '\(view.name)'", errno: errno) }
        defer { close(ended) }
        lookEnded = ended
        let signals = try SignalDescriptor([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH])
        terminal.take()
        let outcome: Result<Int32?, ApplianceError>
        do throws(ApplianceError) { outcome = .success(try turns(signals)) } catch { outcome = .failure(error) }
        terminal.restore()
        if let number = try outcome.get() { die(of: number) }
    }

    /// - Returns: The signal that ended it; nil: the user or the count did.
    private func turns(_ signals: SignalDescriptor) throws(ApplianceError) -> Int32? {
        var next = monotonicTime() + interval
        var isLooking = false
        draw()
        while true {
            let now = monotonicTime()
            if !isLooking, now >= next {
                next = now + interval
                isLooking = true
                try begin()
            }
            var waiting = [0, signals.descriptor, lookEnded].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let patience = isLooking ? -1 : (next - now).waitMilliseconds
            guard poll(&waiting, nfds_t(waiting.count), patience) >= 0 || errno == EINTR else {
                throw .system("cannot wait for keys", errno: errno)
            }
            if waiting[1].revents != 0, let number = heed(signals) { return number }
            if waiting[2].revents != 0 {
                isLooking = false
                if try take() { return nil }
            }
            if waiting[0].revents != 0 {
                // A terminal that is gone ends it as SIGHUP does.
                guard let bytes = readOnce(0, limit: 256), !bytes.isEmpty else { return SIGHUP }
                for key in Key.all(in: bytes) where !view.take(key) { return nil }
                draw()
            }
        }
    }

    /// Looks at the topology beside this thread, so that keys and signals need not wait for it.
    private func begin() throws(ApplianceError) {
        let work = Box(self)
        try startThread {
            let session = work.value
            let result: Look
            do throws(ApplianceError) { result = .success(try session.watch.next()) } catch { result = .failure(error) }
            session.look.withLock { $0 = result }
            var one: UInt64 = 1
            _ = Glibc.write(session.lookEnded, &one, 8)
        }
    }

    /// Takes what a look brought.
    ///
    /// - Returns: True if it was the last.
    private func take() throws(ApplianceError) -> Bool {
        _ = readOnce(lookEnded, limit: 8)
        guard let result = look.withLock({ $0.take() }), let fresh = try result.get() else { return false }
        report = fresh
        shown += 1
        draw()
        return count.map { shown >= $0 } ?? false
    }

    private func draw() {
        let size = terminal.size
        let lines = view.lines(
            report, columns: size.columns, lines: size.lines, isPlain: !Terminal.hasColour(1))
        terminal.draw(lines)
    }

    // MARK: - Signals

    /// Takes the signals that have come.
    ///
    /// - Returns: The first of them that ends the process.
    private func heed(_ signals: SignalDescriptor) -> Int32? {
        while true {
            // A signalfd_siginfo has 128 octets, and begins with the number (signalfd(2)).
            guard let bytes = readOnce(signals.descriptor, limit: 128), bytes.count == 128 else { return nil }
            let number = Int32(bitPattern: bytes.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
            switch number {
            case SIGWINCH: draw()
            case SIGTSTP:
                terminal.restore()
                kill(getpid(), SIGSTOP)
                terminal.take()
                draw()
            default: return number
            }
        }
    }

    /// Ends the process by a signal, so that whoever started it sees that.
    private func die(of number: Int32) -> Never {
        signal(number, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        kill(getpid(), number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        exit(128 + number)
    }
}
