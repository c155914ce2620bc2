import Forwarding
import Plan
import TopologyFiles
import Wire

/// The next hops of a service's packets: to an application, to one of its instances, or past it if it is down.
///
/// The targets translate the service port from the customers' to the one at their place of the chain. `made` turns that into
/// the translation from the port that the entry's packets have.
///
/// An application that is skipped on the way there is skipped on the way back: both follow from the same groups of the
/// same table.
extension EntryMaker {
    /// A copy for each passive application, or for each instance if all get every packet.
    ///
    /// - Parameter shift: What turns the customers' port into the one that packets have there, before the next application.
    func copies(_ stops: [Stop], _ shift: PortShift) -> [Hop] {
        stops.flatMap { stop -> [Hop] in
            func target(_ node: Int) -> SendTarget {
                var target = self.target(node, leg: stop.enter)
                target.portShift = shift
                return target
            }
            guard let application = application(of: stop.node) else { return [.target(target(stop.node))] }
            let targets = application.members.map(target)
            // A copy without a receiver is no loss.
            guard application.isCopied else {
                return [.instance(group: application.groups.lowerBound, targets: targets, otherwise: .hops([]))]
            }
            return zip(application.groups, targets).map { group, target in
                .instance(group: group, targets: [target], otherwise: .hops([]))
            }
        }
    }

    // MARK: - On the way in

    /// The hops that lead to a place of the chain: the copies before it, and the packet itself.
    func onward(_ service: ResolvedService, to place: Int, _ flow: Flow) -> [Hop] {
        copies(service.passives[place], flow.shift(at: place - 1)) + [request(service, to: place, flow)]
    }

    /// The packet itself on its way to a place of the chain.
    func request(_ service: ResolvedService, to place: Int, _ flow: Flow) -> Hop {
        let node = service.chain[place]
        if let target = announced(service, place, leg: service.stops[place].enter, flow) {
            return .target(target)
        }
        guard let application = application(of: node) else { return .target(next(service, node, place, flow)) }
        let targets = application.members.map { next(service, $0, place, flow) }
        let end = service.chain.count - 1
        let otherwise: Hop.Otherwise =
            switch place < end ? application.raw.whenDown?.value ?? .drop : .drop {
            case .bypass: .hops(onward(service, to: place + 1, flow))
            case .skipRest: .hops([request(service, to: end, flow)])
            case .spare, .drop: .drop(answer(application, isEnd: place == end))
            }
        return .instance(group: application.groups.lowerBound, targets: targets, otherwise: otherwise)
    }

    /// The last hop rewrites the destination if the application has a network send address.
    private func next(_ service: ResolvedService, _ node: Int, _ place: Int, _ flow: Flow) -> SendTarget {
        var target = target(service.stops[place], .request, of: node)
        if let address = rewritten(service, node, place, flow) { target.address = .network(address) }
        target.portShift = flow.shift(at: place)
        return target
    }

    /// The answer to a sender: a server that is down is unreachable; a firewall that fails says nothing.
    private func answer(_ application: ResolvedApplication, isEnd: Bool) -> DownAnswer {
        application.raw.answer?.value ?? (isEnd ? .unreachable : .silence)
    }

    // MARK: - On the way back

    /// The hops back from a place of the chain: the copies before it, and the answer itself.
    ///
    /// - Parameter side: The customers that it is for, if they are known.
    /// - Returns: nil if the answer itself would be for customers that are not known.
    func back(_ service: ResolvedService, from place: Int, _ flow: Flow, to side: CustomerSide?) -> [Hop]? {
        guard place == service.chain.count - 1 else { return answered(service, from: place, flow, to: side) }
        // On the way in, skipping begins at the first application that says so and is down.
        var hops = answered(service, from: place, flow, to: side)
        for place in service.chain.indices.dropLast().reversed() {
            guard let application = application(of: service.chain[place]),
                application.raw.whenDown?.value == .skipRest
            else { continue }
            let skipped = answered(service, from: place, flow, to: side)
            hops = hops.map { up in
                [.whether(group: application.groups.lowerBound, up: up, down: skipped ?? refusal(service, place))]
            }
        }
        return hops
    }

    /// The hops back by way of the place before, or of earlier places if that one is left out.
    private func answered(
        _ service: ResolvedService, from place: Int, _ flow: Flow, to side: CustomerSide?
    ) -> [Hop]? {
        response(service, to: place - 1, flow, side).map {
            copies(service.passives[place], flow.shift(at: place - 1)) + $0
        }
    }

    /// The answer itself on its way to a place of the chain; before the first place are the customers.
    func response(_ service: ResolvedService, to place: Int, _ flow: Flow, _ side: CustomerSide?) -> [Hop]? {
        guard place >= 0 else { return side.map { [.target(customer($0))] } }
        let node = service.chain[place]
        if let target = announced(service, place, leg: service.stops[place].leave, flow) {
            return [.target(target)]
        }
        func target(_ member: Int) -> SendTarget {
            var target = self.target(service.stops[place], .response, of: member)
            target.portShift = flow.shift(at: place)
            return target
        }
        guard let application = application(of: node) else { return [.target(target(node))] }
        var otherwise = Hop.Otherwise.drop(.silence)
        switch application.raw.whenDown?.value {
        case .bypass?, .skipRest?:
            if let hops = answered(service, from: place, flow, to: side) { otherwise = .hops(hops) }
        case .spare?, .drop?, nil: break
        }
        return [
            .instance(
                group: application.groups.lowerBound, targets: application.members.map(target), otherwise: otherwise)
        ]
    }

    /// The instance of an application that announced its address last; nil for all other applications.
    private func announced(
        _ service: ResolvedService, _ place: Int, leg: Int, _ flow: Flow
    ) -> SendTarget? {
        let stop = service.stops[place]
        guard file.nodes[stop.node].announced != nil,
            let hop = announcedAddress(stop, leg: leg, flow.address, isEnd: place == service.stops.count - 1)
        else { return nil }
        return SendTarget(
            interface: legs[stop.node][leg].interface, address: .neighbour(via: hop),
            system: system(stop.node, leg: leg), portShift: flow.shift(at: place))
    }

    /// Drops packets for customers that are not known.
    private func refusal(_ service: ResolvedService, _ place: Int) -> [Hop] {
        let node = service.chain[place]
        guard let application = application(of: node) else { return [] }
        return [
            .instance(
                group: application.groups.lowerBound,
                targets: application.members.map { target(service.stops[place], .response, of: $0) },
                otherwise: .drop(.silence))
        ]
    }

    /// True if answers from a place may go straight to the customers, because all before it may be left out.
    func mayPassOver(_ service: ResolvedService, before place: Int) -> Bool {
        for node in service.chain[..<place] {
            switch application(of: node)?.raw.whenDown?.value {
            case .skipRest? where place == service.chain.count - 1: return true
            case .bypass?, .skipRest?: continue
            default: return false
            }
        }
        return true
    }

    /// The target of answers to customers.
    private func customer(_ side: CustomerSide) -> SendTarget {
        side.node.map { node in
            var target = target(node, leg: side.leg)
            // Answers to a passive application's own requests are no copies.
            if target.system == .passiveApplication { target.system = .customer }
            return target
        }
            ?? SendTarget(interface: side.interface, address: .neighbour(via: side.via), system: .customer)
    }
}
