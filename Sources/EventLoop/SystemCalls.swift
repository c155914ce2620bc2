import Glibc
import Wire

// The few calls that several rooms make, each with EINTR dealt with once.

/// The time now on a clock that never steps back (CLOCK_MONOTONIC).
package func monotonicTime() -> MonotonicTime {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return MonotonicTime(nanoseconds: UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec))
}

/// The same clock, in microseconds.
package func monotonicMicroseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1_000
}

/// Reads what is there, at most `limit` octets; nil with errno set where the call failed, empty at the end.
package func readOnce(_ descriptor: Int32, limit: Int = 65536) -> [UInt8]? {
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
        var got = Glibc.read(descriptor, buffer.baseAddress, limit)
        while got < 0, errno == EINTR { got = Glibc.read(descriptor, buffer.baseAddress, limit) }
        failed = got < 0
        count = max(0, got)
    }
    return failed ? nil : bytes
}

/// Writes all of `bytes`; false with errno set where that failed.
@discardableResult
package func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var offset = 0
    while offset < bytes.count {
        let wrote = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + offset, bytes.count - offset) }
        if wrote < 0 {
            if errno == EINTR { continue }
            if errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                if poll(&waiting, 1, 5000) > 0 { continue }
                errno = ETIMEDOUT
            }
            return false
        }
        offset += wrote
    }
    return true
}

/// The whole of a small file, or of its first `limit` octets; nil with errno set where it cannot be read.
package func readFile(_ path: String, limit: Int = 16 << 20) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return readAll(descriptor, limit: limit)
}

/// What is left to read of an open file, up to `limit` octets; nil where reading fails.
package func readAll(_ descriptor: Int32, limit: Int = 16 << 20) -> [UInt8]? {
    var bytes: [UInt8] = []
    while bytes.count < limit {
        guard let more = readOnce(descriptor, limit: min(65536, limit - bytes.count)) else { return nil }
        if more.isEmpty { break }
        bytes += more
    }
    return bytes
}

/// Polls one descriptor; true when one of `events` (or an error) is there before the time is over.
package func pollOne(_ descriptor: Int32, _ events: Int32, within time: Duration) -> Bool {
    var waiting = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    let deadline = monotonicTime() + time
    while true {
        let ready = poll(&waiting, 1, (deadline - monotonicTime()).waitMilliseconds)
        if ready > 0 { return true }
        if ready == 0 || errno != EINTR { return false }
    }
}

/// The names in a folder, without `.` and `..`, sorted; empty where it cannot be read.
package func namesInFolder(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// Removes a file or a folder with all that is in it, following no link and crossing no mount.
package func removeTree(_ path: String) {
    var info = stat()
    guard lstat(path, &info) == 0 else { return }
    if info.st_mode & S_IFMT == S_IFDIR {
        for name in namesInFolder(path) { removeTree("\(path)/\(name)") }
        rmdir(path)
    } else {
        unlink(path)
    }
}

/// The start time of a process, in clock ticks since boot (field 22 of /proc/PID/stat); nil if there is no such
/// process. It tells the process from a later one with the same number.
package func processStartTime(_ pid: Int32) -> UInt64? {
    guard let bytes = readFile("/proc/\(pid)/stat", limit: 4096) else { return nil }
    let text = String(decoding: bytes, as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z" else { return nil }
    return UInt64(fields[19])
}

/// The last lines of a file, from its last 64 KiB.
public func lastLines(_ path: String, _ count: Int) -> [String] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    let end = lseek(descriptor, 0, Int32(SEEK_END))
    lseek(descriptor, max(0, end - 65536), Int32(SEEK_SET))
    var bytes: [UInt8] = []
    while let more = readOnce(descriptor), !more.isEmpty, bytes.count < 1 << 17 { bytes += more }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    let whole = lines.last?.isEmpty == true ? lines.dropLast() : lines
    return whole.suffix(count).map(String.init)
}
