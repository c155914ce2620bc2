import Forwarding
import Wire

/// An address, MAC address or prefix as a person writes it.
func address(_ text: String) -> IPAddress { IPAddress(text)! }
func mac(_ text: String) -> MACAddress { MACAddress(text)! }
func prefix(_ text: String) -> IPPrefix { IPPrefix(text)! }

let tcp: UInt8 = 6
let udp: UInt8 = 17
let icmp: UInt8 = 1
let icmp6: UInt8 = 58
let gre: UInt8 = 47

/// A packet's flow as a person writes it: `tcp 192.0.2.10:50000 > 203.0.113.80:80`; without ports where both are nil.
func flow(
    _ number: UInt8, _ source: String, _ sourcePort: UInt16? = nil, to destination: String, _ port: UInt16? = nil
) -> FlowFields {
    var flow = FlowFields()
    flow.source = address(source)
    flow.destination = address(destination)
    flow.protocolNumber = number
    if let sourcePort, let port {
        flow.hasPorts = true
        flow.sourcePort = sourcePort
        flow.destinationPort = port
    }
    return flow
}

extension ServicePort {
    static func tcp(_ port: UInt16) -> ServicePort { ServicePort(protocolNumber: 6, ports: port...port) }
    static func tcp(_ ports: ClosedRange<UInt16>) -> ServicePort { ServicePort(protocolNumber: 6, ports: ports) }
}

extension ForwardingTable {
    /// The table's snapshot in memory of its own.
    func snapshot(generation: UInt64 = 1) throws -> SnapshotBuffer {
        try SnapshotBuffer(copying: TableCompiler.compile(self, generation: generation))
    }

    /// The problems that a compilation reports; none where it succeeds.
    var problems: [TableProblem] {
        do throws(TableError) {
            _ = try TableCompiler.compile(self, generation: 1)
            return []
        } catch {
            return error.problems
        }
    }
}
