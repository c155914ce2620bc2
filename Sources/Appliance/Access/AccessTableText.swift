/// The access table of a node as nft lists it, without counts: chain by chain, so that a change of one chain is followed without
/// listing all of them.
struct AccessTableText: Sendable, Equatable {
    /// The lines of each chain, by its header: `chain of_alice`. Of counters the headers alone; of the rest of the table, at the
    /// empty header.
    private var blocks: [String: String] = [:]

    /// - Parameter listing: What nft prints of a table, or of a chain.
    init(_ listing: String) {
        var (header, lines): (String, [Substring]) = ("", [])
        var rest: [Substring] = []
        for line in listing.split(separator: "\n").dropFirst() {
            if line.hasPrefix("\t"), !line.hasPrefix("\t\t"), line.hasSuffix(" {") {
                (header, lines) = (String(line.dropFirst().dropLast(2)), [])
            } else if line == "\t}", !header.isEmpty {
                blocks[header] = header.hasPrefix("counter ") ? "" : lines.joined(separator: "\n")
                header = ""
            } else if header.isEmpty {
                rest.append(line)
            } else {
                lines.append(line)
            }
        }
        blocks[""] = rest.joined(separator: "\n")
    }

    /// Takes over the chains of another listing.
    mutating func take(_ other: AccessTableText) {
        for (header, text) in other.blocks where header.hasPrefix("chain ") { blocks[header] = text }
    }

    /// Follows what is made and taken away.
    mutating func change(goneChains: [String], counters: (made: [String], gone: [String])) {
        for chain in goneChains { blocks["chain \(chain)"] = nil }
        for counter in counters.gone { blocks["counter \(counter)"] = nil }
        for counter in counters.made { blocks["counter \(counter)"] = "" }
    }
}
