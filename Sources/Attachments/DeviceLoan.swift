import EventLoop
import Glibc
import LinuxNetwork
import Reporting
import Wire

/// A device of the machine that is an interface of a topology for a time: what it was, so that it can be given back as it
/// was.
///
/// The loan is written down before the device is touched, and the device is marked from the first change until the last.
/// So whatever ends the control process, `giveBack` finds how far it had come, and it can be repeated.
public struct DeviceLoan: Codable, Sendable, Equatable {
    /// The interface that it is bound to.
    public var interface: String
    /// The device as it was.
    public var state: DeviceState
    /// The number of the namespace that it is from.
    public var home: UInt64

    /// The end of the mark of a device that is lent.
    private static let lent = " lent"

    /// The mark of lent devices of a run.
    ///
    /// - Parameter mark: The beginning of the run's mark, with the topology and the run.
    private static func mark(_ mark: String) -> String {
        mark.split(separator: " ").prefix(3).joined(separator: " ") + lent
    }

    /// True if a device is one that a topology whose marks begin so has been lent.
    private static func isLent(_ link: Link, _ prefix: String) -> Bool {
        guard let alias = link.alias else { return false }
        return alias.hasPrefix(prefix) && alias.hasSuffix(lent)
    }

    // MARK: - Lending

    /// Moves the device into the fabric, as a port of an interface's bridge. It carries frames of this MTU there.
    ///
    /// - Returns: Its number there.
    /// - Throws: The kernel's refusal. `giveBack` undoes what was done.
    package func lend(
        to fabric: NetworkNamespace, bridge: Int32, mtu: Int, mark: String, learns: Bool
    ) throws(SystemError) -> Int32 {
        let home = try NetworkNamespace.current()
        let netlink = try home.netlink
        try netlink.setLink(index: state.index, mark: Self.mark(mark))
        try netlink.moveLink(index: state.index, to: fabric, name: state.name)
        let there = try fabric.netlink
        let link = try there.existingLink(named: state.name)
        if link.mtu != mtu { try there.setLink(index: link.index, mtu: mtu) }
        // Frames that another device was to finish, or that were put together, are not what the wire carries.
        try there.setFeatures(Self.lies(link, state.features), of: state.name, on: false)
        try there.setLink(index: link.index, master: bridge)
        try there.setBridgePort(
            index: link.index,
            BridgePortSettings(
                isolated: true, learning: learns, unicastFlood: learns, multicastFlood: true, broadcastFlood: true))
        try there.setLink(index: link.index, up: true)
        return link.index
    }

    /// The features that must be off. A veth hands its frames to another namespace as if they had been on a wire.
    private static func lies(_ link: Link, _ features: [String]) -> [String] {
        features.filter { feature in
            if feature == "rx-lro" || feature == "rx-gro-hw" { return true }
            guard link.kind == "veth", feature.hasPrefix("tx-") else { return false }
            return feature.hasPrefix("tx-checksum") || feature.hasPrefix("tx-scatter-gather")
                || feature.hasPrefix("tx-gso-") || feature.contains("segmentation")
        }
    }

    // MARK: - Giving back

    /// Gives the device back: it is where it was, as it was. One that was not touched, or is back already, stays as it is.
    ///
    /// - Parameters:
    ///   - fabric: Where it was lent to; nil if that is gone.
    ///   - prefix: The beginning of the topology's marks.
    /// - Throws: `ApplianceError` if it cannot be given back as it was.
    package func giveBack(from fabric: NetworkNamespace?, markedAs prefix: String) throws(ApplianceError) {
        // Where the namespace is gone, nobody misses the device: the kernel takes hardware to the machine's own.
        guard let home = NamespaceSearch.namespace(home) else { return }
        do throws(SystemError) {
            if let fabric, let link = try fabric.netlink.links().first(where: { Self.isLent($0, prefix) && isThis($0) })
            {
                try fabric.netlink.setLink(index: link.index, up: false)
                if link.master != nil { try fabric.netlink.setLink(index: link.index, master: nil) }
                try moveHome(link, from: fabric, to: home)
            }
            guard let link = try home.netlink.links().first(where: { Self.isLent($0, prefix) && isThis($0) }) else {
                return
            }
            if link.name != state.name { try home.netlink.renameLink(index: link.index, to: state.name) }
            let failures = try state.restore(in: home)
            guard failures.isEmpty else {
                throw SystemError(
                    "give back the device", "\(state.name): \(failures.joined(separator: "; "))", errno: 0)
            }
        } catch {
            throw ApplianceError(
                .failed, "the device \(state.name) of interface \(interface) cannot be given back as it was: \(error)",
                hint: error.errno == EEXIST
                    ? "another device has its name now: rename that one, then run the command again"
                    : "mend the cause, then run the command again")
        }
    }

    /// True if a marked device is the one of this loan: it may have been renamed.
    private func isThis(_ link: Link) -> Bool {
        link.name == state.name || link.mac.map { "\($0)" } == state.hardwareAddress
    }

    private func moveHome(
        _ link: Link, from fabric: NetworkNamespace, to home: NetworkNamespace
    ) throws(SystemError) {
        do throws(SystemError) {
            try fabric.netlink.moveLink(index: link.index, to: home, name: state.name, number: state.index)
        } catch {
            // Its number was given to another device meanwhile, or the kernel gives none (before Linux 5.13).
            guard [EBUSY, EINVAL, EEXIST, EOPNOTSUPP].contains(error.errno),
                try home.netlink.link(named: state.name) == nil
            else { throw error }
            try fabric.netlink.moveLink(index: link.index, to: home, name: state.name)
        }
    }
}

/// Finds namespaces by their numbers.
enum NamespaceSearch {
    /// The namespace of a number: this process's own, the machine's, a named one, or one that a process is in.
    static func namespace(_ wanted: UInt64) -> NetworkNamespace? {
        if let own = try? NetworkNamespace.current(), own.identity == wanted { return own }
        if let first = try? NetworkNamespace.open(pid: 1), first.identity == wanted { return first }
        for name in namesInFolder("/run/netns") {
            if let named = try? NetworkNamespace.open(name), named.identity == wanted { return named }
        }
        for pid in namesInFolder("/proc").compactMap({ Int32($0) }) {
            var info = stat()
            guard stat("/proc/\(pid)/ns/net", &info) == 0, UInt64(info.st_ino) == wanted,
                let found = try? NetworkNamespace.open(pid: pid), found.identity == wanted
            else { continue }
            return found
        }
        return nil
    }
}
