import Foundation
import Plan
import Planning
import Reporting
import Testing
import TopologyFiles

/// `files` of nodes, and `filesystem`.
@Suite("Files of nodes") struct NodeFileTests {
    /// A folder with a topology and other files, gone after the test.
    private final class Folder {
        let path: String

        init(_ files: [String: String]) throws {
            let url = FileManager.default.temporaryDirectory.appendingPathComponent(
                "node-files-\(UInt32.random(in: 0 ... .max))")
            path = url.path
            for (name, text) in files {
                let file = url.appendingPathComponent(name)
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try text.write(to: file, atomically: true, encoding: .utf8)
            }
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func plan() throws -> AppliancePlan { try Planner.plan(TopologyFile.read("\(path)/t.yaml")) }

        /// What is wrong, each in one line without the folder.
        func mistakes() -> [String] {
            do throws(TopologyError) {
                _ = try Planner.plan(TopologyFile.read("\(path)/t.yaml"))
                return []
            } catch {
                return error.problems.map { $0.summary.replacingOccurrences(of: "\(path)/", with: "") }
            }
        }
    }

    private static func topology(_ web: String, top: String = "") -> String {
        """
        name: t
        \(top)
        interfaces: { c: { address: 192.0.2.1/24 }, s: { address: 198.18.4.1/24 } }
        customers: { alice: { interface: c } }
        applications:
          web:
            attach: s
            \(web)
        services: { shop: { address: 203.0.113.80, ports: tcp/80, sequence: web } }
        """
    }

    private static func web(_ files: [String: String], _ web: String, top: String = "") throws -> NodePlan {
        let folder = try Folder(files.merging(["t.yaml": topology(web, top: top)]) { $1 })
        return try folder.plan().node("web")
    }

    private static func mistakes(_ web: String, _ files: [String: String] = [:], top: String = "") throws -> [String] {
        try Folder(files.merging(["t.yaml": topology(web, top: top)]) { $1 }).mistakes()
    }

    @Test("come from texts, from files beside the topology's, and from templates")
    func contents() throws {
        let web = try Self.web(
            ["parts/a.conf": "listen {{ services.shop.address }};\n", "b.bin": "{{ x }}"],
            """
            files:
                  a.conf: { from: parts/a.conf, template: true, mode: 0640, owner: "daemon:adm" }
                  b.bin: { from: b.bin, mode: "4755" }
                  sub/c.txt: literal {{ x }} ${HOME}
                  /etc/d.conf: { text: "id {{ node.name }}", template: true, owner: "1000" }
                  empty: ""
            """)
        func text(_ file: FilePlan) -> String { String(decoding: file.contents, as: UTF8.self) }
        #expect(web.files.map(\.path) == ["a.conf", "b.bin", "sub/c.txt", "/etc/d.conf", "empty"])
        #expect(
            web.files.map(text) == [
                "listen 203.0.113.80;\n", "{{ x }}", "literal {{ x }} ${HOME}", "id web", "",
            ])
        #expect(web.files.map(\.mode) == [0o640, 0o4755, 0o644, 0o644, 0o644])
        #expect(web.files.map(\.owner) == ["daemon:adm", nil, nil, "1000", nil])
    }

    @Test("named alone are templates beside the topology's file, and keep their last names")
    func templates() throws {
        let files = ["parts/a.conf": "listen {{ services.shop.address }};\n", "b.conf": "{{ node.name }}", "c": "c"]
        func found(_ web: String, of node: String = "web") throws -> [String] {
            try Folder(files.merging(["t.yaml": Self.topology(web)]) { $1 }).plan().node(node).files.map {
                "\($0.path) \(String(decoding: $0.contents, as: UTF8.self))"
            }
        }
        #expect(try found("files: [parts/a.conf, b.conf]") == ["a.conf listen 203.0.113.80;\n", "b.conf web"])
        #expect(try found("files: b.conf") == ["b.conf web"])
        let instances =
            "files: [b.conf, c]\n    instances: { web-1: { files: { c: own } }, web-2: { files: parts/a.conf } }"
        #expect(try found(instances, of: "web-1") == ["b.conf web-1", "c own"])
        #expect(try found(instances, of: "web-2") == ["b.conf web-2", "c c", "a.conf listen 203.0.113.80;\n"])
    }

    @Test("of an instance replace those of its application")
    func instances() throws {
        let folder = try Folder([
            "t.yaml": Self.topology(
                """
                files: { a: common, b: common }
                    instances: { web-1: { files: { b: own, c: more } }, web-2: {} }
                """)
        ])
        let planned = try folder.plan()
        func files(_ node: String) -> [String] {
            planned.node(node).files.map { "\($0.path) \(String(decoding: $0.contents, as: UTF8.self))" }
        }
        #expect(files("web-1") == ["a common", "b own", "c more"])
        #expect(files("web-2") == ["a common", "b common"])
    }

