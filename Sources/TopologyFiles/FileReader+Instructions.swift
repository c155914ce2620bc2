import Plan
import Reporting

extension FileReader {
    private static let methods = ["GET", "PUT", "POST", "DELETE"]

    /// A request of the operator: `instruct`, and what goes with it.
    func instruction(_ subject: Located<String>, _ fields: Fields) -> RawStep.Action? {
        let words = subject.value.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 2, Self.methods.contains(words[0]), words[1].hasPrefix("/v1/"),
            words[1].utf8.allSatisfy({ (33...126).contains($0) }), let target = InstructionTarget(words[1])
        else {
            diagnostics.error(
                subject.origin, "\(quoted(subject.value)) is no request of the tenants' API",
                hint:
                    "write a method and a path: `POST /v1/tenants/alice/tokens`; `{$.id}` is a value of the answer before"
            )
            return nil
        }
        let body = nodes.text(fields["body"], "`body`")
        if let body {
            do throws(JSONProblem) { _ = try JSONReader.read(Array(body.value.utf8)) } catch {
                diagnostics.error(body.origin, "the body is no JSON: \(error)", hint: "write '{}', for example")
            }
        }
        let node = nodes.text(fields["give"], "`give`")
        let file = fileInFolder(fields["file"])
        if (node == nil) != (file == nil) {
            diagnostics.error(
                fields.origin, "the answer has \(node == nil ? "no node" : "no file") to go to",
                hint: "write `give: node, file: answer.json`")
        }
        // A node writes in its folder: a folder in it may be a link to elsewhere.
        if let file, file.contains("/") {
            diagnostics.error(
                fields.origin(of: "file"), "\(quoted(file)) is in a folder", hint: "name a file alone: answer.json")
        }
        return .instruct(
            RawInstruction(
                origin: subject.origin, method: words[0], target: target, body: body?.value, node: node, file: file),
            commandExpectation(fields["expect"], isAnswer: true))
    }
}
