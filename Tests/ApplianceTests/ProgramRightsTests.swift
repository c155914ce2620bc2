import Foundation
import Glibc
import Plan
import Testing

/// Who the programs of a node are, and what the kernel says that they may do.
@Suite("Rights of programs", .serialized, .enabled(if: isRoot))
struct ProgramRightsTests {
    /// A field of the status of a process, as its program has printed it.
    private func field(_ name: String, in log: String) throws -> String {
        let line = try #require(log.split(separator: "\n").first { $0.hasPrefix("\(name):") }, "\(log)")
        return line.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)
    }

    private func capabilities(_ name: String, in log: String) throws -> CapabilitySet {
        CapabilitySet(bits: try #require(UInt64(try field(name, in: log), radix: 16)))
    }

    /// What the kernel that runs this has, and this process may give.
    private func own() throws -> CapabilitySet {
        try capabilities("CapBnd", in: String(contentsOfFile: "/proc/self/status", encoding: .utf8))
    }

    private static let show = "cat /proc/self/status; exec sleep 1000"

    private func lab(_ web: String, _ body: (ScratchTopology) throws -> Void) throws {
        let topology = try ScratchTopology(small: nil)
        try ScratchTopology.small(topology.name, web: "{ attach: servers, \(web) }")
            .write(toFile: topology.file, atomically: true, encoding: .utf8)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up.errors)")
        try body(topology)
    }

    @Test("root has what network applications need, and can get nothing else")
    func usual() throws {
        try lab("setup: ip link add probe type bridge, run: '\(Self.show)', ready: { log: Seccomp }") { topology in
            let shown = try CommandLineRun.run("logs", topology.name, "web").output
            let expected = try own().bits & CapabilitySet.networkApplications.bits
            #expect(try capabilities("CapBnd", in: shown).bits == expected)
            #expect(try capabilities("CapEff", in: shown).bits == expected)
            #expect(try capabilities("CapAmb", in: shown).bits == 0 && field("NoNewPrivs", in: shown) == "0")
            // A person's command is no more, and can do what `setup` could.
            let person = try CommandLineRun.run("exec", topology.name, "web", "--", "cat", "/proc/self/status").output
            #expect(try capabilities("CapBnd", in: person).bits == expected)
            #expect(
                try CommandLineRun.run("exec", topology.name, "web", "--", "ip", "link", "del", "probe").status == 0)
            // What it does not have is refused: the clock stays.
            let clock = try CommandLineRun.run("exec", topology.name, "web", "--", "date", "-s", "@1")
            #expect(clock.errors.contains("Operation not permitted"), "\(clock)")
        }
    }

    @Test("another user has the capabilities of the list alone, and programs have users of their own")
    func users() throws {
        try lab(
            """
            user: nobody, capabilities: net_bind_service, run: '(cd "$TAPLINE_DIR" && touch mine); echo "home $HOME"; \(Self.show)', \
            ready: { log: Seccomp }, programs: { \
            port: { run: 'exec python3 -m http.server 81', ready: { tcp: 81 } }, \
            number: { user: 4321, run: '\(Self.show)', ready: { log: Seccomp } }, \
            none: { user: root, capabilities: none, run: '\(Self.show)', ready: { log: Seccomp } } }
            """
        ) { topology in
            let shown = try CommandLineRun.run("logs", topology.name, "web").output
            func of(_ program: String?) -> String {
                let head = "web \(program.map { "\($0) " } ?? "")| "
                return shown.split(separator: "\n").filter { $0.hasPrefix(head) }.map { $0.dropFirst(head.count) }
                    .joined(separator: "\n")
            }
            let nobody = try #require(getpwnam("nobody")).pointee.pw_uid
            let own = of(nil)
            #expect(try field("Uid", in: own) == Array(repeating: "\(nobody)", count: 4).joined(separator: "\t"))
            for set in ["CapBnd", "CapEff", "CapPrm", "CapAmb"] {
                #expect(try capabilities(set, in: own).names == ["net_bind_service"], "\(set)")
            }
            #expect(try field("NoNewPrivs", in: own) == "1")
            #expect(own.contains("home /nonexistent"))
            let file = try FileManager.default.attributesOfItem(atPath: "/run/tapline/\(topology.name)/nodes/web/mine")
            #expect(file[.ownerAccountID] as? Int == Int(nobody))
            let number = of("number")
            #expect(try field("Uid", in: number).hasPrefix("4321\t") && field("Gid", in: number).hasPrefix("4321\t"))
            #expect(try capabilities("CapBnd", in: number).bits == 0)
            let none = of("none")
            #expect(try capabilities("CapEff", in: none).bits == 0)
        }
    }

    @Test("setup can make files in the node's folder as the user of a program")
    func setupAsTheUser() throws {
        let setup = "setup: 'setpriv --reuid nobody --clear-groups mkdir \"$TAPLINE_DIR/data\"'"
        let run = "run: 'touch \"$TAPLINE_DIR/data/own\"; exec sleep 60', ready: { file: data/own }"
        try lab("user: nobody, \(setup), \(run)") { _ in }
        try lab("\(setup), programs: { own: { user: nobody, run: exec sleep 60 } }") { _ in }
    }

    @Test("all means what it was before")
    func everything() throws {
        try lab("capabilities: all, run: '\(Self.show)', ready: { log: Seccomp }") { topology in
            let shown = try CommandLineRun.run("logs", topology.name, "web").output
            #expect(try capabilities("CapBnd", in: shown).bits == own().bits)
            let person = try CommandLineRun.run("exec", topology.name, "web", "--", "cat", "/proc/self/status").output
            #expect(try capabilities("CapBnd", in: person).bits == own().bits)
        }
    }
}
