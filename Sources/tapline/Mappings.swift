import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Reporting

/// `tapline mappings`.
struct Mappings: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the service ports that applications asked for and got (PCP, NAT-PMP).",
        discussion: """
            An application whose file entry has 'negotiate' asks at the engine's address of its interface, UDP port 5351. What
            it gets is a service like any other, so 'tapline tables' shows its entries. Refusals are in 'tapline events'.

            EXAMPLE
              sudo tapline mappings negotiation
              sudo tapline mappings negotiation --json | jq -r '.mappings[].servicePort'
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let listing = try ApplianceClient(name: name).mappings()
            if json { Terminal.json(try prettyJSON(listing)) } else { Terminal.out(text(listing)) }
        }
    }

    private func text(_ listing: MappingListing) -> String {
        guard !listing.mappings.isEmpty else { return "no application has a mapping" }
        let isFiltered = listing.mappings.contains { !$0.filters.isEmpty }
        var table = TextTable(
            ["APPLICATION", "SERVICE ADDRESS", "SERVICE PORT", "PORT", "EXPIRES", "NODES"]
                + (isFiltered ? ["ONLY FROM"] : []), rightAligned: [3, 4])
        for mapping in listing.mappings {
            table.add(
                [
                    mapping.application, mapping.serviceAddress, mapping.servicePort, "\(mapping.port)",
                    "\(mapping.expires) s", mapping.nodes.joined(separator: ", "),
                ] + (isFiltered ? [mapping.filters.joined(separator: ", ")] : []))
        }
        return table.lines.joined(separator: "\n")
    }
}
