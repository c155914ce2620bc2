import Engine
import Forwarding
import Wire

/// Customers on circuits of every kind, and one on plain Ethernet, who reach one server.
package enum CircuitRig {
    private typealias F = TestFrame
    package static let access = F.mac(0xE0)
    package static let web = F.mac(0x3B)
    package static let webGateway = F.mac(0xE1)
    package static let servers = 1

    /// The encapsulations of alice's circuits, each on one of the devices: 0 Ethernet, 2 frame relay, 3 ATM.
    package static let circuits: [(carrier: Int, encapsulation: Encapsulation)] = {
        func make(_ edit: (inout Encapsulation) -> Void) -> Encapsulation {
            var encapsulation = Encapsulation()
            edit(&encapsulation)
            return encapsulation
        }
        func labels(_ label: Int, _ payload: Encapsulation.Payload) -> Encapsulation {
            make {
                $0.labelsIn = LabelStack([label])!
                $0.labelsOut = LabelStack([label])!
                $0.payload = payload
            }
        }
        return [
            (0, make { $0.tags = [100] }), (0, make { $0.tags = [100, 200] }), (0, labels(16001, .packets)),
            (0, labels(16002, .ethernet)), (0, labels(16003, .frameRelay)), (0, labels(16004, .llc)),
            (0, labels(16005, .multiplexed)),
            (2, make { ($0.payload, $0.dlci) = (.frameRelay, 100) }),
            (3, make { ($0.payload, $0.path, $0.channel) = (.llc, 1, 100) }),
            (3, make { ($0.payload, $0.path, $0.channel) = (.multiplexed, 1, 101) }),
        ]
    }()

    /// The number of the customer on plain Ethernet, on device 0.
    package static let plain = circuits.count

    package static func engine(_ customer: Int) -> MACAddress {
        customer == plain ? access : F.mac(0xC0 + UInt64(customer))
    }
    package static func alice(_ customer: Int) -> MACAddress { F.mac(0xA0 + UInt64(customer)) }
    package static func address(_ customer: Int) -> String { "192.0.2.\(customer * 8 + 2)" }
    package static func gateway(_ customer: Int) -> String { "192.0.2.\(customer * 8 + 1)" }
    package static let shop = "203.0.113.80"
    /// The device that a customer's frames are on.
    package static func carrier(_ customer: Int) -> Int { customer == plain ? 0 : circuits[customer].carrier }

    package static let table: ForwardingTable = {
        var table = ForwardingTable()
        table.interfaces = [
            TableInterface(name: "access", mac: access),
            TableInterface(name: "servers", mac: webGateway, addresses: [InterfaceAddress("198.18.4.1/24")!]),
            TableInterface(name: "serial", mac: F.mac(0xE2)), TableInterface(name: "cells", mac: F.mac(0xE3)),
        ]
        table.sources = [KnownSource(interface: servers, mac: web, node: "web", system: .terminalApplication)]
        for (number, (carrier, encapsulation)) in circuits.enumerated() {
            table.interfaces.append(
                TableInterface(
                    name: "\(encapsulation)", mac: engine(number),
                    addresses: [InterfaceAddress("\(gateway(number))/29")!],
                    circuit: TableCircuit(carrier: carrier, encapsulation: encapsulation, peer: alice(number))))
            add(number, on: table.interfaces.count - 1, to: &table)
        }
        return table
    }()

    /// The same with the customer on plain Ethernet.
    package static let tableWithPlain: ForwardingTable = {
        var table = Self.table
        table.interfaces[0].addresses = [InterfaceAddress("\(gateway(plain))/29")!]
        add(plain, on: 0, to: &table)
        return table
    }()

    private static func add(_ customer: Int, on interface: Int, to table: inout ForwardingTable) {
        let prefix = IPPrefix(host: F.address(shop))
        let port = ServicePort(protocolNumber: 6, ports: 80...80)
        table.claimed.append(ClaimedAddress(interface: interface, prefix: prefix))
        table.neighbours.append(
            StaticNeighbour(interface: interface, address: F.address(address(customer)), mac: alice(customer)))
        table.sources.append(
            KnownSource(interface: interface, mac: alice(customer), node: "alice\(customer)", system: .customer))
        table.entries += [
            Entry(
                name: "request\(customer)", kind: .distribution, direction: .request, receivedInterface: interface,
                sourceMAC: nil, source: nil, destination: prefix, servicePort: port, rewriteSource: nil,
                targets: [SendTarget(interface: servers, address: .mac(web), system: .terminalApplication)],
                counter: 2 * customer),
            Entry(
                name: "response\(customer)", kind: .sequencing, direction: .response, receivedInterface: servers,
                sourceMAC: web, source: prefix, destination: IPPrefix(host: F.address(address(customer))),
                servicePort: port, rewriteSource: nil,
                targets: [SendTarget(interface: interface, address: .neighbour(via: nil), system: .customer)],
                counter: 2 * customer + 1),
        ]
    }

    /// What a device has for a frame of a circuit.
    ///
    /// - Parameter peer: True for one that the customer sends: its end has the same headers with the ends exchanged.
    package static func wrapped(_ number: Int, _ frame: [UInt8], from peer: Bool = true) -> [UInt8] {
        guard number != plain else { return [UInt8](repeating: 0, count: 10) + frame }
        let circuit = Circuit(
            circuits[number].encapsulation, engine: peer ? alice(number) : engine(number),
            peer: peer ? engine(number) : alice(number))
        var room = [UInt8](repeating: 0, count: Circuit.mostOctets)
        let done = room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            return circuit.write(&target, before: frame.span.bytes, length: frame.count)
        }
        let (written, replaced) = done!
        let offload = circuit.link == .ethernet ? [UInt8](repeating: 0, count: 10) : []
        return offload + room[..<written] + frame[replaced...]
    }

    package static func ethernet(
        _ to: MACAddress, _ from: MACAddress, _ packet: [UInt8], type: Int = 0x0800
    ) -> [UInt8] {
        to.octets + from.octets + F.big16(type) + packet
    }

    package static func request(_ customer: Int, payload: Int = 20, port: Int = 4_000) -> [UInt8] {
        F.tcp(address(customer), port, shop, 80, payload: [UInt8](repeating: 7, count: payload))
    }
}

