import EventLoop
import Glibc
import Plan
import Reporting

/// Where the images of a topology's nodes are unpacked: on the disk, because they are large and nodes have a /run of their own.
extension StateDirectory {
    /// Where those of all topologies are: /var/lib/tapline, or for a user without root the folder of the user's own state.
    private static var imagesRoot: String {
        guard UserNamespace.isEntered else { return "/var/lib/tapline" }
        if let state = getenv("XDG_STATE_HOME").map({ String(cString: $0) }), state.hasPrefix("/") {
            return "\(state)/tapline"
        }
        return "\(getenv("HOME").map { String(cString: $0) } ?? "/var/tmp")/.local/state/tapline"
    }

    /// Where those of this topology are.
    private var imagesPath: String { "\(Self.imagesRoot)/\(folder)" }

    /// The root directory that an image has become.
    package func imagePath(_ image: ImagePlan) -> String { "\(imagesPath)/\(image.folder)" }

    /// Makes a folder for an image that is being unpacked.
    ///
    /// - Throws: `ApplianceError` with the errno of `mkdir`.
    package func makeImageFolder(_ image: ImagePlan) throws(ApplianceError) -> String {
        let fresh = "\(imagePath(image)).new"
        removeTree(fresh)
        var parts = fresh.split(separator: "/")[...]
        var made = ""
        var tries = 0
        while let part = parts.first {
            let next = "\(made)/\(part)"
            // Others see no files of a root directory, whatever their permissions are there.
            let mode: mode_t = next == imagesPath ? 0o700 : 0o755
            if mkdir(next, mode) == 0 || errno == EEXIST {
                made = next
                parts.removeFirst()
            } else if errno == ENOENT, tries < 100 {
                // Another topology has just taken its last image away, and the empty folder of all with it.
                tries += 1
                made = ""
                parts = fresh.split(separator: "/")[...]
            } else {
                throw .storage("cannot make \(next)", errno: errno)
            }
        }
        return fresh
    }

    /// Takes all unpacked images of the topology away, and the folder of all topologies with the last of them.
    package func removeImages() {
        removeTree(imagesPath)
        rmdir(Self.imagesRoot)
    }

    /// The folders of topologies that have unpacked images.
    static func foldersWithImages() -> [String] { namesInFolder(imagesRoot) }

    /// Where this topology's images are, if there are any.
    var unpackedImages: String? { access(imagesPath, F_OK) == 0 ? imagesPath : nil }
}
