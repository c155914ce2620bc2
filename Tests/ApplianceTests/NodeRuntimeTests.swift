import Foundation
import LinuxNetwork
import Plan
import Testing

@testable import Appliance
@testable import EventLoop
@testable import Fabric
@testable import Nodes
@testable import Reporting

@Suite("What goes on in one node", .enabled(if: isRoot), .serialized)
struct NodeRuntimeTests {
    /// A node with nothing but its processes, in the network that is there.
    private final class Bench {
        let loop: EventLoop
        let node: NodeRuntime
        let cancellation: Cancellation
        private let directory: StateDirectory
        /// What the node told of ends and states, in that order.
        private let summary = Box<[String]>([])

        init(_ process: ProcessPlan) throws {
            loop = try EventLoop()
            cancellation = try Cancellation()
            directory = try StateDirectory(name: "n" + String(UInt32.random(in: .min ... .max), radix: 36))
            try directory.create()
            node = NodeRuntime(
                plan: NodePlan(
                    name: "one", kind: .application, origin: .line(SourcePosition(line: 1, column: 1)),
                    namespace: "none", legs: [], process: process),
                folder: "/", directory: directory, loop: loop, namespace: try .current(), record: { _ in })
            let summary = summary
            node.ended = { node, end in
                summary.value.append(end.summary)
                // As the control process does where others still come up.
                summary.value.append(node.unexpectedEnd(end).message)
            }
            node.changed = { summary.value.append($0.state.rawValue) }
        }

        deinit {
            node.end()
            directory.remove()
        }

        func take() -> [String] {
            loop.sync { [summary] in
                defer { summary.value = [] }
                return summary.value
            }
        }
    }

    @Test("an end is heard once, and becomes one change of state", arguments: [RestartPolicy.never, .onFailure])
    func end(_ policy: RestartPolicy) throws {
        // It ends when it is told to, so that it is ready before.
        let bench = try Bench(ProcessPlan(run: "trap 'exit 3' TERM; while :; do sleep 0.01; done", restart: policy))
        try bench.node.bringUp(bench.cancellation)
        #expect(bench.take() == ["setup", "starting", "ready"])
        let child = try #require(bench.loop.sync { bench.node.process })
        try child.signal(SIGTERM)
        let after = policy == .never ? "failed" : "restarting"
        let why = "node one (line 1): its application ended with status 3: \(bench.node.plan.process.run ?? "")"
        var heard: [String] = []
        try CommandLineRun.eventually("it is heard") {
            heard += bench.take()
            return heard.contains(policy == .never ? "failed" : "ready")
        }
        let again = policy == .never ? [] : ["starting", "ready"]
        #expect(heard == ["ended with status 3", why, after] + again)
        // Whoever asks of it later is told the same.
        #expect(try child.statusIfEnded() == .exited(3))
        #expect(bench.loop.sync { bench.node.lastEnd } == "ended with status 3")
    }
}
