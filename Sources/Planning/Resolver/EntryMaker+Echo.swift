import Forwarding
import Plan
import TopologyFiles
import Wire

/// ICMP that a service's ports do not name: echo of its addresses.
extension EntryMaker {
    /// An application's address that answers have in place of a service's.
    struct RewrittenEnd: Hashable {
        var node: Int
        var leg: Int
        var family: AddressFamily
    }

    /// True if a service has an address's echo, although its ports do not name it.
    ///
    /// One of several services with an address has it: the one that names ICMP, else the first. So has one of several services
    /// whose ports an application has at its own address: nothing in its answer would tell which address was asked.
    func hasImpliedICMP(_ service: ResolvedService, _ address: IPPrefix) -> Bool {
        guard mayImplyICMP(service, address) else { return false }
        guard let end = rewrittenEnd(service, address) else { return true }
        return echoes[end] == service.index
    }

    /// For each end of services, the first service that names ICMP, else the first that may have its addresses' echo.
    func firstEchoes() -> [RewrittenEnd: Int] {
        var named: [RewrittenEnd: Int] = [:]
        var implied: [RewrittenEnd: Int] = [:]
        for service in services {
            for address in service.raw.addresses.map(\.value) {
                guard let end = rewrittenEnd(service, address) else { continue }
                if namesICMP(service, address.family) {
                    named[end] = named[end] ?? service.index
                } else if mayImplyICMP(service, address) {
                    implied[end] = implied[end] ?? service.index
                }
            }
        }
        return implied.merging(named) { $1 }
    }

    private func rewrittenEnd(_ service: ResolvedService, _ address: IPPrefix) -> RewrittenEnd? {
        guard let stop = service.stops.last, file.nodes[stop.node].networkAddress != nil,
            !isOwn(address, stop.node, leg: stop.enter)
        else { return nil }
        return RewrittenEnd(node: stop.node, leg: stop.enter, family: address.family)
    }

    private func mayImplyICMP(_ service: ResolvedService, _ address: IPPrefix) -> Bool {
        guard !namesICMP(service, address.family) else { return false }
        return !prefixes.having(address).contains { place in
            let other = services[place]
            guard other.index != service.index,
                other.scopes.contains(where: { scope in service.scopes.contains(scope) })
            else { return false }
            return other.index < service.index || other.raw.ports.contains { isICMP($0.value, address.family) }
        }
    }

    private func namesICMP(_ service: ResolvedService, _ family: AddressFamily) -> Bool {
        service.raw.ports.contains { $0.value.upperProtocol == .any || isICMP($0.value, family) }
    }

    private func isICMP(_ port: PortSpecification, _ family: AddressFamily) -> Bool {
        port.servicePort(family).protocolNumber == (family == .ipv4 ? 1 : 58)
    }
}
