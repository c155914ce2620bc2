import EventLoop
import Glibc
import Reporting

/// The users and groups that the files of a node may belong to: those of the machine, or of the node's root directory.
struct UserList {
    /// nil: the machine's, as its name service knows them.
    let root: String?

    /// The numbers of an owner: a user, and a group behind a colon.
    ///
    /// - Throws: `ApplianceError` if there is no such user or group.
    func owner(_ text: String) throws(ApplianceError) -> (user: uid_t, group: gid_t) {
        let parts = text.split(separator: ":").map(String.init)
        guard let user = user(parts[0]) else {
            throw ApplianceError(
                .machine, "there is no user '\(parts[0])'",
                hint: "install the package that makes it, or name another one")
        }
        guard parts.count == 2 else { return user }
        guard let group = group(parts[1]) else {
            throw ApplianceError(
                .machine, "there is no group '\(parts[1])'",
                hint: "install the package that makes it, or name another one")
        }
        return (user.user, group)
    }

    private func user(_ name: String) -> (user: uid_t, group: gid_t)? {
        if let number = uid_t(name) { return (number, number) }
        if let root {
            return Self.entry(name, in: "\(root)/etc/passwd").flatMap { fields in
                fields.count > 3 ? uid_t(fields[2]).flatMap { user in gid_t(fields[3]).map { (user, $0) } } : nil
            }
        }
        var (entry, buffer) = (passwd(), [CChar](repeating: 0, count: 16_384))
        var found: UnsafeMutablePointer<passwd>?
        guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return (entry.pw_uid, entry.pw_gid)
    }

    private func group(_ name: String) -> gid_t? {
        if let number = gid_t(name) { return number }
        if let root {
            return Self.entry(name, in: "\(root)/etc/group").flatMap { $0.count > 2 ? gid_t($0[2]) : nil }
        }
        // A group has the names of its members in its buffer.
        var (entry, buffer) = (Glibc.group(), [CChar](repeating: 0, count: 262_144))
        var found: UnsafeMutablePointer<Glibc.group>?
        guard getgrnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return entry.gr_gid
    }

    /// The fields of a line of /etc/passwd or /etc/group (passwd(5), group(5)).
    private static func entry(_ name: String, in path: String) -> [String]? {
        String(decoding: readFile(path, limit: 4 << 20) ?? [], as: UTF8.self).split(separator: "\n")
            .map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) }
            .first { $0.first == name }
    }
}
