import Forwarding
import Reporting

/// The settings of an impairment as files and commands write them: each a key and a text.
public enum ImpairmentText {
    /// A text that is no value of its key.
    public struct Fault: Error, Sendable, Hashable {
        /// What is wrong, as the rest of a sentence.
        public var what: String
        /// What to write.
        public var hint: String

        package init(what: String, hint: String) {
            self.what = what
            self.hint = hint
        }
    }

    /// The keys, in the order of the stages that packets pass.
    public static let keys = [
        "loss", "duplicate", "corrupt", "rate", "queue", "delay", "jitter", "reorder", "seed",
    ]
    /// The keys of loss in bursts.
    public static let burstKeys = ["enter", "leave", "good", "bad"]
    /// The seeds that a file can have.
    public static let seeds = 0...Int.max

    /// Sets the value of a key.
    ///
    /// - Parameters:
    ///   - key: One of `keys`.
    ///   - text: Its value; loss in bursts is written `enter=1%,leave=25%`.
    /// - Throws: `Fault` if the text is no value of the key.
    public static func set(
        _ key: String, _ text: String, in impairment: inout Impairment
    ) throws(Fault) {
        switch key {
        case "loss" where text.contains("="):
            var values: [String: String] = [:]
            for part in text.split(separator: ",") {
                let pair = part.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " } }
                guard pair.count == 2, burstKeys.contains(String(pair[0])) else {
                    throw Fault(what: "is \(quoted(text))", hint: "write 1%, or enter=1%,leave=25%")
                }
                values[String(pair[0])] = String(pair[1])
            }
            impairment.loss = .bursts(try bursts(values))
        case "loss": impairment.loss = .independent(try probability(text))
        case "duplicate": impairment.duplicate = try probability(text)
        case "corrupt": impairment.corrupt = try probability(text)
        case "reorder": impairment.reorder = try probability(text)
        case "delay": impairment.delay = try delay(text)
        case "jitter": impairment.jitter = try delay(text)
        case "rate": impairment.rate = try rate(text)
        case "queue": impairment.queue = try number(text, in: Impairment.queues)
        case "seed": impairment.seed = UInt64(try number(text, in: seeds))
        default: throw Fault(what: "is no setting", hint: "the settings are \(keys.joined(separator: ", "))")
        }
    }

    /// Loss in bursts.
    ///
    /// - Parameter values: The texts of `burstKeys`.
    /// - Throws: `Fault` if a text is no probability, or `enter` or `leave` is missing.
    public static func bursts(_ values: [String: String]) throws(Fault) -> Impairment.LossBursts {
        guard let enter = values["enter"], let leave = values["leave"] else {
            throw Fault(
                what: "has no `\(values["enter"] == nil ? "enter" : "leave")`",
                hint: "write { enter: 1%, leave: 25% }: how often a bad time begins, and ends, after a packet")
        }
        var bursts = Impairment.LossBursts(enter: try probability(enter), leave: try probability(leave))
        if let good = values["good"] { bursts.good = try probability(good) }
        if let bad = values["bad"] { bursts.bad = try probability(bad) }
        return bursts
    }

    /// Percent with up to seven digits behind the point, exactly.
    static func probability(_ text: String) throws(Fault) -> Probability {
        let fault = Fault(
            what: "is \(quoted(text))", hint: "write a percentage from 0% to 100%, such as 1% or 0.01%")
        guard let (whole, digits) = decimal(text.hasSuffix("%") ? text.dropLast() : text[...], most: 7) else {
            throw fault
        }
        let billionths = whole * 10_000_000 + digits
        guard whole <= 100, billionths <= 1_000_000_000 else { throw fault }
        return Probability(billionths: billionths)
    }

    /// `20ms`, `500us`, `1.5s`.
    ///
    /// - Throws: `Fault` if the text is no delay, or too long a one.
    package static func delay(_ text: String) throws(Fault) -> Duration {
        let fault = Fault(
            what: "is \(quoted(text))", hint: "write a time from 0ms to 10s, such as 20ms, 1.5ms or 250us")
        let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        let unit: Int64? =
            switch text.dropFirst(digits.count) {
            case "us": 1_000
            case "ms": 1_000_000
            case "s": 1_000_000_000
            case "" where digits == "0": 1
            default: nil
            }
        guard let unit, let (whole, thousandths) = decimal(digits, most: 3), whole <= 10_000_000 else { throw fault }
        let time = Duration.nanoseconds(Int64(whole) * unit + Int64(thousandths) * unit / 1_000)
        guard time <= Impairment.longestDelay else { throw fault }
        return time
    }

    /// `10mbit`, `1.5gbit`, `64kbit`, `9600bit`: in a second.
    static func rate(_ text: String) throws(Fault) -> Int {
        let fault = Fault(
            what: "is \(quoted(text))",
            hint: "write bits in a second, such as 64kbit, 10mbit or 1.5gbit; at least 1kbit")
        let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        let unit: Int? =
            switch text.dropFirst(digits.count).lowercased() {
            case "bit": 1
            case "kbit": 1_000
            case "mbit": 1_000_000
            case "gbit": 1_000_000_000
            default: nil
            }
        guard let unit, let (whole, thousandths) = decimal(digits, most: 3), whole <= 1_000_000_000_000 / unit else {
            throw fault
        }
        let rate = whole * unit + thousandths * unit / 1_000
        guard Impairment.rates.contains(rate) else { throw fault }
        return rate
    }