    @Test("are found beside the included file that names them")
    func included() throws {
        let folder = try Folder([
            "t.yaml": "include: lib/parts.yaml\n"
                + Self.topology("run: exec x").replacingOccurrences(of: "    run: exec x\n", with: ""),
            "lib/parts.yaml": "applications: { web: { files: { a: { from: a.conf, template: true } } } }",
            "lib/a.conf": "one\ntwo {{ node.nam }}\n",
        ])
        #expect(
            folder.mistakes() == ["lib/a.conf:2:5: error: \"node\" has no \"nam\"; did you mean \"name\"?"])
        try "fine".write(toFile: folder.path + "/lib/a.conf", atomically: true, encoding: .utf8)
        #expect(try folder.plan().node("web").files.map { String(decoding: $0.contents, as: UTF8.self) } == ["fine"])
    }

    @Test(
        "that cannot be are told",
        arguments: [
            ("files: none.conf", "8:12: error: \"none.conf\": the file cannot be read: No such file"),
            ("files: [parts/x, x]", "\"x\": the file cannot be read"), ("files: [latin1]", "is not UTF-8 text"),
            ("files: [parts/x, ./parts/x]", "\"parts/x\" and \"./parts/x\" have the same name in the node"),
            ("files: [parts/..]", "cannot be the path of a file"), ("files: [{ a: x }]", "must be a text"),
            ("files: { a: { from: none.conf } }", "8:25: error: \"none.conf\": the file cannot be read: No such file"),
            ("files: { a: { from: parts } }", "8:25: error: \"parts\": this is a folder; name one file in it"),
            ("files: { a: { from: /dev/zero } }", "this is a device, not a file"),
            ("files: { a: { from: large } }", "the file is larger than 4 MiB"),
            ("files: { a: { from: latin1, template: true } }", "\"latin1\" is not UTF-8 text, so it cannot be"),
            ("files: { a: { mode: 0644 } }", "must have one of `from` and `text`"),
            ("files: { a: { from: parts/x, text: y } }", "must have one of `from` and `text`"),
            ("files: { a: { text: y, mod: 0644 } }", "has no key \"mod\"; did you mean \"mode\"?"),
            ("files: { a: { text: y, mode: 888 } }", "the mode of the file \"a\" is \"888\"; write octal digits"),
            ("files: { a: { text: y, mode: 64 } }", "the mode of the file \"a\" is \"64\"; write octal digits"),
            ("files: { a: { text: y, owner: \"a b\" } }", "the owner of the file \"a\" is \"a b\""),
            ("files: { a: { text: y, owner: \"a:b:c\" } }", "the owner of the file \"a\" is \"a:b:c\""),
            ("files: { ../a: x }", "\"../a\" cannot be the path of a file: it has `.` or `..` in it"),
            ("files: { /etc/../a: x }", "it has `.` or `..` in it"),
            ("files: { a//b: x }", "a part of it is empty"), ("files: { a/: x }", "a part of it is empty"),
            ("files: { /proc/sys/x: x }", "/proc is the kernel's; use `sysctls`"),
            ("files: { /dev/x: x }", "/dev is the kernel's"),
            ("files: { /run/tapline/t/x: x }", "/run/tapline is Tapline's"),
            ("files: { /x: x }", "it is in no folder"), ("files: { output.log: x }", "the node's log is there"),
            ("files: { a: x, a/b: y }", "\"a/b\" cannot be in \"a\", which is a file of application \"web\""),
            ("files: { a: [x] }", "the file \"a\" must be a text, but is a list"),
            ("files: [none]", "\"none\": the file cannot be read"),
            ("files: { a: { text: \"{{ nod.name }}\", template: true } }", "no expression begins with \"nod\""),
            ("filesystem: machin", "`filesystem` is \"machin\"; did you mean \"machine\"?"),
            ("filesystem: {}", "`filesystem` says nothing"),
            ("filesystem: { root: nowhere }", "nowhere\" is not there; make it"),
            ("filesystem: { root: parts }", "parts\" has no /bin/sh"),
            ("filesystem: { root: parts, writable: /srv }", "writes no folder of the machine"),
            ("filesystem: { image: nowhere }", "nowhere\" is not there; make it"),
            ("filesystem: { image: parts }", "parts\" is not a file; write { root: "),
            ("filesystem: { image: parts/x }", "x\" is no tar archive; make one"),
            (
                "filesystem: { image: large, writable: /srv }",
                "a node with an image of its own writes no folder of the machine"
            ),
            ("filesystem: { image: large, root: parts }", "a node has one root directory, and this is a second one"),
            ("filesystem: { writable: srv }", "it is not the absolute path of a folder"),
            ("filesystem: { writable: [/usr/, /usr] }", "it is there twice"),
            ("filesystem: { private: /proc/sys }", "nodes have their own /proc"),
            ("filesystem: { private: /no/such/folder }", "this machine has no such folder; make it"),
        ])
    func mistakes(_ web: String, _ expected: String) throws {
        let folder = try Folder(["t.yaml": Self.topology(web), "parts/x": "x"])
        try Data([0xE4, 0xF6]).write(to: URL(fileURLWithPath: folder.path + "/latin1"))
        try Data(repeating: 65, count: 4 << 20 | 1).write(to: URL(fileURLWithPath: folder.path + "/large"))
        let found = folder.mistakes()
        #expect(found.contains { $0.contains(expected) }, "\(found)")
        // A root folder can have two faults.
        #expect(found.count == 1 || web.contains("root: parts, writable") || web.contains("image: large"), "\(found)")
    }

    @Test(
        "a root folder's links lead where they lead in the folder",
        arguments: [("/bin/sh", "/opt/shell", true), ("/opt/shell", "/bin/sh", false), ("loop", "/bin/sh", false)])
    func linkedShell(_ program: String, _ target: String, _ isFine: Bool) throws {
        // `program` is a file of the folder alone, or none; /bin/sh leads to `target`.
        let folder = try Folder([
            "t.yaml": Self.topology("filesystem: { root: parts }"), "parts/opt/x": "x", "parts/bin/x": "x",
        ])
        let files = FileManager.default
        let link = folder.path + "/parts/bin/sh"
        if program == "/bin/sh" {
            _ = files.createFile(
                atPath: folder.path + "/parts\(target)", contents: Data(), attributes: [.posixPermissions: 0o755])
            try files.createSymbolicLink(atPath: link, withDestinationPath: target)
        } else {
            // The machine has a /usr/bin/env, the folder does not; and a link to itself leads nowhere.
            try files.createSymbolicLink(
                atPath: link, withDestinationPath: program == "loop" ? "/bin/sh" : "/usr/bin/env")
        }
        let found = folder.mistakes()
        #expect(found.isEmpty == isFine && found.allSatisfy { $0.contains("has no /bin/sh") }, "\(found)")
    }

    @Test("of all nodes together are bounded")
    func bounded() throws {
        let files = ["a.bin": String(repeating: "x", count: 3 << 20)]
        let many = (1...22).map { "f\($0): { from: a.bin }" }.joined(separator: ", ")
        let found = try Self.mistakes("files: { \(many) }", files)
        #expect(found.count == 1 && found[0].contains("together larger than 64 MiB"), "\(found)")
    }

    @Test("get remarks where an expression, or an owner, is hardly meant so")
    func remarks() throws {
        let folder = try Folder([
            "t.yaml": Self.topology(
                """
                files: { a: "x {{ services.shop.address }}", b: { text: y, owner: nobody-\(UInt32.random(in: 0 ... .max)) } }
                """)
        ])
        let remarks = try folder.plan().remarks.map(\.summary)
        #expect(remarks.contains { $0.contains("stays as it is; add `template: true`") }, "\(remarks)")
        #expect(remarks.contains { $0.contains("this machine has no user") }, "\(remarks)")
    }

    @Test("a topology says what its nodes see, and a node says it for itself")
    func filesystems() throws {
        #expect(try Self.web([:], "run: exec x").filesystem.base == .machine)
        #expect(try Self.web([:], "run: exec x", top: "filesystem: shared").filesystem.base == .shared)
        let own = try Self.web(
            [:], "filesystem: { writable: /srv, private: [/opt, /usr/local] }", top: "filesystem: shared")
        #expect(own.filesystem.base == .machine)
        #expect(own.filesystem.writable == ["/srv"] && own.filesystem.layered == ["/opt", "/usr/local"])
    }

    // MARK: - Differences

    private static func change(_ old: String, _ new: String) throws -> NodeChange {
        NodeChange(from: try web([:], old), to: try web([:], new))
    }

    @Test("that differ restart their node alone, or reload it")
    func differences() throws {
        let before = "run: exec x\n    files: { a: one, b: same }"
        let restart = try Self.change(before, "run: exec x\n    files: { a: two, b: same }")
        #expect(restart.restart == ["its files (a)"] && restart.rebuild.isEmpty)
        let same = try Self.change(before, "run: exec x\n    files: { b: same, a: { text: one } }")
        #expect(same.isEmpty)
        let reload = try Self.change(
            before + "\n    reload: re",
            "run: exec x\n    reload: re\n    files: { a: one, b: { text: same, mode: 600 } }")
        #expect(reload.reload == ["its files (b)"] && reload.restart.isEmpty && reload.rebuild.isEmpty)
        let setup = try Self.change("setup: s\n    files: { a: one }", "setup: s\n    files: { a: two }")
        #expect(setup.rebuild == ["its files (a)"])
        let mounts = try Self.change(
            "run: exec x\n    files: { a: one }", "run: exec x\n    files: { a: one, /etc/x: y }")
        #expect(mounts.rebuild == ["its files (/etc/x)"])
        let view = try Self.change("run: exec x", "run: exec x\n    filesystem: shared")
        #expect(view.rebuild == ["its filesystem"])
    }
}
