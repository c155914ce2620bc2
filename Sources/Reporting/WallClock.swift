import Glibc

/// The time now, in seconds since 1970.
package func wallClockSeconds() -> Int {
    Glibc.time(nil)
}

/// The time now, in microseconds since 1970.
package func wallClockMicroseconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}
