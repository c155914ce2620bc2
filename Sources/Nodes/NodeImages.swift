import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// Unpacks the images that nodes have as their root directories. Nodes with the same image share what is unpacked.
package struct NodeImages {
    /// How long one may take.
    private static let patience = Duration.seconds(600)

    private static let programs = ["/usr/bin/tar", "/bin/tar"]

    private let directory: StateDirectory

    /// - Parameter directory: The state of the topology, whose teardown takes the images away.
    package init(_ directory: StateDirectory) { self.directory = directory }

    /// Unpacks every image of `nodes` that is not there yet, in the calling thread.
    ///
    /// - Throws: `ApplianceError` if one cannot be unpacked, or if `cancellation` is raised.
    package func unpack(for nodes: [NodePlan], _ cancellation: Cancellation) throws(ApplianceError) {
        for node in nodes {
            guard case .image(let image) = node.filesystem.base,
                access(directory.imagePath(image), F_OK) != 0
            else { continue }
            do throws(ApplianceError) {
                try unpack(image, cancellation)
            } catch {
                throw ApplianceError(
                    error.status, "\(node.place): its image \(image.path): \(error.message)", hint: error.hint,
                    details: error.details)
            }
        }
    }

    private func unpack(_ image: ImagePlan, _ cancellation: Cancellation) throws(ApplianceError) {
        let folder = try directory.makeImageFolder(image)
        var isWhole = false
        defer { if !isWhole { removeTree(folder) } }
        let command = try tar(image.path, into: folder)
        let outcome = try CommandRun.captured(node: nil, timeout: Self.patience, cancellation: cancellation) { output in
            var command = command
            command.descriptors = [1: output, 2: output]
            command.diesWithParent = true
            return command
        }
        try cancellation.check()
        guard let end = outcome.end else { throw ApplianceError(.failed, "unpacking it took more than 10 minutes") }
        guard end == .exited(0) else {
            let lines = outcome.text.split(separator: "\n").suffix(5).map(String.init)
            throw ApplianceError(
                .failed, "tar \(end.summary)",
                hint: lines.contains { $0.contains("No space left") }
                    ? "make room below /var/lib/tapline" : "see whether tar -tf shows a root directory", details: lines)
        }
        guard (try? ProcessView.open("/bin/sh", below: folder)) != nil else {
            throw ApplianceError(
                .file, "it has no /bin/sh, which runs a node's commands",
                hint: "give an archive of a whole root directory, as `podman export` makes it")
        }
        guard rename(folder, directory.imagePath(image)) == 0 else {
            throw .storage("cannot put it in its place", errno: errno)
        }
        isWhole = true
    }

    /// GNU tar takes no name out of the folder: neither an absolute one nor one with `..`, and no way through a link.
    private func tar(_ archive: String, into folder: String) throws(ApplianceError) -> Command {
        guard let program = Self.programs.first(where: { access($0, X_OK) == 0 }) else {
            throw ApplianceError(.machine, "this machine has no tar, which unpacks it", hint: "install tar")
        }
        // The devices are the machine's in any case.
        var arguments = [
            "tar", "--force-local", "--numeric-owner", "--anchored", "--exclude=dev/*", "--exclude=./dev/*",
            "--directory",
            folder, "--extract", "--preserve-permissions", "--file", archive,
        ]
        if UserNamespace.isEntered {
            if !UserNamespace.hasOtherUsers { arguments.insert("--no-same-owner", at: 1) }
        } else {
            // What programs such as ping may do.
            arguments.insert("--xattrs-include=security.capability", at: 1)
        }
        return Command(program, arguments: arguments, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"])
    }
}
