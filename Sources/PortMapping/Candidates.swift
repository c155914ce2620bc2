import Wire

/// The service ports that a wish can get, the nearest to it first: what it suggests, the port where the application listens,
/// then every other one from the lowest on, address by address.
struct Candidates: Sequence {
    private let wish: MappingWish
    private let rules: NegotiationRules
    private let addresses: [IPAddress]

    init(_ wish: MappingWish, _ rules: NegotiationRules, _ addresses: [IPAddress]) {
        self.wish = wish
        self.rules = rules
        // Addresses of equal rank stay in the order of the file.
        self.addresses =
            addresses.filter { $0 == wish.suggestedAddress } + addresses.filter { $0 != wish.suggestedAddress }
    }

    func makeIterator() -> AnyIterator<(IPAddress, UInt16)> {
        let ranges = rules.ports.filter { $0.protocolNumber == wish.protocolNumber }.map(\.range)
        let near = [wish.suggestedPort, wish.internalPort].filter { port in
            port != 0 && ranges.contains { $0.contains(port) }
        }
        let nearest = near.lazy.flatMap { port in addresses.lazy.map { (address: $0, port: port) } }
        let others = addresses.lazy.flatMap { address in
            ranges.lazy.flatMap { $0.lazy.map { (address: address, port: $0) } }
        }
        let all = [AnySequence(nearest), AnySequence(others)].lazy.joined()
        var iterator = all.makeIterator()
        return AnyIterator { [wish] in
            while let (address, port) = iterator.next() {
                if !wish.prefersFailure || wish.isMet(by: address, port) { return (address, port) }
            }
            return nil
        }
    }
}
