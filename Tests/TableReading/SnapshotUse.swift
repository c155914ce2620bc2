import Forwarding
import Wire

extension Snapshot {
    /// Uses every method of a snapshot that was found sound, with packets that hit and packets that miss.
    ///
    /// - Returns: How much there was to see.
    public func useEverything(packets: [FlowFields], stations: [MACAddress]) -> Int {
        var seen = 0
        for interface in 0..<min(interfaceCount, 5) {
            for packet in packets {
                seen += judgeEverywhere(packet)
                for station in stations {
                    seen += mayAnnounce(packet.destination, from: station, on: interface) ? 1 : 0
                    var fragment = packet
                    fragment.hasPorts = false
                    if case .alike(.forward(let index)) = decideFragment(
                        fragment, from: sender(of: station, on: interface), receivedInterface: interface)
                    {
                        seen += entry(index).counter & 1
                    }
                    if case .forward(let index) = decide(packet, sourceMAC: station, receivedInterface: interface) {
                        seen += follow(entry(index).targets, packet)
                    }
                }
                seen += answersNeighbour(for: packet.destination, on: interface) ? 1 : 0
                seen += contradictsClaim(packet.source, on: interface) ? 1 : 0
                seen += isClaimed(packet.destination, on: interface) ? 1 : 0
                seen += ownSource(on: interface, towards: packet.source) != nil ? 1 : 0
                seen += isOnLink(packet.source, on: interface) ? 1 : 0
                seen += isOwnAddress(packet.destination) ? 1 : 0
                seen += isOwnAddress(packet.destination, on: interface) ? 1 : 0
                seen += staticNeighbour(packet.source, on: interface) != nil ? 1 : 0
            }
            for place in mirrors(of: interface) { seen += self.interface(mirror(place)).mtu > 0 ? 1 : 0 }
            for station in stations { seen += isOwnMAC(station, on: interface) ? 1 : 0 }
        }
        for index in 0..<entryCount {
            // One interface too many, so that every hop is looked at.
            for interface in 0...interfaceCount { seen += reach(entry(index).targets, interface) ? 1 : 0 }
        }
        return seen
    }

    /// Asks every access point.
    private func judgeEverywhere(_ flow: FlowFields) -> Int {
        var seen = 0
        var packet = AccessPacket(
            source: flow.source, destination: flow.destination, protocolNumber: flow.protocolNumber)
        let uppers: [AccessPacket.Upper] = [
            .unread, .icmp(type: 8), .ports(source: flow.sourcePort, destination: flow.destinationPort),
        ]
        for upper in uppers {
            packet.upper = upper
            for point in 0..<4 { seen += judge(packet, at: point).denial == nil ? 1 : 0 }
        }
        return seen
    }

    /// Goes where the engine would.
    private func follow(_ hops: Range<Int>, _ packet: FlowFields) -> Int {
        var seen = 0
        for index in hops {
            switch hop(index) {
            case .target(let target): seen += access(index) + (interface(target.interface).mtu > 0 ? 1 : 0)
            case .hops(let hops): seen += downAnswer(index) == nil ? follow(hops, packet) : 1
            case .instance(let choice):
                let members =
                    switch decide(choice, packet) {
                    case .member(let member): [member]
                    case .changes(_, let member, let new): [member, new]
                    }
                seen += access(choice)
                for member in members { seen += interface(target(choice, member: member).interface).mtu > 0 ? 1 : 0 }
            }
        }
        return seen
    }
}
