import ApplianceClient
import EventLoop
import Fabric
import Glibc
import Plan
import Reporting

extension CheckSession {
    /// Asks the process that keeps tenants' records, as the operator does. The expected status is that of HTTP; where the file gives
    /// none, every success is right.
    func instruct(
        _ step: InstructionStep, _ expectation: CommandExpectation, _ timeout: Duration
    ) throws(ApplianceError) -> StepOutcome {
        var client = InstructionClient(.socket(sources.directory), token: nil)
        client.patience = timeout
        guard let target = step.target.filled(from: instructed) else {
            return StepOutcome(
                unmet: ["an instruction before it, with an answer that has what is in braces"], came: [])
        }
        let answer = try client.ask(step.method, target, body: step.body.map { Array($0.utf8) })
        var unmet = expectation.output.unmet(by: answer.body)
        if expectation.status == NumberExpectation(.equal, 0) {
            if !(200..<300).contains(answer.status) { unmet.append("a status from 200 to 299") }
        } else if let status = expectation.status, !status.holds(for: UInt64(answer.status)) {
            unmet.append("status \(status.summary)")
        }
        if unmet.isEmpty { instructed = try? JSONReader.read(answer.body) }
        if unmet.isEmpty, let place = step.into { try write(answer.body, to: place) }
        // What came stands in reports, where the secret of a token must not be.
        let isSecret = answer.status == 201
        return StepOutcome(
            unmet: unmet, came: ["status \(answer.status)"] + (isSecret ? [] : shownLines(answer.body)))
    }

    /// Writes an answer into a node's folder, for its owner alone.
    private func write(_ octets: [UInt8], to place: LogSource) throws(ApplianceError) {
        concern(place.node)
        // A node without files and processes has its folder from its first command on.
        try sources.directory.createNode(place.node)
        let path = sources.directory.filePath(place.node, place.file ?? "")
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .system("cannot write \(path)", errno: errno) }
        defer { close(file) }
        guard writeAll(file, octets) else { throw .system("cannot write \(path)", errno: errno) }
    }
}
