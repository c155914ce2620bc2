import CLinux
import ControlAPI
import FoundationEssentials
import GRDB
import Glibc
import Reporting

/// The records of tenants in an SQLite database: services, tokens, the audit and the versions.
///
/// The process that opens it can open no file afterwards. So the connection is the only one, and locks the file for good: there
/// is no shared memory, and all files are open before the process gives up its rights. Every transaction is on the disk before
/// it counts as done (WAL, `synchronous=FULL`).
package final class RecordStore: Sendable {
    let queue: DatabaseQueue
    let clock: Clock

    /// Opens the database, makes it where it is not there, and brings it to this release's form.
    ///
    /// - Throws: `ApplianceError` that says what is wrong with the file, and what to do.
    package convenience init(path: String) throws(ApplianceError) { try self.init(path: path, clock: Clock()) }

    /// The same, with a clock of the caller's.
    init(path: String, clock: Clock) throws(ApplianceError) {
        self.clock = clock
        try Self.check(path)
        do {
            var configuration = Configuration()
            configuration.label = "records"
            configuration.prepareDatabase { database in
                try database.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
                try database.execute(sql: "PRAGMA temp_store = MEMORY")
            }
            queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.writeWithoutTransaction { database in
                let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
                guard mode == "wal" else {
                    throw ApplianceError(
                        .failed, "the database \(path) cannot have a write-ahead log", hint: "put it on a local disk")
                }
                // GRDB chooses NORMAL in WAL mode, which loses the last transactions with the machine's power.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                let check = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
                guard check == "ok" else { throw Self.corrupt(path, check ?? "") }
            }
            let migrator = RecordMigrations.migrator
            guard try !queue.read({ try migrator.hasBeenSuperseded($0) }) else {
                throw ApplianceError(
                    .failed, "the database \(path) is of a newer release",
                    hint: "use that release, or name another database in the file")
            }
            try migrator.migrate(queue)
            // Its first write opens the log: no file is opened later.
            try queue.write { database in
                try clock.begin(database)
                try clock.note(database)
                // SQLite writes no page that stays the same, and a second has one time: this one changes in any case.
                try database.execute(
                    sql: """
                        INSERT INTO settings (name, value) VALUES ('openings', 1)
                        ON CONFLICT (name) DO UPDATE SET value = value + 1
                        """)
            }
        } catch {
            throw Self.explained(error, path, isOpening: true)
        }
    }

    /// The time by which tokens and client certificates expire, in seconds since 1970. It never steps back.
    package func now() -> Int { clock.now() }

    // MARK: - Errors

    /// SQLite says of everything that is no file that it cannot be opened, and waits for whoever writes to a pipe.
    private static func check(_ path: String) throws(ApplianceError) {
        var found = stat()
        guard stat(path, &found) == 0 else {
            guard errno == ELOOP else { return }
            throw ApplianceError(
                .failed, "the database \(path) is a symbolic link that leads to itself", hint: "remove the link")
        }
        let what: String? =
            switch found.st_mode & S_IFMT {
            case S_IFREG: nil
            case S_IFDIR: "folder"
            case S_IFIFO: "named pipe"
            case S_IFSOCK: "socket"
            default: "device"
            }
        guard let what else { return }
        throw ApplianceError(
            .failed, "the database \(path) is no file, but a \(what)",
            hint: what == "folder" ? "name a file in it: \(path)/records.db" : "name a file")
    }

    private static func corrupt(_ path: String, _ what: String) -> ApplianceError {
        ApplianceError(
            .failed, "the database \(path) is damaged: \(what)",
            hint: "restore a copy of it, or move it away: the topology then begins without records")
    }

    /// The path without symbolic links.
    private static func resolved(_ path: String) -> String {
        guard let text = realpath(path, nil) else { return path }
        defer { free(text) }
        return String(cString: text)
    }

    /// Why the database cannot be written, and what to do; nil: the kernel would let it be. Before the process gives up its
    /// rights: it sees no files later.
    private static func unwritable(_ path: String) -> ApplianceError? {
        let what = "the database \(path) cannot be written"
        // What the kernel says of the file, of its log, and of the folder where that is.
        let file = resolved(path)
        let folder = String(file.prefix(upTo: file.lastIndex(of: "/") ?? file.startIndex)) + "/"
        for place in [file, file + "-wal", folder] {
            guard Glibc.access(place, W_OK) != 0 else { continue }
            switch errno {
            case EROFS:
                return ApplianceError(
                    .failed, "\(what): its file system is mounted for reading alone",
                    hint: "mount it for writing: mount -o remount,rw, or name another database in the file")
            case EPERM:
                return ApplianceError(
                    .failed, "\(what): \(place) must not be changed (chattr +i)", hint: "chattr -i \(place)")
            case EACCES:
                return ApplianceError(
                    .failed, "\(what): nobody may write \(place)", hint: "check its owner and mode: ls -ld \(place)")
            default: continue
            }
        }
        return nil
    }

    private static func explained(
        _ error: any Error, _ path: String, isOpening: Bool = false
    ) -> ApplianceError {
        if let error = error as? ApplianceError { return error }
        if let error = error as? UnreadableRow { return corrupt(path, "\(error.what) cannot be read") }
        guard let error = error as? DatabaseError else { return .wrapping(error, "cannot open the database \(path)") }
        // SQLite says different things of files that it may not write.
        if isOpening, [.SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_IOERR].contains(error.resultCode),
            let why = unwritable(path)
        {
            return why
        }
        return switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            ApplianceError(
                .failed, "another process has the database \(path) open",
                hint: "each topology needs a database of its own; 'fuser \(path)' shows who has it")
        case .SQLITE_NOTADB: corrupt(path, "it is no database")
        case .SQLITE_CORRUPT: corrupt(path, error.message ?? "it is malformed")
        case .SQLITE_FULL: ApplianceError(.failed, "the disk of \(path) is full", hint: "make room, and try again")
        case .SQLITE_READONLY:
            ApplianceError(
                .failed, "the database \(path) cannot be written",
                hint: "mount its file system for writing, and check its mode")
        case .SQLITE_CANTOPEN:
            ApplianceError(
                .failed, "the database \(path) cannot be opened", hint: "make its folder, and check who may write there"
            )
        case .SQLITE_IOERR:
            ApplianceError(
                .failed, "the database \(path) cannot be read or written: \(error.message ?? "input or output failed")",
                hint: "check its disk, and whether there is room")
        default: ApplianceError(.failed, "the database \(path): \(error.message ?? "\(error)")")
        }
    }

    /// Reads.
    ///
    /// - Throws: `ApplianceError` if the database cannot be read.
    func read<Value>(_ body: (Database) throws -> Value) throws(ApplianceError) -> Value {
        do { return try queue.read(body) } catch { throw Self.explained(error, queue.path) }
    }

    /// Writes in one transaction, which is on the disk when this returns.
    ///
    /// - Throws: `ApplianceError` if it could not be written: nothing of it is.
    func write<Value>(_ body: (Database) throws -> Value) throws(ApplianceError) -> Value {
        do {
            return try queue.write { database in
                try clock.note(database)
                return try body(database)
            }
        } catch { throw Self.explained(error, queue.path) }
    }
}

/// A row has something that this release does not write.
struct UnreadableRow: Error {
    /// What it is, for a person.
    var what: String
}