/// Frames that come from a circuit, or go to one, and what that costs beyond plain frames.
package struct CircuitKind {
    /// What is special about it, for a person.
    package let name: String
    /// The headers before a packet, besides Ethernet's.
    package let headers: Int
    private let interface: Int
    package let frames: [[UInt8]]

    private init(_ customer: Int, isIn: Bool) {
        typealias R = CircuitRig
        let encapsulation = customer == R.plain ? nil : R.circuits[customer].encapsulation
        name = "circuit \(isIn ? "in" : "out"): \(encapsulation.map { "\($0)" } ?? "plain")"
        headers = encapsulation?.headers ?? 0
        interface = isIn ? R.carrier(customer) : R.servers
        frames = (0..<64).map { index in
            guard !isIn else {
                return R.wrapped(
                    customer,
                    R.ethernet(
                        R.engine(customer), R.alice(customer), R.request(customer, payload: 18, port: 4_000 + index)))
            }
            let answer = TestFrame.tcp(
                R.shop, 80, R.address(customer), 4_000 + index, payload: [UInt8](repeating: 5, count: 18))
            return [UInt8](repeating: 0, count: 10) + R.ethernet(R.webGateway, R.web, answer)
        }
    }

    /// One of each; the plain ones first.
    package static var all: [CircuitKind] {
        [true, false].flatMap { isIn in
            ([CircuitRig.plain] + CircuitRig.circuits.indices).map { CircuitKind($0, isIn: isIn) }
        }
    }

    /// A worker that takes the batch over and over. The pipeline has `CircuitRig.tableWithPlain`.
    package func worker(_ pipeline: Pipeline) -> Worker<CircuitFrameIO<ReplayFrameIO>> {
        Worker(
            io: CircuitFrameIO(
                ReplayFrameIO(interface: interface, frames: frames), table: pipeline.published.snapshot),
            table: pipeline.published, neighbours: pipeline.neighbours, worker: 0)
    }
}

extension Encapsulation {
    /// How many headers stand before a packet, besides the Ethernet header of the device.
    fileprivate var headers: Int {
        let labels = labelsOut.count
        let isWord = labels > 0 && payload != .packets && (payload != .ethernet || hasControlWord)
        let inner = payload == .tagged || payload == .packets || payload == .multiplexed ? 0 : 1
        return tags.count + labels + (isWord ? 1 : 0) + inner + (link == .ethernet ? 0 : 1)
    }
}
