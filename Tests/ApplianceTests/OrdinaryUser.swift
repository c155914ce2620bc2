import Foundation

/// An ordinary user who is in no list of users, with no home: a random number, and a private mount namespace in which
/// /dev/net/tun has the mode that the test gives it and the built programs can be read.
struct OrdinaryUser {
    /// The number.
    let number = Int.random(in: 20_000...59_999)
    /// Readable by the user; the built programs are below `bin`.
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-user-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("bin"), withIntermediateDirectories: true)
        chmod(folder.path, 0o777)
    }

    /// Where the user's commands find each other.
    var members: String { "/tmp/tapline-\(number)" }

    var tapline: String { "\(folder.path)/bin/tapline" }

    /// Runs a shell script as the user. `$T` is tapline.
    ///
    /// - Parameters:
    ///   - before: Commands of root's in the private mount namespace.
    func run(_ script: String, tunMode: String = "0666", before: String = "") throws -> RunResult {
        let file = folder.appendingPathComponent("script-\(UUID().uuidString).sh").path
        try script.write(toFile: file, atomically: true, encoding: .utf8)
        return try CommandLineRun.shell(
            """
            exec unshare -m sh -c '
            set -e
            mount --make-rprivate /
            mount --bind \(CommandLineRun.products) \(folder.path)/bin
            mount -t tmpfs -o mode=755 none /dev/net
            mknod /dev/net/tun c 10 200
            chmod \(tunMode) /dev/net/tun
            \(before)
            cd \(folder.path)
            exec setpriv --reuid=\(number) --regid=\(number) --clear-groups env -i PATH="$PATH" T=\(tapline) sh \(file)'
            """)
    }

    /// Lines that make the user known by a name, with subordinate users and groups.
    var subordinates: String {
        """
        cp /etc/passwd passwd-\(number)
        echo "u\(number):x:\(number):\(number)::/nonexistent:/bin/sh" >> passwd-\(number)
        mount --bind passwd-\(number) /etc/passwd
        echo u\(number):1000000:65536 > subid-\(number)
        touch /etc/subuid /etc/subgid
        mount --bind subid-\(number) /etc/subuid
        mount --bind subid-\(number) /etc/subgid
        """.replacingOccurrences(of: "passwd-\(number)", with: "\(folder.path)/passwd")
            .replacingOccurrences(of: "subid-\(number)", with: "\(folder.path)/subid")
    }

    /// The processes of the user, by their numbers.
    func processes() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { name in
            var info = stat()
            return Int(name) != nil && stat("/proc/\(name)", &info) == 0 && info.st_uid == uid_t(number)
        }
    }

    func remove() {
        try? FileManager.default.removeItem(at: folder)
        try? FileManager.default.removeItem(atPath: members)
    }
}
