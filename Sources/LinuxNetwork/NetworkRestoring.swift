import CNetlink
import Glibc

extension NetlinkSocket {
    /// Undoes the differences between two network states, and nothing else. It leaves alone all that has changed since
    /// it was last seen: that is others' by now. A device that is gone stays gone.
    ///
    /// - Parameters:
    ///   - picture: The wanted network state.
    ///   - seen: The last seen network state; nil: the present one.
    ///   - except: Devices, by their numbers, that are left as they are, with all that uses them.
    /// - Returns: The failures, as sentences.
    /// - Throws: The kernel's refusal to list links, addresses, routes or rules.
    public func restore(
        _ networkState: NetworkState, seen: NetworkState? = nil, except: Set<Int32> = []
    ) throws(SystemError) -> [String] {
        let seen = if let seen { seen } else { try self.networkState() }
        let (wanted, known) = (networkState.byIndex, seen.byIndex)
        var gone = networkState.records.subtracting(seen.records)
        let added = seen.records.subtracting(networkState.records)
        var failures: [String] = []
        func attempt(_ body: () throws(SystemError) -> Void) {
            do throws(SystemError) { try body() } catch { failures.append("\(error)") }
        }
        for device in networkState.devices where !except.contains(device.index) {
            let index = device.index
            guard let was = known[index], let now = try link(index: index) else { continue }
            if was.name != device.name, now.name == was.name {
                do throws(SystemError) {
                    try renameLink(index: index, to: device.name)
                } catch {
                    // Before Linux 6.2 a device is renamed while it is down, and loses routes by that.
                    gone.formUnion(
                        try self.networkState().records.filter {
                            $0.device == index && networkState.records.contains($0)
                        })
                    attempt { () throws(SystemError) in try setLink(index: index, up: false) }
                    attempt { () throws(SystemError) in try renameLink(index: index, to: device.name) }
                    if now.isUp { attempt { () throws(SystemError) in try setLink(index: index, up: true) } }
                }
            }
            if was.mtu != device.mtu, now.mtu == was.mtu {
                attempt { () throws(SystemError) in try setLink(index: index, mtu: device.mtu) }
            }
            if was.master ?? 0 != device.master ?? 0, now.master ?? 0 == was.master ?? 0 {
                attempt { () throws(SystemError) in try setLink(index: index, master: device.master) }
            }
            if let mac = device.mac, was.mac != mac, now.mac == was.mac {
                attempt { () throws(SystemError) in try setLink(index: index, mac: mac) }
            }
            if was.isUp != device.isUp, now.isUp == was.isUp {
                attempt { () throws(SystemError) in try setLink(index: index, up: device.isUp) }
            }
        }
        for device in try links() where device.kind != nil && wanted[device.index] == nil {
            guard known[device.index]?.name == device.name else { continue }
            attempt { () throws(SystemError) in try deleteLink(index: device.index) }
        }
        func restoreRecords(_ isWanted: (NetworkState.Record) -> Bool) throws(SystemError) {
            // Addresses before the routes that need them; the kernel makes some routes by itself with the addresses.
            for kind in NetworkState.Kind.allCases {
                for record in try self.networkState().records.intersection(added) where record.kind == kind {
                    guard !record.isKernels, record.device.map(except.contains) != true else { continue }
                    attempt { () throws(SystemError) in try change(record, isNew: false) }
                }
                let current = try self.networkState()
                // A route by way of a gateway needs the route to the gateway first.
                for record in gone.sorted(by: { !$0.hasGateway && $1.hasGateway }) where record.kind == kind {
                    guard isWanted(record), current.hasRoom(for: record, wanted: networkState, except) else { continue }
                    attempt { () throws(SystemError) in try change(record, isNew: true) }
                }
            }
        }
        func left() throws(SystemError) -> [String] {
            let current = try self.networkState()
            return current.undone(from: seen, to: networkState, gone: gone, except).changes(to: current, except: except)
        }
        // The kernel takes up to a second to see that a device which came up has a carrier again.
        let running = Set(
            networkState.devices.filter {
                $0.isRunning && known[$0.index]?.isRunning == false && !except.contains($0.index)
            }
            .map(\.index))
        for _ in 0..<75 {
            guard try links().contains(where: { running.contains($0.index) && $0.isUp && !$0.isRunning }) else { break }
            usleep(20_000)
        }
        // Give the kernel a moment to make its own records for a device that comes up.
        try restoreRecords { $0.kind != .address || !$0.isKernels }
        for _ in 0..<10 {
            if try left().isEmpty { break }
            usleep(20_000)
        }
        failures = []
        try restoreRecords { _ in true }
        for _ in 0..<10 {
            if try left().isEmpty { return [] }
            usleep(20_000)
        }
        let still = try left()
        return still.isEmpty ? [] : still + failures.filter { !still.contains($0) }
    }

    private func change(_ record: NetworkState.Record, isNew: Bool) throws(SystemError) {
        // Existing records are not replaced: they are others'.
        let flags = isNew ? NLM_F_CREATE | (record.kind == .route ? NLM_F_APPEND : NLM_F_EXCL) : 0
        do throws(SystemError) {
            try request(isNew ? "put back the" : "take back the", "\(record)") { () throws(NetlinkFailure) in
                let message = try NetlinkMessage(isNew ? record.kind.added : record.kind.deleted, flags: flags)
                var octets = record.octets
                try message.append(&octets, octets.count)
                return message
            }
        } catch {
            // The record is as it should be already.
            guard error.errno != (isNew ? EEXIST : ESRCH), isNew || error.errno != EADDRNOTAVAIL else { return }
            throw error
        }
    }
}

extension NetworkState {
    /// True if a record can be put back into this state: its device is there, and its place is free.
    fileprivate func hasRoom(for record: Record, wanted: NetworkState, _ except: Set<Int32>) -> Bool {
        if records.contains(record) { return false }
        if let device = record.device, except.contains(device) || byIndex[device] == nil { return false }
        guard let key = record.routeKey else { return true }
        return !records.contains { $0.routeKey == key && !wanted.records.contains($0) }
    }

    /// The present network state with the unwanted changes undone. Only records and fields that are still as they were
    /// seen are undone.
    fileprivate func undone(
        from seen: NetworkState, to wanted: NetworkState, gone: Set<Record>, _ except: Set<Int32>
    ) -> NetworkState {
        let (was, now) = (seen.byIndex, byIndex)
        var result = self
        result.devices.removeAll { device in
            wanted.byIndex[device.index] == nil && was[device.index]?.name == device.name
        }
        for device in wanted.devices {
            guard let then = was[device.index] else {
                if now[device.index] == nil { result.devices.append(device) }
                continue
            }
            guard let place = result.devices.firstIndex(where: { $0.index == device.index }) else { continue }
            for field in NetworkRequest.Field.allCases
            where field.differs(device, then) && !field.differs(then, result.devices[place]) {
                field.copy(from: device, to: &result.devices[place])
            }
        }
        result.records.subtract(seen.records.subtracting(wanted.records).filter { !$0.isKernels })
        result.records.formUnion(gone.filter { hasRoom(for: $0, wanted: wanted, except) })
        return result
    }
}
