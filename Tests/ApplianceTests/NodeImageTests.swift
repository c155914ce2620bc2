import Foundation
import Testing

/// Root directories from archives.
@Suite("A node's image", .enabled(if: isRoot))
struct NodeImageTests {
    private typealias Files = NodeFilesystemTests

    /// Makes `image.tar.xz` beside the topology's file, with `mark` in /etc/mark.
    private static func makeImage(_ topology: ScratchTopology, mark: String) throws {
        let root = topology.folder.appendingPathComponent("root").path
        try? FileManager.default.removeItem(atPath: root)
        try Files.makeRoot(root)
        let made = try CommandLineRun.shell(
            "echo \(mark) > \(root)/etc/mark && tar -C \(root) -cJf \(topology.folder.path)/image.tar.xz .")
        #expect(made.status == 0, "\(made)")
    }

    private static let image = "filesystem: { image: image.tar.xz }\n    run: exec sleep 1000"

    /// The folders that hold unpacked images of the topology, the topology's own first.
    private static func unpacked(_ topology: ScratchTopology) -> [String] {
        let own = "/var/lib/tapline/\(topology.name)"
        return (FileManager.default.subpaths(atPath: own) ?? []).filter { !$0.contains("/") }
    }

    @Test("nodes share what is unpacked, have what they write for themselves, and leave nothing")
    func shared() throws {
        let topology = try Files.topology(
            "\(Self.image)\n  two: { attach: servers, filesystem: { image: image.tar.xz }, run: exec sleep 1000 }")
        try Self.makeImage(topology, mark: "first")
        try Files.up(topology)
        #expect(Self.unpacked(topology).count == 1)
        let seen = try Files.shell(topology, "web", "cat /etc/mark; echo own > /etc/written; ls / | cat")
        #expect(seen.output.hasPrefix("first\n") && !seen.output.contains("usr/games"), "\(seen)")
        #expect(try Files.shell(topology, "two", "ls /etc").output.contains("written") == false)
        // The machine's user number 0 alone gets at the files.
        let attributes = try FileManager.default.attributesOfItem(atPath: "/var/lib/tapline/\(topology.name)")
        #expect(attributes[.posixPermissions] as? Int == 0o700)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("apply unpacks an archive that has changed, and makes its nodes anew")
    func changed() throws {
        let topology = try Files.topology(Self.image)
        try Self.makeImage(topology, mark: "first")
        try Files.up(topology)
        try Self.makeImage(topology, mark: "second")
        let applied = try CommandLineRun.run("apply", topology.name, topology.file)
        #expect(applied.status == 0 && applied.output.contains("filesystem"), "\(applied)")
        #expect(try Files.shell(topology, "web", "cat /etc/mark").output == "second\n")
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("an archive that is cut off, or holds no shell, is told with what tar says, and leaves nothing")
    func broken() throws {
        let topology = try Files.topology(Self.image)
        try Self.makeImage(topology, mark: "first")
        let file = topology.folder.appendingPathComponent("image.tar.xz")
        let whole = try Data(contentsOf: file)
        try whole.prefix(whole.count / 2).write(to: file)
        let cut = try CommandLineRun.run("up", "-d", topology.file)
        #expect(
            cut.status != 0 && cut.errors.contains("tar ended with status 2") && cut.errors.contains("line "), "\(cut)")
        #expect(try topology.remains() == nil)
        #expect(try CommandLineRun.shell("cd \(topology.folder.path) && tar -cJf image.tar.xz root/etc").status == 0)
        let empty = try CommandLineRun.run("up", "-d", topology.file)
        #expect(empty.status == 3 && empty.errors.contains("it has no /bin/sh"), "\(empty)")
        #expect(try topology.remains() == nil)
    }

    @Test("a member of an archive that names a place outside lands inside or nowhere")
    func hostile() throws {
        let topology = try Files.topology(Self.image)
        try Self.makeImage(topology, mark: "first")
        let outside = topology.folder.appendingPathComponent("outside").path
        let made = try CommandLineRun.shell(
            """
            mkdir \(outside) && cd \(topology.folder.path) && python3 - <<'END'
            import io, tarfile
            whole = tarfile.open("image.tar.xz")
            with tarfile.open("image.tar", "w") as bad:
                for member in whole: bad.addfile(member, whole.extractfile(member) if member.isfile() else None)
                def add(name, kind=tarfile.REGTYPE, link="", data=b"x"):
                    member = tarfile.TarInfo(name)
                    member.type, member.linkname, member.size = kind, link, len(data) if kind == tarfile.REGTYPE else 0
                    bad.addfile(member, io.BytesIO(data))
                add("\(outside)/absolute")
                add("way", tarfile.SYMTYPE, "\(outside)")
                add("way/linked")
            END
            mv image.tar image.tar.xz
            """)
        #expect(made.status == 0, "\(made)")
        _ = try CommandLineRun.run("up", "-d", topology.file)
        #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
        _ = try CommandLineRun.run("down", topology.name)
        #expect(try topology.remains() == nil)
    }

    @Test("after SIGKILL at any moment, prune leaves no image", arguments: [0, 20, 60, 120, 250, 500])
    func killed(_ milliseconds: UInt32) throws {
        let topology = try Files.topology(Self.image)
        try Self.makeImage(topology, mark: "first")
        let started = try CommandLineRun.Started([CommandLineRun.tapline, "up", topology.file])
        usleep(milliseconds * 1000)
        started.signal(SIGKILL)
        _ = started.finish()
        let pruned = try CommandLineRun.run("prune", topology.name)
        #expect(pruned.status == 0 || pruned.errors.contains("no "), "\(pruned)")
        #expect(try topology.remains() == nil)
    }
}
