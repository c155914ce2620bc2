import Appliance
import ArgumentParser
import Fabric
import Glibc
import Reporting

/// `tapline init`.
struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a small topology file with comments, as a start.",
        discussion: """
            The file is called NAME.yaml, after the topology, and is written into the current folder. It runs as it is. It has two
            customers, a firewall and a web server, which need only the kernel. An existing file is not changed.

            EXAMPLE
              tapline init first
              sudo tapline run first.yaml
            """.paragraphs)

    @Argument(help: "The topology's name.")
    var name: String = "lab"

    func validate() throws {
        if name.looksLikeTopologyFile || name.hasPrefix(".") {
            throw ValidationError("Give the topology's name, such as lab: the file is called NAME.yaml.")
        }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            // Refuse a name that no topology may have before a file gets it.
            _ = try StateDirectory(name: name)
            let path = "\(name).yaml"
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else {
                if errno == EEXIST {
                    throw ApplianceError(
                        .name, "\(path) exists already",
                        hint: "give another name, as in: tapline init \(ShellWord.quoted(name + "-2"))")
                }
                throw ApplianceError(
                    .failed, "\(path) cannot be written: \(String(cString: strerror(errno)))",
                    hint: "go to a folder that you may write to")
            }
            Terminal.write(Self.text(name), descriptor)
            guard close(descriptor) == 0 else {
                throw ApplianceError(.failed, "\(path) cannot be written: \(String(cString: strerror(errno)))")
            }
            Terminal.out("\(path) is written; next:")
            let file = ShellWord.quoted(path)
            var commands = TextTable([])
            commands.add(["  sudo tapline run \(file)", "bring it up, prove its checks, take it away"])
            commands.add(["  sudo tapline up \(file) -d", "bring it up and leave it up"])
            commands.add(["  tapline validate \(file)", "show the path of every packet"])
            for line in commands.lines where !line.isEmpty { Terminal.out(line) }
        }
    }

    /// A name as YAML reads it as text, even if it looks like a number.
    private static func quoted(_ name: String) -> String {
        let isWord = name.allSatisfy { $0.isASCII && ($0.isLetter || $0 == "-") } && name.first?.isLetter == true
        let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        if isWord, !words.contains(name.lowercased()) { return name }
        return "\"" + name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    /// The file's text.
    static func text(_ name: String) -> String {
        """
        # A topology for Tapline: what customers send to a service address passes a firewall and reaches a web server.
        # FORMAT.md describes every key. 'tapline validate' reads this file, 'tapline run' proves it.
        name: \(quoted(name))

        # The packeting engine's interfaces. Nodes meet only through the engine.
        interfaces:
          customers:  { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected:  { address: 198.18.3.1/24 }
          servers:    { address: 198.18.4.1/24 }

        # Nodes that send. An address that you leave out is chosen for you.
        customers:
          alice: { interface: customers, address: 192.0.2.10/24 }
          bob:   { interface: customers }

        # Nodes that work on packets. 'setup' commands prepare a node, 'run' is its program; both are shell commands.
        applications:
          firewall:
            type: firewall
            attach: { in: inspection, out: inspected }
            # The kernel forwards what comes. To drop something, install nftables and take the # away:
            # setup:
            #   - nft add table inet filter
            #   - nft add chain inet filter pass '{ type filter hook forward priority 0; }'
            #   - nft add rule inet filter pass ip saddr 192.0.2.10 tcp dport 80 drop
          web:
            type: web-server
            attach: servers
            # Without a program the node answers echo alone. A real server:
            # run: exec python3 -m http.server 80
            # ready: { tcp: 80 }

        # Where customers send, and the applications that their packets pass, in this order.
        services:
          site: { address: 203.0.113.80, ports: [tcp/80], sequence: [firewall, web] }

        # What 'tapline run' and 'tapline test' prove.
        checks:
          - name: a request of alice passes the firewall and reaches the web server
            packet: { from: alice, to: 203.0.113.80, port: tcp/80 }
            reaches: [firewall, web]
          - name: a request to another port goes nowhere
            packet: { from: bob, to: 203.0.113.80, port: tcp/22 }
            reaches: []

        """
    }
}
