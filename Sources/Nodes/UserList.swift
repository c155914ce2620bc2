import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting

/// The users and groups that the programs and the files of a node may belong to.
///
/// Those of a root directory are read from its /etc/passwd and /etc/group (passwd(5), group(5)). Its name service is not
/// asked, because that is made of programs of the directory.
struct UserList {
    /// The root directory whose users count first; nil: none.
    let root: String?
    /// True if the machine's name service is asked for what the root directory does not have.
    let knowsMachine: Bool

    /// A user, found by name or number.
    ///
    /// - Parameters:
    ///   - text: Its name or number. A number needs no entry.
    ///   - group: The name or number of its group; nil: the one of its entry, or else the same number.
    /// - Throws: `ApplianceError` if there is no such user or group.
    func account(_ text: String, group: String? = nil) throws(ApplianceError) -> Account {
        guard var account = inRoot(text) ?? inMachine(text) ?? UInt32(text).map({ Account(number: $0, group: $0) })
        else { throw missing("user", text, tool: "useradd --system") }
        if let group { account.group = try self.group(group) }
        return account
    }

    /// The numbers of an owner: a user, and a group behind a colon.
    ///
    /// - Throws: `ApplianceError` if there is no such user or group.
    func owner(_ text: String) throws(ApplianceError) -> Account {
        let parts = text.split(separator: ":").map(String.init)
        return try account(parts[0], group: parts.count == 2 ? parts[1] : nil)
    }

    /// The number of a group, found by name or number.
    private func group(_ name: String) throws(ApplianceError) -> UInt32 {
        if let number = UInt32(name) { return number }
        if let number = groups().first(where: { $0.first == name })?.number(2) { return number }
        if knowsMachine {
            // A group has the names of its members in its buffer.
            var (record, memory) = (Glibc.group(), [CChar](repeating: 0, count: 262_144))
            var found: UnsafeMutablePointer<Glibc.group>?
            if getgrnam_r(name, &record, &memory, memory.count, &found) == 0, found != nil { return record.gr_gid }
        }
        throw missing("group", name, tool: "groupadd --system")
    }

    private func missing(_ kind: String, _ name: String, tool: String) -> ApplianceError {
        knowsMachine
            ? ApplianceError(
                .machine, "there is no \(kind) '\(name)'",
                hint: "install the package that makes it, make it with '\(tool) \(name)', or write a number")
            : ApplianceError(
                .machine,
                "the node's root directory has no \(kind) '\(name)' in its /etc/\(kind == "user" ? "passwd" : kind)",
                hint: "add it there, or write a number")
    }

    // MARK: - The two places

    private func inRoot(_ text: String) -> Account? {
        let entries = self.entries("/etc/passwd")
        let entry =
            if let written = UInt32(text) {
                entries.first { $0.number(2) == written }
            } else {
                entries.first { $0.first == text }
            }
        guard let entry, let name = entry.first, let number = entry.number(2), let group = entry.number(3) else {
            return nil
        }
        var account = Account(number: number, group: group)
        account.name = name
        account.home = entry.count > 5 && !entry[5].isEmpty ? entry[5] : nil
        let further = groups().filter { $0.count > 3 && $0[3].split(separator: ",").contains { $0 == name } }
            .compactMap { $0.number(2) }
        // The machine's name service may know the same user in more groups.
        let machine = knowsMachine ? inMachine(text).flatMap { $0.number == number ? $0.groups : nil } ?? [] : []
        account.groups = ([group] + further + machine).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        return account
    }

    private func inMachine(_ text: String) -> Account? {
        guard knowsMachine else { return nil }
        var (record, memory) = (passwd(), [CChar](repeating: 0, count: 64 << 10))
        var found: UnsafeMutablePointer<passwd>?
        let code =
            if let written = UInt32(text) {
                getpwuid_r(written, &record, &memory, memory.count, &found)
            } else {
                getpwnam_r(text, &record, &memory, memory.count, &found)
            }
        guard code == 0, found != nil else { return nil }
        var account = Account(number: record.pw_uid, group: record.pw_gid)
        account.name = record.pw_name.map { String(cString: $0) }
        account.home = record.pw_dir.map { String(cString: $0) }
        if let name = account.name {
            var count: Int32 = 256
            var groups = [gid_t](repeating: 0, count: Int(count))
            let isWhole = getgrouplist(name, record.pw_gid, &groups, &count) >= 0
            account.groups = isWhole ? Array(groups.prefix(Int(count))) : [record.pw_gid]
        }
        return account
    }

    private func groups() -> [[String]] { entries("/etc/group") }

    /// The lines of a file of the root directory, in their fields.
    private func entries(_ path: String) -> [[String]] {
        guard let root, let file = try? ProcessView.open(path, below: root) else { return [] }
        return String(decoding: readAll(file.number, limit: 4 << 20) ?? [], as: UTF8.self).split(separator: "\n")
            .map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) }
    }
}

extension [String] {
    /// A field that is a number; nil if it is none.
    fileprivate func number(_ field: Int) -> UInt32? { count > field ? UInt32(self[field]) : nil }
}