    private static func number(_ text: String, in range: ClosedRange<Int>) throws(Fault) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw Fault(
                what: "is \(quoted(text))",
                hint: "write a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// The digits before the point, and those behind it, filled up to `most` digits.
    private static func decimal(_ text: Substring, most: Int) -> (whole: Int, fraction: Int)? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, !first.isEmpty, first.allSatisfy({ ("0"..."9").contains($0) }),
            first.count <= 12, let whole = Int(first)
        else { return nil }
        guard parts.count == 2 else { return (whole, 0) }
        guard !parts[1].isEmpty, parts[1].count <= most, parts[1].allSatisfy({ ("0"..."9").contains($0) }),
            let fraction = Int(parts[1] + String(repeating: "0", count: most - parts[1].count))
        else { return nil }
        return (whole, fraction)
    }
}

extension ImpairmentPair {
    /// The settings as files write them, for listings.
    public var text: String {
        if toNodes == fromNodes { return toNodes?.text ?? "nothing" }
        let parts = [("to nodes", toNodes), ("from nodes", fromNodes)].compactMap { direction, impairment in
            impairment.map { "\(direction) \($0.text)" }
        }
        return parts.isEmpty ? "nothing" : parts.joined(separator: "; ")
    }
}

extension Impairment {
    /// What makes no sense of settings together; nil: nothing.
    ///
    /// - Parameter hasQueue: Whether a queue was written.
    package func contradiction(hasQueue: Bool) -> (key: String, what: String, hint: String)? {
        if jitter > delay {
            return (
                "jitter", "the jitter is larger than the delay, so packets would arrive before they are sent",
                "write a jitter of at most the delay"
            )
        }
        if !trace.isEmpty, delay > .zero || jitter > .zero {
            return ("trace", "the trace has the delays already", "remove `trace`, or `delay` and `jitter`")
        }
        if reorder > .never, delay == .zero, trace.isEmpty {
            return (
                "reorder", "without a delay no packet can overtake another",
                "add `delay`: reordered packets are sent without it"
            )
        }
        if hasQueue, rate == 0 {
            return ("queue", "packets queue for a rate, and there is none", "add `rate`, or remove `queue`")
        }
        return nil
    }

    /// The settings as files write them, for listings: `delay: 20ms, loss: 1%`.
    public var text: String {
        var parts: [String] = []
        switch loss {
        case .independent(let probability):
            if probability > .never { parts.append("loss: \(Self.percent(probability))") }
        case .bursts(let bursts):
            parts.append(
                "loss: { enter: \(Self.percent(bursts.enter)), leave: \(Self.percent(bursts.leave)), good: "
                    + "\(Self.percent(bursts.good)), bad: \(Self.percent(bursts.bad)) }")
        }
        if duplicate > .never { parts.append("duplicate: \(Self.percent(duplicate))") }
        if corrupt > .never { parts.append("corrupt: \(Self.percent(corrupt))") }
        if rate > 0 { parts += ["rate: \(Self.bits(rate))", "queue: \(queue)"] }
        if delay > .zero { parts.append("delay: \(Self.time(delay))") }
        if jitter > .zero { parts.append("jitter: \(Self.time(jitter))") }
        if !trace.isEmpty { parts.append("trace: \(trace.count) delays") }
        if reorder > .never { parts.append("reorder: \(Self.percent(reorder))") }
        if seed != 0 { parts.append("seed: \(seed)") }
        return parts.joined(separator: ", ")
    }

    private static func percent(_ probability: Probability) -> String {
        decimal(probability.billionths, unit: 10_000_000, digits: 7) + "%"
    }

    private static func bits(_ rate: Int) -> String {
        let units = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1_000, "kbit")]
        let (unit, name) = units.first { rate >= $0.0 && rate % ($0.0 / 1_000) == 0 } ?? (1, "bit")
        return decimal(rate, unit: unit, digits: 3) + name
    }

    private static func time(_ time: Duration) -> String {
        let (whole, attoseconds) = time.components
        let nanoseconds = Int(whole) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)
        let units = [(1_000_000_000, "s"), (1_000_000, "ms")]
        let (unit, name) = units.first { nanoseconds >= $0.0 && nanoseconds % ($0.0 / 1_000) == 0 } ?? (1_000, "us")
        return decimal(nanoseconds, unit: unit, digits: 3) + name
    }

    private static func decimal(_ number: Int, unit: Int, digits: Int) -> String {
        let (whole, rest) = number.quotientAndRemainder(dividingBy: unit)
        guard rest > 0, unit > 1 else { return "\(whole)" }
        var fraction = String(String(rest + unit).dropFirst().prefix(digits))
        while fraction.last == "0" { fraction.removeLast() }
        return "\(whole).\(fraction)"
    }
}
