import Foundation
import Testing

/// The whole program on a machine whose clock is set back: the process of records runs with a library that shifts the clock of
/// the calendar for it, and leaves the time since the machine's start alone.
@Suite(.serialized) struct SetBackClockTests {
    private static let library = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <sys/mman.h>
        #include <time.h>
        static volatile const long *shift;
        __attribute__((constructor)) static void begin(void) {
            /* Mapped before the process gives up its files. */
            int file = open(SHIFT, O_RDONLY);
            void *memory = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
            if (memory != MAP_FAILED) shift = memory;
        }
        int clock_gettime(clockid_t clock, struct timespec *now) {
            static int (*next)(clockid_t, struct timespec *);
            if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
            int result = next(clock, now);
            if (result == 0 && clock == CLOCK_REALTIME && shift) now->tv_sec += *shift;
            return result;
        }
        time_t time(time_t *place) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if (place) *place = now.tv_sec;
            return now.tv_sec;
        }

        """

    private let lab: RecordsLab
    private let shift: URL

    init() throws {
        lab = try RecordsLab()
        try lab.down()
        shift = lab.folder.appendingPathComponent("shift")
        let programs = lab.folder.appendingPathComponent("programs")
        try FileManager.default.createDirectory(
            at: programs.appendingPathComponent("real"), withIntermediateDirectories: true)
        for (name, copy) in [
            ("tapline", "tapline"), ("tapline-engine", "tapline-engine"), ("tapline-records", "real/tapline-records"),
        ] {
            try FileManager.default.copyItem(
                at: RecordsLab.programs.appendingPathComponent(name), to: programs.appendingPathComponent(copy))
        }
        let source = lab.folder.appendingPathComponent("shift.c")
        try Self.library.write(to: source, atomically: true, encoding: .utf8)
        let made = try lab.run([
            "cc", "-shared", "-fPIC", "-DSHIFT=\"\(shift.path)\"", "-o", "\(programs.path)/shift.so", source.path,
        ])
        try #require(made.status == 0, "\(made.output)")
        let records = programs.appendingPathComponent("tapline-records")
        try "#!/bin/sh\nLD_PRELOAD=\(programs.path)/shift.so exec \(programs.path)/real/tapline-records \"$@\"\n".write(
            to: records, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: records.path)
        try Data(count: 4096).write(to: shift)
        let up = try lab.run([programs.appendingPathComponent("tapline").path, "up", lab.file, "-d"])
        try #require(up.status == 0, "\(up.output)")
    }

    /// Sets the clock, by seconds from the machine's.
    private func set(_ seconds: Int) throws {
        let file = try FileHandle(forWritingTo: shift)
        try file.write(contentsOf: withUnsafeBytes(of: seconds.littleEndian) { Data($0) })
        try file.close()
    }

    private func token(_ life: Int) throws -> String {
        let made = try lab.ask("POST", "/v1/tenants/alice/tokens", #"{"expires-in": \#(life)}"#)
        return try #require(made.json["token"] as? String, "\(made.text)")
    }

    private func status(_ token: String) throws -> Int {
        try lab.ask("GET", "/v1/services", token: token).status
    }

    @Test func whatHasExpiredStaysSo() throws {
        let day = 86_400
        let hour = try token(3_600)
        #expect(try status(hour) == 200)
        // The library works: the clock is set forward.
        try set(3_601)
        #expect(try status(hour) == 401)
        try set(-365 * day)
        #expect(try status(hour) == 401)
        // A token that is made now gets no year more: its life goes by the time since the machine's start.
        let brief = try token(4)
        #expect(try status(brief) == 200)
        try lab.eventually("a life ends while the clock is a year behind") { try status(brief) == 401 }
        // Another process goes on where the one before was, although nothing was written since.
        let keeper = try lab.keeper()
        kill(keeper, SIGKILL)
        try lab.eventually("another process keeps the records") { (try? lab.keeper()).map { $0 != keeper } ?? false }
        try lab.eventually("it answers") { try lab.ask("GET", "/v1/tenants").status == 200 }
        #expect(try status(hour) == 401)
        #expect(try status(brief) == 401)
        let fresh = try token(3_600)
        #expect(try status(fresh) == 200)
    }
}
