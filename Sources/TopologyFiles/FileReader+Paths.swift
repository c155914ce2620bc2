import Plan
import Reporting
import Wire
import Yams

extension FileReader {
    /// The packets whose paths a check measures.
    func path(_ fields: Fields) -> RawPath? {
        guard let node = fields["path"] else { return nil }
        let path = nodes.fields(node, "a path", Grammar.path)
        guard path.isMapping else { return nil }
        let count =
            nodes.integer(path["count"], "`count`", in: PathPlan.counts) ?? Located(Self.usualCount, path.origin)
        let (expectation, order) = expectation(path, usual: NumberExpectation(.equal, 0), of: count.value)
        let paths = pathCount(path["paths"], of: count.value)
        let through = ways(path["through"])
        nodes.refuseEmptyList(path, "through", "all ways")
        let within = times(path)
        guard let train = train(path) else { return nil }
        if let flows = train.flows, flows.value > count.value {
            diagnostics.error(
                flows.origin, "\(Plural.counted(count.value, "packet")) cannot belong to \(flows.value) flows",
                hint: "write `flows: \(count.value)` or less, or a larger `count`")
        }
        let seconds = UInt64(count.value) * train.interval / 1_000_000_000
        if seconds > Self.longestTrain {
            diagnostics.error(
                count.origin,
                "\(count.value) packets at this rate take \(seconds) s, and at most \(Self.longestTrain) s can be",
                hint: "send fewer, or raise `rate`")
        }
        return RawPath(
            train: train, count: count, expectation: expectation, order: order, paths: paths, through: through,
            within: within)
    }

    /// The packets that are sent while steps run.
    func outage(_ fields: Fields) -> RawOutage? {
        guard let node = fields["outage"] else { return nil }
        let outage = nodes.fields(node, "an outage", Grammar.outage)
        guard outage.isMapping else { return nil }
        let steps = nodes.list(outage["while"])
        if steps.isEmpty {
            diagnostics.error(
                outage["while"] == nil ? outage.origin : outage.origin(of: "while"),
                "the outage has no steps to be measured over", hint: "add `while: [{ kill: node }]`, for example")
        }
        let inner = steps.compactMap { step -> RawStep? in
            guard let read = self.step(step) else { return nil }
            if case .outage = read.action {
                diagnostics.error(
                    step.origin, "an outage cannot be measured inside of another one",
                    hint: "write it as a step of its own, or give the outer one more `flows`")
                return nil
            }
            return read
        }
        let (expectation, order) = expectation(outage, usual: nil, of: nil)
        let gap = outage["longest-gap"].flatMap { timeBound($0, "`longest-gap`") }
        if ["lost", "longest-gap", "reordered", "duplicated"].allSatisfy({ outage[$0] == nil }),
            !hasStrayKeys(outage, Grammar.outage)
        {
            diagnostics.error(
                outage.origin, "the outage expects nothing", hint: "add `longest-gap: \"<= 40ms\"` or `lost: \"<= 3\"`")
        }
        let answered = nodes.flag(outage["answered"], "`answered`")?.value
        let settle = nodes.duration(outage["settle"], "`settle`")
        if let settle, settle.value > Self.longestSettling {
            diagnostics.error(
                settle.origin, "`settle` is longer than \(Self.longestSettling / 1000) s",
                hint: "add a step `wait` to `while` instead")
        }
        guard let train = train(outage) else { return nil }
        return RawOutage(
            train: train, steps: inner, expectation: expectation, order: order, longestGap: gap,
            countsAnswers: answered, settle: settle?.value ?? Self.usualSettling)
    }

    private static let usualCount = 1000
    /// The longest time that packets may take to be sent, in seconds.
    private static let longestTrain: UInt64 = 600
    /// The times after the steps, in milliseconds.
    private static let usualSettling = 500
    private static let longestSettling = 60_000
    /// The usual time from one packet to the next, in nanoseconds.
    private static let usualInterval: UInt64 = 1_000_000

    private func train(_ fields: Fields) -> RawTrain? {
        for key in ["from", "to"] where fields[key] == nil {
            diagnostics.error(
                fields.origin, "\(fields.subject) has no `\(key)`",
                hint: key == "from" ? "add `from: node`, the sender" : "add `to: address`, the destination")
        }
        let from = nodes.text(fields["from"], "`from`")
        let port = nodes.port(fields["port"], "`port`", mayBeZero: true) ?? Located(.icmp, fields.origin)
        let source = host(fields["source"], "`source`")
        let size = nodes.integer(fields["size"], "`size`", in: 20...65535)
        let hopLimit = nodes.integer(fields["ttl"], "`ttl`", in: 1...255)
        let flows = nodes.integer(fields["flows"], "`flows`", in: 1...ProbeTrainPlan.mostFlows)
        var interval = Self.usualInterval
        if let rate = nodes.text(fields["rate"], "`rate`") {
            if let written = RateText.interval(rate.value) {
                interval = written
            } else {
                diagnostics.error(rate.origin, "`rate` is \(quoted(rate.value))", hint: RateText.hint)
            }
        }
        guard let from, let to = host(fields["to"], "`to`") else { return nil }
        let packet = RawPacket(
            origin: fields.origin, from: from, source: source, to: to, port: port, sourcePort: nil, payload: nil,
            size: size, hopLimit: UInt8(hopLimit?.value ?? 64), dontFragment: false, reaches: [], answer: nil)
        return RawTrain(packet: packet, interval: interval, flows: flows)
    }

