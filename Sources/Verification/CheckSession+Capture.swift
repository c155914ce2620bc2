import Fabric
import LinuxNetwork
import Nodes
import PacketCapture
import Plan
import Reporting

extension CheckSession {
    /// Captures on a node's device from now on.
    func capture(_ place: CapturePlace) throws(ApplianceError) -> StepOutcome {
        concern(place.node)
        let node = try sources.node(place.node)
        guard let leg = node.plan.legs.first(where: { $0.interface == place.interface }) else {
            return StepOutcome(holds: false, expected: ["a device on the interface"], came: ["there is none"])
        }
        captures[place]?.stop()
        try sources.directory.createNode(place.node)
        captures[place] = try FrameCapture(
            on: leg.device, in: node.namespace,
            path: "\(sources.directory.nodePath(place.node))/capture-\(leg.device).pcap",
            PcapngInterface(
                node: place.node, interface: sources.plan.interfaces[place.interface].name,
                description: "device \(leg.device) of node '\(place.node)'", hardwareAddress: leg.mac),
            sources.plan.captureNames, PacketPlace(sources.plan, leg))
        return .held
    }

    /// Looks at the content of a capture until now.
    func lookAtCapture(
        _ place: CapturePlace, _ filter: FrameFilter, _ frames: NumberExpectation?, _ bytes: NumberExpectation?
    ) -> StepOutcome {
        guard let capture = captures[place] else {
            return StepOutcome(holds: false, expected: ["a capture of \(place.node)"], came: ["none was started"])
        }
        capture.flush()
        let counted = capture.count(filter)
        var unmet: [String] = []
        if let frames, !frames.holds(for: counted.frames) { unmet.append("frames \(frames.summary)") }
        if let bytes, !bytes.holds(for: counted.bytes) { unmet.append("bytes \(bytes.summary)") }
        var came = ["\(counted.frames) such frames with \(counted.bytes) bytes"]
        // A lost frame might have been one of these: only "at least" holds without it.
        let isCertain = [frames, bytes].compactMap { $0 }.allSatisfy { [.atLeast, .more].contains($0.comparison) }
        if counted.lost > 0, !isCertain || !unmet.isEmpty {
            if unmet.isEmpty { unmet.append("a whole capture") }
            came.append(
                "\(Plural.counted(counted.lost, "frame")) \(counted.lost == 1 ? "was" : "were") not captured, because the capture was full"
            )
        }
        return StepOutcome(unmet: unmet, came: came)
    }
}
