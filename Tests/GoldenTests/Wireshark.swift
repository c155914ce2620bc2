import Glibc
import Wire

/// tshark as an independent reader of captures.
enum Wireshark {
    struct Row {
        var isMalformed: Bool
        var wrongChecksums: [String]
        var rightChecksums: Int
    }

    struct Failure: Error { let output: String }

    private static let checksums = [
        "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "icmp.checksum.status",
        "icmpv6.checksum.status",
    ]

    /// What tshark says of every frame, in their order. A partial checksum is no checksum yet, and not looked at.
    ///
    /// - Parameter circuits: The circuits whose labels it may see: it cannot know what labels carry.
    static func judge(_ capture: Capture, _ circuits: [Encapsulation] = []) throws -> [Row] {
        let path = "/tmp/tapline-golden-\(UInt32.random(in: 0 ... .max)).pcap"
        try capture.write(to: path)
        defer { unlink(path) }
        let verifies = capture.linkType != Capture.withOffloadHeader ? "TRUE" : "FALSE"
        var command =
            "HOME=/nonexistent tshark -r \(path) -T fields -E separator='|' -e _ws.malformed -e ip.len -e ipv6.plen"
        for field in checksums { command += " -e \(field)" }
        for circuit in circuits {
            guard let name = dissector(circuit), let label = circuit.labelsOut.labels.last else { continue }
            command += " -d mpls.label==\(label),\(name)"
        }
        for name in ["ip", "tcp", "udp"] {
            command += " -o \(name).check_checksum:\(name == "ip" ? "TRUE" : verifies)"
        }
        // Frames with an offload header: its ten octets, then Ethernet. Fragments are judged one by one.
        command += " -o 'uat:user_dlts:\"User 0 (DLT=147)\",\"eth_withoutfcs\",\"10\",\"\",\"0\",\"\"'"
        command += " -o ip.defragment:FALSE -o ipv6.defragment:FALSE 2>/dev/null"
        guard let pipe = popen(command, "r") else { throw Failure(output: "tshark cannot be started") }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { break }
            output += buffer[..<count]
        }
        let text = String(decoding: output, as: UTF8.self)
        guard pclose(pipe) == 0 else { throw Failure(output: text) }
        return text.split(separator: "\n", omittingEmptySubsequences: true).map(row)
    }

    /// Wireshark's word for what the labels of a pseudo-wire carry; nil for packets.
    private static func dissector(_ circuit: Encapsulation) -> String? {
        switch circuit.payload {
        case .tagged, .packets: nil
        case .ethernet: circuit.hasControlWord ? "pwethcw" : "pwethnocw"
        case .frameRelay: "pwfr"
        case .llc, .multiplexed: "mplspwatmaal5sdu"
        }
    }

    private static func row(_ line: Substring) -> Row {
        let fields = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 3 + checksums.count else {
            return Row(isMalformed: true, wrongChecksums: [], rightChecksums: 0)
        }
        var row = Row(isMalformed: !fields[0].isEmpty, wrongChecksums: [], rightChecksums: 0)
        // An error that quotes the beginning of a packet: tshark sums what is there of it, and finds it wrong.
        let isCut = fields[1...2].contains { lengths in
            let lengths = lengths.split(separator: ",").compactMap { Int($0) }
            return lengths.count == 2 && lengths[1] > lengths[0]
        }
        for (name, values) in zip(checksums, fields.dropFirst(3)) {
            if isCut, name.hasPrefix("tcp") || name.hasPrefix("udp") { continue }
            for value in values.split(separator: ",") {
                // 0 is bad, 1 is good, 2 is not verified, 3 is not there.
                if value == "0" || value == "Bad" { row.wrongChecksums.append(name) }
                if value == "1" || value == "Good" { row.rightChecksums += 1 }
            }
        }
        return row
    }
}
