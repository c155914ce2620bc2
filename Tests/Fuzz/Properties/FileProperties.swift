import Forwarding
import Plan
import Planning
import TopologyFiles

/// Whatever the text, there is a plan whose table compiles, or a list of mistakes that a person can find.
enum FileProperties {
    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        let text = String(decoding: input, as: UTF8.self)
        let plan: AppliancePlan
        do throws(TopologyError) {
            plan = try Planner.plan(TopologyFile.parse(text, path: "t.yaml"))
        } catch {
            try require(!error.problems.isEmpty, "refused in silence")
            // The line ends of YAML; a line feed behind a carriage return belongs to it.
            let lines = text.split(omittingEmptySubsequences: false) {
                ["\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains($0)
            }
            for problem in error.problems { try check(problem, lines) }
            return
        }
        let bytes: [UInt8]
        do throws(TableError) {
            bytes = try TableCompiler.compile(plan.table, generation: 1)
        } catch {
            throw BrokenProperty("a file without mistakes makes a table that is refused: \(error)")
        }
        do throws(SnapshotError) {
            _ = try SnapshotBuffer(copying: bytes)
        } catch {
            throw BrokenProperty("a file without mistakes makes a snapshot that is refused: \(error)")
        }
        try check(plan)
        guard let again = try? Planner.plan(TopologyFile.parse(text, path: "t.yaml")) else {
            throw BrokenProperty("the same file is refused the second time")
        }
        try require(again.table == plan.table && again.nodes.map(\.legs) == plan.nodes.map(\.legs), "two plans")
    }

    private static func check(_ problem: TopologyProblem, _ lines: [Substring]) throws(BrokenProperty) {
        try require(!problem.message.isEmpty && problem.hint?.isEmpty != true, "a mistake without a sentence")
        try require(
            (problem.message + (problem.hint ?? "")).unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F },
            "a message with control characters: \(problem.message.debugDescription)")
        try require(problem.line >= 1 && problem.line <= lines.count, "line \(problem.line) of \(lines.count)")
        let width = lines[problem.line - 1].unicodeScalars.count
        try require(
            problem.column >= 1 && problem.column <= width + 1,
            "column \(problem.column) of \(width) in line \(problem.line): \(problem.message)")
    }

    /// What the kernel and the command line take for granted of a plan.
    private static func check(_ plan: AppliancePlan) throws(BrokenProperty) {
        var devices: Set<String> = []
        for node in plan.nodes {
            try require(node.namespace.utf8.count <= 255, "the name of a namespace is too long")
            for leg in node.legs {
                for device in [leg.device, leg.fabricDevice ?? ""] where !device.isEmpty {
                    try require(device.utf8.count <= 15 && !device.contains("/"), "\(device) is no device's name")
                }
                if let device = leg.fabricDevice {
                    try require(devices.insert(device).inserted, "two devices are called \(device)")
                }
                try require(plan.interfaces.indices.contains(leg.interface), "a leg on no interface")
            }
        }
        try require(plan.interfaces.count == plan.table.interfaces.count, "the table has other interfaces")
    }
}
