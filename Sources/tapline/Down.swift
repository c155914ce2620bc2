import Appliance
import ArgumentParser

/// `tapline down`.
struct Down: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take a topology away, also after a crash, also without its file.",
        discussion: """
            Only what bears Tapline's mark for that name is taken away.

            EXAMPLE
              sudo tapline down four-interface
            """)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String?

    @Flag(help: "Take every topology away.")
    var all = false

    func validate() throws {
        if all == (name != nil) { throw ValidationError("Give either a topology's name or --all.") }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            guard all else {
                try takeAway(name ?? "")
                return
            }
            try Machine.requireRoot()
            var failure: ApplianceError?
            for name in StateDirectory.allNames() {
                do throws(ApplianceError) {
                    try takeAway(name)
                } catch {
                    if error.status != .name { failure = failure ?? error }
                }
            }
            if let failure { throw failure }
        }
    }

    private func takeAway(_ name: String) throws(ApplianceError) {
        for occupant in try ApplianceClient(name: name).down() { Terminal.error("note: \(occupant.sentence)") }
    }
}
