import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Glibc
import Plan
import Reporting

/// `tapline tables`.
struct Tables: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the distribution and sequencing entries, with their packets and bytes.",
        discussion: """
            Each copy that an entry sends has one line. For a file, the command shows the entries that the file would have; that
            works without root. With --json the keys are stable: version, name, distribution, sequencing; of each entry name,
            direction, receivedInterface, sourceMAC, sourceNode, source, destination, servicePort, rewriteSource, copies, packets,
            bytes; and access, the rules of tenants' access lists that the engines judge by, with their counters.

            EXAMPLE
              sudo tapline tables four-interface
              tapline tables Topologies/four-interface/topology.yaml
            """.paragraphs)

    @Argument(help: "The topology's name, or a topology file.", completion: topologyNames)
    var nameOrFile: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try reporting { () throws(ApplianceError) in
            let listing = try self.listing()
            if json { Terminal.json(try prettyJSON(listing)) } else { Terminal.out(text(listing)) }
        }
    }

    private func listing() throws(ApplianceError) -> TableListing {
        let isFile = nameOrFile.looksLikeTopologyFile
        let isName = try StateDirectory(name: nameOrFile).exists || !isFile && access(nameOrFile, F_OK) != 0
        if isName {
            try Machine.requireRoot()
            return try ApplianceClient(name: nameOrFile).tables()
        }
        let plan = try PlanReader.plan(nameOrFile)
        return TableListing(name: plan.name, table: plan.table)
    }

    private func text(_ listing: TableListing) -> String {
        let parts = [("distribution", listing.distribution), ("sequencing", listing.sequencing)]
        return parts.map { title, rows in
            var table = TextTable(
                [
                    "ENTRY", "RECEIVED INTERFACE", "SOURCE", "DESTINATION", "SERVICE PORT", "SEND INTERFACE",
                    "SEND ADDRESS", "DESTINATION SYSTEM TYPE", "PACKETS", "BYTES",
                ], rightAligned: [8, 9])
            for row in rows { add(row, to: &table) }
            return "\(title) entries of \(listing.name)\n"
                + (rows.isEmpty ? "(none)" : table.lines.joined(separator: "\n"))
        }.joined(separator: "\n\n") + accessLists(listing)
    }

    /// The rules of access lists, if there are some.
    private func accessLists(_ listing: TableListing) -> String {
        guard !listing.access.isEmpty else { return "" }
        var table = TextTable(
            [
                "APPLICATION", "TENANT", "RULE", "ACTION", "PROTOCOL", "OWN SIDE", "REMOTE SIDE", "PACKETS", "BYTES",
            ], rightAligned: [7, 8])
        for row in listing.access {
            func side(_ prefix: String?, _ ports: String?) -> String {
                [prefix ?? "any", ports].compactMap(\.self).joined(separator: " ")
            }
            table.add([
                row.application, row.tenant, row.rule.map { "\($0)" } ?? "default", row.action, row.protocol,
                side(row.own, row.ownPorts), side(row.remote, row.remotePorts), row.packets.map { "\($0)" } ?? "-",
                row.bytes.map { "\($0)" } ?? "-",
            ])
        }
        return "\n\naccess lists of \(listing.name)\n" + table.lines.joined(separator: "\n")
    }

    private func add(_ row: TableListing.Row, to table: inout TextTable) {
        let mac = row.sourceMAC.map { mac in row.sourceNode.map { "\(mac) (\($0))" } ?? mac }
        var source = [mac, row.source].compactMap { $0 }.joined(separator: " ")
        if source.isEmpty { source = "any" }
        if let rewritten = row.rewriteSource { source += " as \(rewritten)" }
        for (index, copy) in row.copies.enumerated() {
            let address =
                copy.sendAddress + (copy.node.map { " (\($0))" } ?? "") + (copy.rewritePort.map { " as \($0)" } ?? "")
            let first = index == 0
            let type =
                copy.destinationSystemType + (copy.oneOf.map { ", one of \($0)" } ?? "")
                + (copy.when.map { ", if \($0)" } ?? "")
            table.add([
                first ? row.name : "", first ? row.receivedInterface : "", first ? source : "",
                first ? row.destination ?? "any" : "", first ? row.servicePort : "", copy.sendInterface, address,
                type, first ? row.packets.map { "\($0)" } ?? "-" : "",
                first ? row.bytes.map { "\($0)" } ?? "-" : "",
            ])
        }
    }
}
