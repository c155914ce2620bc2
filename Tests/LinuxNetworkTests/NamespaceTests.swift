import CLinux
import Foundation
import LinuxNetwork
import Testing

extension LinuxTests {
    @Test func aNamespaceIsThereForIpNetnsAndGoesWithoutATrace() throws {
        try leavingNothing { suffix in
            let name = "life-\(suffix)"
            let namespace = try NetworkNamespace.create(name, mark: "tapline life run7")
            #expect(try output("ip", "netns", "list").contains(name))
            let lo = try output("ip", "-n", name, "-d", "link", "show", "lo")
            #expect(lo.contains("alias tapline life run7") && lo.contains("LOOPBACK,UP"))
            #expect(try NetworkNamespace.mark(of: name) == "tapline life run7")
            #expect(try NetworkNamespace.open(name).identity == namespace.identity)
            #expect(try NetworkNamespace.current().identity != namespace.identity)
            #expect(try NetworkNamespace.open(pid: getpid()).identity == NetworkNamespace.current().identity)
            #expect(try NetworkNamespace.list().contains(NamespaceEntry(name: name, mark: "tapline life run7")))

            let taken = systemError { _ = try NetworkNamespace.create(name, mark: "other") }
            #expect(taken?.errno == EEXIST)
            #expect(taken?.description == "cannot publish the network namespace \(name): File exists")
            #expect(try NetworkNamespace.mark(of: name) == "tapline life run7")
            try NetworkNamespace.delete(name)
            #expect(systemError { _ = try NetworkNamespace.open(name) }?.errno == ENOENT)
        }
    }

    @Test func aStaleFileIsSeenAndCleared() throws {
        try leavingNothing { suffix in
            let keeper = try NetworkNamespace.create("keeper-\(suffix)", mark: "m")
            defer { try? NetworkNamespace.delete(keeper.name) }
            let name = "stale-\(suffix)"
            #expect(FileManager.default.createFile(atPath: "/run/netns/\(name)", contents: nil))
            #expect(systemError { _ = try NetworkNamespace.open(name) }?.errno == EINVAL)
            #expect(try NetworkNamespace.list().contains { $0.name == name && $0.isStale })
            try NetworkNamespace.delete(name)
        }
    }

    @Test func namesThatWouldLeaveTheDirectoryAreRefused() {
        for name in ["", ".", "..", "a/b", String(repeating: "x", count: 300)] {
            #expect(systemError { _ = try NetworkNamespace.create(name, mark: "m") }?.errno == EINVAL)
        }
    }

    @Test func sysctlsAreWrittenInTheNamespaceAlone() throws {
        try withNamespaces(1) { namespaces, _ in
            let path = "/proc/sys/net/ipv4/ip_forward"
            let before = try String(contentsOfFile: path, encoding: .utf8)
            let opposite = before.hasPrefix("1") ? "0" : "1"
            try Sysctl.write("net.ipv4.ip_forward", opposite, in: namespaces[0])
            #expect(try Sysctl.read("net.ipv4.ip_forward", in: namespaces[0]) == opposite)
            #expect(try output("ip", "netns", "exec", namespaces[0].name, "cat", path) == opposite + "\n")
            #expect(try String(contentsOfFile: path, encoding: .utf8) == before)
            #expect(systemError { try Sysctl.write("kernel.hostname", "x", in: namespaces[0]) }?.errno == EINVAL)
            #expect(systemError { try Sysctl.write("net.ipv4.none", "1", in: namespaces[0]) }?.errno == ENOENT)
            #expect(systemError { try Sysctl.write("net/../kernel/x", "1", in: namespaces[0]) }?.errno == EINVAL)
        }
    }

    @Test func aThreadOfItsOwnLeavesTheCallerWhereItWas() throws {
        try withNamespaces(1) { namespaces, _ in
            let before = try NetworkNamespace.current().identity
            let inside = try namespaces[0].perform { () throws(SystemError) in
                try NetworkNamespace.current().identity
            }
            #expect(inside == namespaces[0].identity)
            #expect(try NetworkNamespace.current().identity == before)
            let refused = systemError {
                try namespaces[0].perform { () throws(SystemError) in throw SystemError("try", "it", errno: EPERM) }
            }
            #expect(refused?.description == "cannot try it: Operation not permitted")
        }
    }
}