    /// How many distinct paths packets may take: at least one, and at most one each.
    private func pathCount(_ node: Node?, of packets: Int) -> NumberExpectation? {
        guard let node, let paths = number(node, "`paths`") else { return nil }
        let most = min(packets, PathPlan.mostPaths)
        if !paths.isMetByNone(upTo: .max), !(1...most).contains(where: { paths.holds(for: UInt64($0)) }) {
            let range = most == 1 ? "one path" : "1 to \(most) paths"
            diagnostics.error(
                node.origin,
                "`paths` is \(quoted(node.scalar?.string ?? "")), but \(Plural.counted(packets, "packet")) can take \(range)",
                hint: most == 1
                    ? "write 1, or a larger `count`" : "write a number from 1 to \(most), or a comparison with one")
        }
        return paths
    }

    /// What may become of the packets, and where their order is expected.
    ///
    /// - Parameter packets: How many there are; nil if nobody knows.
    private func expectation(
        _ fields: Fields, usual: NumberExpectation?, of packets: Int?
    ) -> (TrainExpectation, order: SourceOrigin?) {
        func count(_ key: String, atMost most: Int?) -> NumberExpectation? {
            guard let node = fields[key] else { return usual }
            let bound = most.map { UInt64(max(0, $0)) } ?? .max
            let what = "`\(key)`" + (packets.map { " of \(Plural.counted($0, "packet"))" } ?? "")
            return node.scalar?.string == "any" ? nil : number(node, what, atMost: bound, orWord: "any")
        }
        // The first packet is never behind a later one.
        let expectation = TrainExpectation(
            lost: count("lost", atMost: packets), reordered: count("reordered", atMost: packets.map { $0 - 1 }),
            duplicated: count("duplicated", atMost: nil))
        let isWritten = fields["reordered"] != nil && expectation.reordered != nil
        return (expectation, isWritten ? fields.origin(of: "reordered") : nil)
    }

    /// The ways of packets: a list of lists, or one list of names.
    private func ways(_ node: Node?) -> [[Located<String>]] {
        let list = nodes.list(node)
        if !list.isEmpty, list.allSatisfy({ $0.scalar != nil }) { return [nodes.texts(node, "a node of `through`")] }
        return list.map { nodes.texts($0, "a node of `through`") }
    }

    private func times(
        _ path: Fields
    ) -> [(node: Located<String>, figure: PathPlan.Figure, time: TimeExpectation)] {
        guard let node = path["within"] else { return [] }
        guard node.mapping != nil else {
            diagnostics.error(
                node.origin, "`within` of a path is \(node.shape)",
                hint: "name nodes: `within: { firewall: { p99: 5ms } }`")
            return []
        }
        let named = nodes.entries(node, "`within`")
        if named.pairs.isEmpty {
            diagnostics.error(node.origin, "`within` names no node", hint: "write `within: { firewall: { p99: 5ms } }`")
        }
        return named.pairs.flatMap { name, value -> [(Located<String>, PathPlan.Figure, TimeExpectation)] in
            let fields = nodes.fields(value, "the times of \(quoted(name.value))", Grammar.pathTimes)
            if fields.isMapping, fields.pairs.isEmpty {
                diagnostics.error(
                    name.origin, "\(quoted(name.value)) has no time", hint: "write `\(name.value): { p99: 5ms }`")
            }
            return PathPlan.Figure.allCases.compactMap { figure in
                guard let written = fields[figure.rawValue], let time = timeBound(written, "`\(figure.rawValue)`")
                else { return nil }
                return (name, figure, time)
            }
        }
    }

    private func timeBound(_ node: Node, _ what: String) -> TimeExpectation? {
        guard let written = nodes.text(node, what) else { return nil }
        guard let time = TimeExpectation(written.value) else {
            diagnostics.error(written.origin, "\(what) is \(quoted(written.value))", hint: TimeExpectation.hint)
            return nil
        }
        if time.isMetByNone {
            diagnostics.error(
                written.origin, "\(what) is \(quoted(written.value)), which no time can satisfy",
                hint: TimeExpectation.hint)
        } else if time.isMetByAll {
            diagnostics.remark(
                written.origin, "\(what) is \(quoted(written.value)), which every time satisfies",
                hint: "\(TimeExpectation.hint), or remove it")
        }
        return time
    }
}
