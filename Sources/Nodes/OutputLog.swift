import EventLoop
import Glibc
import Reporting

/// A node's `output.log`: what its setup and run commands write, never larger than a bound.
///
/// On the loop's thread. The commands write into a pipe. A command that prints without end waits for the loop to read.
/// So it cannot fill the disk or the memory. At the bound the file starts over with a line that says so.
final class OutputLog {
    /// In octets.
    static let bound = 16 << 20

    private let loop: EventLoop
    private let file: Int32
    private let readEnd: Int32
    /// Given to the node's commands as their output.
    let writeEnd: Int32
    private let path: String
    private var size = 0
    /// Where what the program has written since its last start begins.
    private var place: LogPlace

    init(loop: EventLoop, path: String) throws(ApplianceError) {
        self.loop = loop
        self.path = path
        place = LogPlace(path: path, offset: 0, start: 0)
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard file >= 0 else { throw .storage("cannot write \(path)", errno: errno) }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            let code = errno
            Glibc.close(file)
            throw .system("cannot make a pipe", errno: code)
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (readEnd, writeEnd) = (ends[0], ends[1])
        _ = fcntl(readEnd, F_SETFL, O_NONBLOCK)
        size = Int(max(0, lseek(file, 0, SEEK_END)))
        loop.watch(readEnd) { [unowned self] _ in take() }
    }

    /// The program is about to be started: what it writes from now on is of this start.
    func begin() {
        loop.preconditionCurrent()
        drain()
        place.offset = size
        place.start += 1
    }

    /// Where what has been written since the last start is, all of it.
    var written: LogPlace {
        loop.preconditionCurrent()
        drain()
        return place
    }

    func close() {
        loop.preconditionCurrent()
        drain()
        loop.unwatch(readEnd)
        for descriptor in [file, readEnd, writeEnd] { Glibc.close(descriptor) }
    }

    /// Writes a line of Tapline's own.
    func note(_ text: String) {
        loop.preconditionCurrent()
        drain()
        append(Array("tapline: \(text)\n".utf8))
    }

    /// The last lines of what has been written so far.
    func tail(lines: Int) -> [String] {
        loop.preconditionCurrent()
        drain()
        return lastLines(path, lines)
    }

    /// Takes what the commands have written until now.
    private func drain() {
        var reads = 64
        while reads > 0, take() { reads -= 1 }
    }

    @discardableResult
    private func take() -> Bool {
        guard let bytes = readOnce(readEnd), !bytes.isEmpty else { return false }
        append(bytes)
        return true
    }

    private func append(_ bytes: [UInt8]) {
        if size + bytes.count > Self.bound {
            ftruncate(file, 0)
            let notice = Array("tapline: the log had reached \(Self.bound >> 20) MiB and was started over\n".utf8)
            writeAll(file, notice)
            size = notice.count
            place.offset = 0
        }
        if writeAll(file, bytes) { size += bytes.count }
    }
}
