import Forwarding
import Wire

// Groups that nodes join: the engine hears their reports, and asks for them.

extension Forwarder {
    /// What became of a report of groups.
    enum GroupHearing {
        /// It is noted, and goes no further.
        case taken
        case refused(DropReason)
        /// It is about groups that nodes do not join here. It is a packet like any other.
        case unrelated
    }

    /// Notes which groups the sender of the frame at hand is in, or is no longer in.
    ///
    /// A report counts only for its sender's MAC address. So a leave takes effect at once: no other host shares that
    /// address.
    mutating func noteGroups(_ frame: RawSpan, on interface: Int) -> GroupHearing {
        var message: GroupMessage
        do throws(MalformedReason) {
            message = try GroupMessage(frame, fields, checksum: offload.checksumState(of: fields))
        } catch {
            return .refused(.badGroupMessage)
        }
        var (isOurs, isForeign) = (false, false)
        while let record = message.next(frame) {
            guard table.mayJoin(record.group, fields.sourceMAC, on: interface) else {
                // It is no news that a named member is in the group.
                if table.isNamed(record.group, fields.sourceMAC, on: interface) {
                    isOurs = true
                    continue
                }
                if record.joins != false, table.isJoinable(record.group, on: interface) { isForeign = true }
                continue
            }
            isOurs = true
            switch record.joins {
            case true?:
                memberships.join(
                    fields.sourceMAC, record.group, on: interface, until: now &+ GroupQuery.membership, now: now)
            case false?: memberships.leave(fields.sourceMAC, record.group, on: interface)
            case nil: break
            }
        }
        if isForeign { return .refused(.groupNotOpen) }
        return isOurs ? .taken : .unrelated
    }

    /// True if the node that a target is for is in the group of the packet at hand.
    func isMember(_ target: TargetRecord) -> Bool {
        guard case .mac(let mac) = target.address else { return false }
        return memberships.isMember(mac, fields.flow.destination, on: target.interface, now: now)
    }

    /// The source of a query: the engine's first address on the interface. Without one, IPv4 queries have none.
    private func querier(_ family: AddressFamily, on interface: Int) -> IPAddress {
        guard family == .ipv4 else { return TableInterface.linkLocal }
        let none = IPAddress(ipv4: 0)
        guard let own = table.ownSource(on: interface, towards: none), table.isOwnAddress(own, on: interface) else {
            return none
        }
        return own
    }

    /// Sends a query on each interface where nodes may join groups, if that is due.
    mutating func askGroups(into writes: inout WriteList) {
        guard memberships.takesQuery(now: now) else { return }
        for interface in 0..<table.interfaceCount {
            for family in [AddressFamily.ipv4, .ipv6] where table.asksGroups(on: interface, family) {
                let source = querier(family, on: interface)
                let mac = table.interface(interface).mac
                _ = compose(GroupQuery.frameLength(family), to: interface, into: &writes) {
                    GroupQuery.write(into: &$0, from: mac, source)
                }
            }
        }
    }
}
