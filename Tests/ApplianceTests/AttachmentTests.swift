import Foundation
import LinuxNetwork
import Testing

/// A topology whose server is in a namespace that somebody else made.
final class AttachedTopology {
    let topology: ScratchTopology
    let box: ForeignNamespace
    var name: String { topology.name }

    /// - Parameters:
    ///   - place: The lines that say where the server's namespace is; nil: by the name of `box`.
    ///   - health: Further lines of the server.
    init(place: String? = nil, further: String = "") throws {
        topology = try ScratchTopology(small: nil)
        box = try ForeignNamespace("box-\(topology.name)")
        let place = place ?? "namespace: /run/netns/\(box.name)"
        try ScratchTopology.small(
            topology.name,
            web: "{ type: web-server, attach: servers, \(place)\(further.isEmpty ? "" : ", \(further)") }"
        ).write(toFile: topology.file, atomically: true, encoding: .utf8)
    }

    /// All that the kernel tells of the namespace.
    func state(of namespace: String? = nil) throws -> String {
        let inside = "ip netns exec \(namespace ?? box.name)"
        return try CommandLineRun.shell(
            """
            \(inside) ip -d -j link; \(inside) ip -j addr; \(inside) ip -j route show table all; \(inside) ip -j -6 route show table all
            \(inside) ip -j rule; \(inside) sysctl -a 2>/dev/null | grep -E '^net\\.(ipv4|ipv6)\\.' | grep -vE 'stat|avail|count|_mem'
            """
        ).output
    }

    func up() throws -> RunResult { try CommandLineRun.run("up", topology.file, "-d") }
}

@Suite("Nodes in namespaces of somebody else's", .serialized, .enabled(if: isRoot))
struct AttachmentTests {
    @Test("legs are put into it; commands work in it; down leaves it as it was")
    func attached() throws {
        let attached = try AttachedTopology(further: "ready: { run: ip link show servers }")
        _ = try CommandLineRun.shell(
            """
            ip -n \(attached.box.name) link add own type veth peer name other
            ip -n \(attached.box.name) addr add 10.1.2.3/24 dev own; ip -n \(attached.box.name) link set own up
            ip -n \(attached.box.name) route add 10.9.0.0/16 via 10.1.2.4
            """)
        let before = try attached.state()
        let up = try attached.up()
        #expect(up.status == 0, "\(up.errors)")
        #expect(try attached.topology.echo())
        let inside = try CommandLineRun.run("exec", attached.name, "web", "--", "ip", "-br", "addr")
        #expect(inside.output.contains("10.1.2.3/24"), "it is the box: \(inside.output)\(inside.errors)")
        #expect(inside.output.contains("203.0.113.80/32"))
        // Its loopback device is the owner's business.
        let loopback = try CommandLineRun.shell("ip -n \(attached.box.name) -br addr show lo").output
        #expect(!loopback.contains("203.0.113.80"), "\(loopback)")
        let status = try CommandLineRun.json("status", attached.name, "--json")
        let web = try #require((status["nodes"] as? [[String: Any]])?.first { $0["name"] as? String == "web" })
        #expect(web["namespace"] as? String == "/run/netns/\(attached.box.name)")
        #expect(web["isAttached"] as? Bool == true)
        #expect(try CommandLineRun.run("down", attached.name).status == 0)
        #expect(attached.box.isThere)
        #expect(try attached.state() == before)
        try attached.topology.expectGone()
    }

    @Test("it is as it was after SIGKILL and down, prune, or another up", arguments: ["down", "prune", "up"])
    func killed(_ mended: String) throws {
        let attached = try AttachedTopology()
        let before = try attached.state()
        #expect(try attached.up().status == 0)
        kill(try attached.topology.controlProcess(), SIGKILL)
        #expect(try attached.state() != before)
        switch mended {
        case "down": #expect(try CommandLineRun.run("down", attached.name).status == 0)
        case "prune": #expect(try CommandLineRun.run("prune", attached.name).status == 0)
        default:
            let again = try attached.up()
            #expect(again.status == 0, "\(again.errors)")
            #expect(try attached.topology.echo())
            #expect(try CommandLineRun.run("down", attached.name).status == 0)
        }
        #expect(try attached.state() == before)
        try attached.topology.expectGone()
    }

