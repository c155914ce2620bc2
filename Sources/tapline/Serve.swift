import Appliance
import ApplianceClient
import ArgumentParser
import CLinux
import Engine
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting

/// `tapline serve`.
struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a topology as a live page in a browser.",
        discussion: """
            The page shows the picture of 'graph' with rates on its arrows, health, events, drops and engines; captures and traces
            are started from it. It can change nothing. If the topology is not up, the page says so and waits for it.
            The address is 127.0.0.1:8470 unless told otherwise. Others than loopback addresses need --token-file: a file with a
            secret of 16 characters or more, which the page asks for. /metrics has the counters for Prometheus. Ctrl-C ends it.

            EXAMPLE
              sudo tapline serve four-interface
              sudo tapline serve four-interface --socket /run/four-interface.sock
              sudo tapline serve four-interface --listen 192.0.2.7:8470 --token-file /etc/tapline-token
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Option(help: "The address and port; port 0 takes a free one. By default 127.0.0.1:8470.")
    var listen: String?

    @Option(help: "A Unix socket instead, open to its owner alone.", completion: .file())
    var socket: String?

    @Option(help: "A file with the secret that every visitor needs; only its owner may read it.", completion: .file())
    var tokenFile: String?

    @Option(help: "A name by which browsers reach the page, beside its address.")
    var host: [String] = []

    func validate() throws {
        if listen != nil, socket != nil { throw ValidationError("Give --listen or --socket, not both.") }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            // The topology may come up later, in the namespaces that this process then is in already.
            try Machine.requireRoot(.making)
            let client = try ApplianceClient(name: name)
            let token = try tokenFile.map { path throws(ApplianceError) in try PageToken.read(path) }
            let place = try PagePlace(listen: listen, socket: socket)
            try place.require(token: token != nil)
            let program = try Machine.portalPath()
            Ending.note()
            let listener = try place.open()
            defer { listener.close() }
            var settings = PortalSettings(
                name: name, user: 0, hosts: (place.hosts + host).map { $0.lowercased() },
                takesAnyAddress: place.isEveryAddress, token: token)
            let (broker, portal) = try start(program, listener.descriptor, client, &settings)
            Terminal.out("the page of '\(name)' is at \(listener.place)")
            if token == nil, socket == nil {
                Terminal.error("every user of this machine can see it; --socket or --token-file restricts that")
            }
            while !Ending.isAskedFor {
                var waiting = pollfd(fd: broker.descriptor, events: Int16(POLLIN), revents: 0)
                if poll(&waiting, 1, 200) > 0, !broker.serve() { break }
            }
            try end(portal)
        }
    }

    /// Starts the page's process: the listening socket is its descriptor 3, and its way to the broker is 4.
    private func start(
        _ program: String, _ listener: Int32, _ client: ApplianceClient, _ settings: inout PortalSettings
    ) throws(ApplianceError) -> (broker: ConnectionBroker, portal: Pidfd) {
        var ends: [Int32] = [-1, -1]
        guard clinux_socket_pair(&ends) == 0 else { throw .system("cannot make a pair of sockets", errno: errno) }
        let own = OwnedDescriptor(owning: ends[0])
        let other = OwnedDescriptor(owning: ends[1])
        var command = Command(
            program, arguments: ["tapline-portal"], environment: ["SWIFT_BACKTRACE=enable=no"], workingDirectory: "/",
            descriptors: [2: 2, 3: listener, 4: other.number], diesWithParent: true)
        command.ownsProcesses = true
        let portal: Pidfd
        do throws(SystemError) { portal = try ProcessLauncher.spawn(command) } catch {
            throw ApplianceError(.failed, "the live page's program cannot be started: \(error)")
        }
        settings.user = EngineIdentity.user(of: portal.pid)
        return (try ConnectionBroker(client, socket: own, settings), portal)
    }

    /// Ends the page's process, which may have ended by itself.
    private func end(_ portal: Pidfd) throws(ApplianceError) {
        let how: ProcessExit
        do throws(SystemError) {
            if !portal.waitForEnd(within: Ending.isAskedFor ? .zero : .seconds(2)) { try portal.signal(SIGKILL) }
            how = try portal.wait()
        } catch {
            throw ApplianceError(.failed, "the live page's process cannot be ended: \(error)")
        }
        guard !Ending.isAskedFor else { return }
        throw ApplianceError(
            .failed, "the live page's process ended: \(how)", hint: "run the command again; the lines above may say why"
        )
    }
}
