import CLinux
import Foundation
import LinuxNetwork
import Testing

/// All tests that touch the kernel, one after another: they compare the host before and after.
@Suite(.serialized) struct LinuxTests {
    init() throws {
        try #require(geteuid() == 0, "the tests of LinuxNetwork need root: run them with sudo")
    }
}

/// What a program printed, and how it ended.
@discardableResult
func output(_ program: String, _ arguments: String...) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
}

/// Everything of the host that a topology could disturb.
struct HostState: Equatable {
    let links: String, addresses: String, routes: String, mounts: String, namespaces: [String], descriptors: Int

    init() throws {
        links = try output("ip", "-j", "link")
        addresses = try output("ip", "-j", "addr")
        routes = try output("ip", "-j", "route") + output("ip", "-6", "-j", "route")
        mounts = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
        namespaces = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns").sorted()) ?? ["(none)"]
        descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }
}

/// Runs `body` with a random suffix, and expects the host to be as it was.
func leavingNothing(_ body: (String) throws -> Void) throws {
    // Foundation keeps some descriptors from the first use on, and closes others late.
    var before = try HostState()
    for _ in 0..<20 {
        let again = try HostState()
        if again == before { break }
        before = again
        usleep(20_000)
    }
    let suffix = String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16)
    let outcome = Result { try body(suffix) }
    for entry in try NetworkNamespace.list() where entry.name.hasSuffix(suffix) {
        Issue.record("the test left the namespace \(entry.name)")
        try NetworkNamespace.delete(entry.name)
    }
    try outcome.get()
    var after = try HostState()
    // Namespaces go in the kernel's own time, and Foundation closes its pipes in its own.
    for _ in 0..<200 where after != before {
        usleep(50_000)
        after = try HostState()
    }
    #expect(after.links == before.links)
    #expect(after.addresses == before.addresses)
    #expect(after.routes == before.routes)
    #expect(after.mounts == before.mounts)
    #expect(after.namespaces == before.namespaces)
    // What an earlier test's Foundation objects held may have been closed meanwhile: fewer is no leak.
    #expect(after.descriptors <= before.descriptors)
}

/// Runs `body` with `count` namespaces that are deleted afterwards.
func withNamespaces(_ count: Int, _ body: ([NetworkNamespace], String) throws -> Void) throws {
    try leavingNothing { suffix in
        var namespaces: [NetworkNamespace] = []
        defer { for namespace in namespaces { try? NetworkNamespace.delete(namespace.name) } }
        for number in 0..<count {
            namespaces.append(
                try NetworkNamespace.create(
                    "tl\(number)-\(suffix)", mark: "tapline test \(suffix)",
                    sysctls: [("net.ipv6.conf.default.accept_dad", "0")]))
        }
        try body(namespaces, suffix)
    }
}

/// The error that `body` throws.
func systemError(_ body: () throws -> Void) -> SystemError? {
    do {
        try body()
        return nil
    } catch {
        return error as? SystemError
    }
}