    @Test("what is no room for a leg is refused, and nothing is changed")
    func refusals() throws {
        func refused(_ attached: AttachedTopology, _ words: String...) throws {
            let before = try attached.state()
            let up = try attached.up()
            #expect(up.status == 4, "\(up.output)\(up.errors)")
            for word in words { #expect(up.errors.contains(word), "\(up.errors)") }
            #expect(try attached.state() == before)
            try attached.topology.expectGone()
        }
        try refused(
            AttachedTopology(place: "namespace: /run/netns/nobody-made-this"),
            "there is no network namespace /run/netns/nobody-made-this", "ip netns add nobody-made-this")
        try refused(AttachedTopology(place: "namespace: /etc/passwd"), "/etc/passwd is not a network namespace")
        try refused(AttachedTopology(place: "namespace: /proc/self/ns/uts"), "is not a network namespace")
        try refused(
            AttachedTopology(place: "namespace: /proc/self/ns/net"), "is in the machine's own network namespace")
        try refused(AttachedTopology(place: "pid: 4194303"), "there is no process 4194303", "`pid`")
        let device = try AttachedTopology()
        _ = try CommandLineRun.shell("ip -n \(device.box.name) link add servers type veth peer name other")
        try refused(device, "has a device servers already", "rename it there")
        let address = try AttachedTopology()
        _ = try CommandLineRun.shell(
            """
            ip -n \(address.box.name) link add own type veth peer name other
            ip -n \(address.box.name) addr add 203.0.113.80/32 dev own
            """)
        try refused(address, "own in /run/netns/", "has the address 203.0.113.80 already")
        let route = try AttachedTopology()
        _ = try CommandLineRun.shell(
            """
            ip -n \(route.box.name) link add own type veth peer name other; ip -n \(route.box.name) link set own up
            ip -n \(route.box.name) addr add 10.1.2.3/24 dev own; ip -n \(route.box.name) route add default via 10.1.2.4
            """)
        try refused(route, "has a route to everything (default) already by own")
        let fifo = try AttachedTopology(place: "namespace: \(route.topology.folder.path)/pipe")
        mkfifo(route.topology.folder.path + "/pipe", 0o600)
        try refused(fifo, "is not a network namespace")
        let other = try ScratchTopology(small: nil)
        #expect(try CommandLineRun.run("up", other.file, "-d").status == 0)
        try refused(
            AttachedTopology(place: "namespace: /run/netns/\(other.name)-bob"),
            "is a namespace of the topology '\(other.name)'")
        #expect(try CommandLineRun.run("down", other.name).status == 0)
    }

    @Test("a container is refused with a hint where no engine is installed")
    func noEngine() throws {
        let attached = try AttachedTopology(place: "container: podman:shop")
        let up = try CommandLineRun.shell(
            """
            exec unshare --mount sh -c 'for p in /usr/bin/podman /usr/local/bin/podman; do
              [ ! -e $p ] || mount --bind /dev/null $p; done
              exec \(CommandLineRun.tapline) up \(attached.topology.file) -d'
            """)
        #expect(up.status == 4)
        #expect(up.errors.contains("podman is not installed, so the container shop cannot be found"), "\(up.errors)")
        #expect(up.errors.contains("install podman, or name the namespace"))
        try attached.topology.expectGone()
    }

    @Test("a namespace that is replaced a hundred times gets its legs each time, told as events")
    func replaced() throws {
        let attached = try AttachedTopology(further: "health: { neighbour: true, interval: 100ms }")
        let up = try attached.up()
        #expect(up.status == 0, "\(up.errors)")
        let path = attached.box.name
        func events(_ kind: String) throws -> Int {
            try CommandLineRun.run("events", attached.name, "--json").output.components(separatedBy: kind).count - 1
        }
        _ = try CommandLineRun.shell("ip netns delete \(path)")
        try CommandLineRun.eventually("its absence is told") {
            let status = try CommandLineRun.run("status", attached.name)
            return status.output.contains("the network namespace of web is gone: /run/netns/\(path) was deleted")
        }
        let health = try CommandLineRun.run("status", attached.name, "--json").output
        #expect(health.contains("is gone: the device was deleted"), "a link fault: \(health)")
        let refused = try CommandLineRun.run("exec", attached.name, "web", "--", "true")
        #expect(refused.status == 2 && refused.errors.contains("its network namespace is gone"), "\(refused.errors)")
        _ = try CommandLineRun.shell("ip netns add \(path)")
        try CommandLineRun.eventually("it is attached again") { try attached.topology.echo(patience: 2) }
        #expect(try events("attachment-lost") == 1)
        #expect(try events("attachment-restored") == 1)
        // Most of these come and go faster than anybody looks.
        _ = try CommandLineRun.shell(
            "for i in $(seq 100); do ip netns delete \(path); ip netns add \(path); done")
        try CommandLineRun.eventually("it is attached to the last") { try attached.topology.echo(patience: 2) }
        let legs = try CommandLineRun.shell("ip -n \(path) -br link show servers")
        #expect(legs.status == 0, "\(legs.errors)")
        #expect(try CommandLineRun.run("down", attached.name).status == 0)
        #expect(try CommandLineRun.shell("ip -n \(path) -br link").output.split(separator: "\n").count == 1)
        _ = try CommandLineRun.shell("ip netns delete \(path)")
    }

    @Test("a leg that is deleted in it is put there again; a process that ends is told, and its number leads nowhere")
    func deletedAndEnded() throws {
        let attached = try AttachedTopology()
        #expect(try attached.up().status == 0)
        _ = try CommandLineRun.shell("ip -n \(attached.box.name) link delete servers")
        try CommandLineRun.eventually("the leg is there again") { try attached.topology.echo(patience: 2) }
        let lost = try CommandLineRun.run("events", attached.name).output
        #expect(lost.contains("its device servers was deleted"), "\(lost)")
        #expect(try CommandLineRun.run("down", attached.name).status == 0)

        let box = Process()
        box.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        box.arguments = ["--net", "sleep", "1000"]
        try box.run()
        defer { kill(box.processIdentifier, SIGKILL) }
        try CommandLineRun.eventually("it has its namespace") {
            try NetworkNamespace.open(pid: box.processIdentifier).identity != NetworkNamespace.current().identity
        }
        let byNumber = try AttachedTopology(place: "pid: \(box.processIdentifier)")
        let up = try byNumber.up()
        #expect(up.status == 0, "\(up.errors)")
        #expect(try byNumber.topology.echo())
        kill(box.processIdentifier, SIGKILL)
        try CommandLineRun.eventually("its end is told") {
            try CommandLineRun.run("status", byNumber.name).output.contains(
                "process \(box.processIdentifier) has ended")
        }
        #expect(try CommandLineRun.run("down", byNumber.name).status == 0)
    }
}
