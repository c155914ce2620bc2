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

    /// Where Docker, Podman and CRI-O mount the root folders of running containers: there are many, and no node uses them.
    private static let containers = ["/docker/overlay2/", "/containers/storage/overlay/"]

    /// Each before those below it; at most `CLINUX_MOST_INNER_MOUNTS`.
    let mounts: [Mount]
    /// How many more there are.
    let leftOut: Int

    /// The mounts strictly below `folders`. Those of containers' root folders, and what is mounted in them, do not count.
    init(below folders: [String], in text: String) {
        var found: [String: Mount] = [:]
        var roots: [String] = []
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields.firstIndex(of: "-"), fields.indices.contains(dash + 1) else {
                continue
            }
            let path = Self.unescaped(fields[4])
            let type = String(fields[dash + 1])
            guard !Self.odd.contains(type), folders.contains(where: { path.hasPrefix($0 + "/") }) else { continue }
            if type == "overlay", Self.containers.contains(where: { path.contains($0) }) {
                found[path] = nil
                roots.append(path + "/")
                continue
            }
            // The last one at a path is the one that is seen.
            let isRemote = Self.remote.contains(type) || type.hasPrefix("fuse")
            found[path] = Mount(path: path, isLayered: !isRemote)
        }
        let sorted = found.values.filter { mount in !roots.contains { mount.path.hasPrefix($0) } }
            .sorted { $0.path < $1.path }
        mounts = Array(sorted.prefix(Int(CLINUX_MOST_INNER_MOUNTS)))
        leftOut = sorted.count - mounts.count
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
