import CLinux

/// The mounts of this process's namespace that lie below folders, as /proc/self/mountinfo lists them (proc(5)).
struct InnerMounts {
    /// A mount.
    struct Mount: Hashable {
        /// Where it is.
        var path: String
        /// Whether a layer may go over it: its files are here, and looking at them waits for nobody.
        var isLayered: Bool
    }

    /// File systems whose answers come from elsewhere, or that are no folders of files.
    private static let remote: Set<String> = ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "glusterfs", "sshfs"]
    private static let odd: Set<String> = ["autofs", "nsfs", "proc", "sysfs", "cgroup", "cgroup2", "binfmt_misc"]

    /// The mounts strictly below `folders`, each before those below it; at most `CLINUX_MOST_INNER_MOUNTS`.
    static func below(_ folders: [String], in text: String) -> [Mount] {
        var found: [String: Mount] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields.firstIndex(of: "-"), fields.indices.contains(dash + 1) else {
                continue
            }
            let path = unescaped(fields[4])
            let type = String(fields[dash + 1])
            guard !odd.contains(type), folders.contains(where: { path.hasPrefix($0 + "/") }) else { continue }
            // The last one at a path is the one that is seen.
            let isRemote = remote.contains(type) || type.hasPrefix("fuse")
            found[path] = Mount(path: path, isLayered: !isRemote)
        }
        let sorted = found.values.sorted { $0.path < $1.path }
        return Array(sorted.prefix(Int(CLINUX_MOST_INNER_MOUNTS)))
    }

    /// Blanks, tabs, line feeds and backslashes are written in octal digits.
    private static func unescaped(_ field: Substring) -> String {
        var octets: [UInt8] = []
        var rest = field.utf8[...]
        while let octet = rest.popFirst() {
            let digits = rest.prefix(3)
            if octet == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                octets.append(value)
                rest = rest.dropFirst(3)
            } else {
                octets.append(octet)
            }
        }
        return String(decoding: octets, as: UTF8.self)
    }
}
