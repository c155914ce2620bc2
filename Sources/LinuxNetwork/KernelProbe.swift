import CLinux

/// Tries the kernel's features that topologies need. It asks the kernel itself and reads no configuration. It works in
/// a namespace of its own, which goes with the thread that made it.
public struct KernelProbe: Sendable {
    /// One thing that was tried.
    public struct Step: Sendable {
        /// The name of the step: "TAP devices with several queues".
        public var what: String
        /// The kernel's refusal; nil if it works.
        public var refusal: SystemError?
    }
    /// The steps, in this order. If a namespace cannot be made, it tries nothing else.
    public let steps: [Step]
    /// The work that the kernel leaves to a TAP's reader: all, with or without tunnels, or all but UDP segments; empty if a TAP
    /// cannot be made.
    public let offloads: TapOffloads
    /// Whether ports of a bridge can be locked to a MAC address (Linux 5.16).
    public let locksPorts: Bool

    /// Tries all of it. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
    public init() {
        var steps: [Step] = []
        var offloads: TapOffloads = []
        var locksPorts = false
        func attempt(_ what: String, _ body: () throws(SystemError) -> Void) -> Bool {
            do throws(SystemError) {
                try body()
                steps.append(Step(what: what, refusal: nil))
                return true
            } catch {
                steps.append(Step(what: what, refusal: error))
                return false
            }
        }
        do throws(SystemError) {
            try onThreadOfItsOwn { () throws(SystemError) in
                guard
                    attempt(
                        "network namespaces",
                        { () throws(SystemError) in
                            try SystemError.check(clinux_unshare(CLONE_NEWNET), "create a network namespace", "")
                        })
                else { return }
                _ = attempt("TAP devices with several queues") { () throws(SystemError) in
                    offloads = try Self.tryTap()
                }
                let here = try NetworkNamespace.current()
                let netlink = try NetlinkSocket()
                var bridge: Int32 = 0
                guard
                    attempt(
                        "bridges",
                        { () throws(SystemError) in
                            bridge = try netlink.createBridge(LinkSettings(name: "bridge"))
                        })
                else { return }
                _ = attempt("veth pairs on isolated bridge ports") { () throws(SystemError) in
                    let pair = try netlink.createVeth(
                        near: LinkSettings(name: "near", master: bridge), far: LinkSettings(name: "far"), in: here)
                    try netlink.setBridgePort(
                        index: pair.near,
                        BridgePortSettings(isolated: true, learning: false, unicastFlood: false, locked: true))
                    locksPorts = try netlink.isLockedPort(index: pair.near)
                }
            }
        } catch {
            steps.append(Step(what: "route netlink", refusal: error))
        }
        self.steps = steps
        self.offloads = offloads
        self.locksPorts = locksPorts
    }

    private static func tryTap() throws(SystemError) -> TapOffloads {
        var queues = OwnedDescriptors()
        for _ in 0..<2 {
            queues.append(
                OwnedDescriptor(
                    owning: try SystemError.check(
                        clinux_tap_open("probe", 1, Int32(CLINUX_VNET_HEADER)), "open a queue of the TAP", "probe")))
        }
        if TapDevice.takesTunnels(queues.numbers[0]) { return .underlay }
        if clinux_tap_set_offload(queues.numbers[0], TapOffloads.all.rawValue) == 0 { return .all }
        try SystemError.check(
            clinux_tap_set_offload(queues.numbers[0], TapOffloads.withoutUDP.rawValue), "set the offloads of the TAP",
            "probe")
        return .withoutUDP
    }
}
