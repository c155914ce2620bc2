import Wire

@testable import PortMapping

/// A control process that proves nothing: tests say what it answers, and see what it was asked.
final class Office: MappingOffice {
    var taken: Set<UInt16> = []
    var refused: Set<UInt16> = []
    var failure: String?
    var inForce: [Mapping.Key: Mapping] = [:]
    var puts = 0

    func isTaken(_ address: IPAddress, _ protocolNumber: UInt8, port: UInt16) -> Bool { taken.contains(port) }

    func put(_ mapping: Mapping) -> MappingVerdict {
        puts += 1
        if let failure { return .failed(failure) }
        if refused.contains(mapping.port) { return .refused("it would take the packets of shop") }
        inForce[mapping.key] = mapping
        return .inForce
    }

    func remove(_ mappings: [Mapping]) -> String? {
        if let failure { return failure }
        for mapping in mappings { inForce[mapping.key] = nil }
        return nil
    }
}

extension NegotiationRules {
    static let game = NegotiationRules(
        application: "game",
        addresses: [IPAddress("203.0.113.82")!, IPAddress("203.0.113.83")!, IPAddress("2001:db8::82")!],
        ports: [Ports(protocolNumber: 17, range: 27000...27009), Ports(protocolNumber: 6, range: 80...80)],
        lifetime: 30...3600, mappings: 4, requests: 1000)
}

extension Asker {
    static let game = Asker(application: "game", node: "game", address: IPAddress("198.18.4.10")!)
    static let game6 = Asker(application: "game", node: "game", address: IPAddress("2001:db8:4::10")!)
    static let second = Asker(application: "game", node: "game-2", address: IPAddress("198.18.4.11")!)
}

/// A MAP request, octet by octet.
struct MapRequest {
    var asker = Asker.game
    var nonce: UInt8 = 1
    var number: UInt8 = 17
    var port: UInt16 = 5000
    var suggested: UInt16 = 0
    var address: String = "0.0.0.0"
    var lifetime: UInt32 = 120
    var options: [UInt8] = []

    var octets: [UInt8] {
        var all: [UInt8] = [2, 1, 0, 0] + PCPMessage.octets(lifetime) + PCPMessage.mapped(asker.address)
        all += [UInt8](repeating: nonce, count: 12) + [number, 0, 0, 0]
        all += PCPMessage.octets(port) + PCPMessage.octets(suggested) + PCPMessage.mapped(IPAddress(address)!)
        return all + options
    }
}
