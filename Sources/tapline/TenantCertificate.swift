import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Reporting

/// `tapline tenant certificate`.
struct TenantCertificate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificate",
        abstract: "Print the certificate of the management address in PEM, for --ca of tenants and of curl.")

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let report = try ApplianceClient(name: name).status()
            guard let management = report.management else {
                throw ApplianceError(
                    .failed, "'\(name)' has no management address", hint: "add `manage` to `records` in its file")
            }
            Terminal.out(
                json ? try prettyJSON(management) : management.certificate.trimmingSuffix { $0.isNewline })
        }
    }
}

extension String {
    /// Without the characters at its end that match.
    fileprivate func trimmingSuffix(_ matches: (Character) -> Bool) -> String {
        var text = self
        while let last = text.last, matches(last) { text.removeLast() }
        return text
    }
}
