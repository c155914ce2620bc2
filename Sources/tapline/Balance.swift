import Appliance
import ArgumentParser
import ControlAPI
import Forwarding

/// Counts how flows are shared among instances.
struct Balance: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Count how flows are shared among instances, and how many move when an instance goes.",
        discussion: """
            Flows of random addresses and ports are assigned to groups of several sizes. They are counted before and after each
            change: an instance is lost, a second one is lost, one is added, one gets twice its weight. 'Moved' counts the flows
            of the instance that changed. 'Others' counts flows that moved between two other instances. Needs no root and changes
            nothing.
            """.paragraphs)

    @Option(help: "The number of flows.")
    var flows = 100_000

    @Option(help: "The seed of the flows and of the instances' slots: 0 or more.")
    var seed: UInt64 = 1

    @Option(
        help: ArgumentHelp(
            "One group with these weights, separated by commas. (default: 2 to 256 instances, equal and mixed weights)",
            valueName: "weights"))
    var weights: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard (1_000...10_000_000).contains(flows) else { throw ValidationError("--flows takes 1000 to 10000000") }
        if weights != nil, given == nil {
            throw ValidationError(
                "--weights takes two to 4096 whole numbers from 1 to 1000, separated by commas: 1,1,2")
        }
    }

    private var given: [Int]? {
        guard let weights else { return nil }
        let numbers = weights.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard (2...4096).contains(numbers.count), numbers.allSatisfy({ (1...1000).contains($0 ?? 0) }) else {
            return nil
        }
        return numbers.compactMap { $0 }
    }

    /// Equal weights, and weights from 1 to 5.
    private var groups: [(label: String, weights: [Int])] {
        if let given { return [("given", given)] }
        return [2, 3, 4, 8, 16, 32, 64, 128, 256].flatMap { count in
            [
                ("equal", [Int](repeating: 1, count: count)),
                ("1…5", (0..<count).map { $0 * 7 % 5 + 1 }),
            ]
        }
    }

    func run() throws {
        var rows: [Row] = []
        for (label, weights) in groups {
            let clock = ContinuousClock()
            let group = BalanceMeasurement.group(weights, seed)
            let time = (0..<5).map { _ in clock.measure { _ = group.slots() } }.min() ?? .zero
            rows.append(
                Row(label, BalanceMeasurement(weights: weights, flows: flows, seed: seed), time / .microseconds(1)))
        }
        if json {
            Terminal.json(try prettyJSON(rows))
            return
        }
        print("\(flows) flows, seed \(seed); percent of all flows")
        print(Row.heading)
        for row in rows { print(row.line) }
        print(
            "most flows moved between two other instances: \(percent(rows.map(\.worst).max() ?? 0))"
        )
    }
}

/// A part as percent, with three decimal places.
private func percent(_ part: Double) -> String {
    let thousandths = Int((part * 100_000).rounded())
    let digits = String(thousandths % 1000)
    return "\(thousandths / 1000).\(String(repeating: "0", count: 3 - digits.count))\(digits) %"
}

/// One group of the listing.
private struct Row: Encodable {
    /// Parts of all flows, 0…1.
    struct Movement: Encodable {
        var moved: Double
        var others: Double
    }
    var instances: Int
    var weights: String
    var flows: Int
    var most: Double
    var least: Double
    var lost: Movement
    var lostAnother: Movement?
    var added: Movement
    var weighed: Movement
    var microseconds: Double

    init(_ label: String, _ measured: BalanceMeasurement, _ microseconds: Double) {
        instances = measured.instances
        weights = label
        flows = measured.flows
        most = measured.most
        least = measured.least
        func movement(_ change: BalanceMeasurement.Change) -> Movement? {
            measured.movements.first { $0.change == change }.map { Movement(moved: $0.concerned, others: $0.others) }
        }
        lost = movement(.lost) ?? Movement(moved: 0, others: 0)
        lostAnother = movement(.lostAnother)
        added = movement(.added) ?? Movement(moved: 0, others: 0)
        weighed = movement(.weighed) ?? Movement(moved: 0, others: 0)
        self.microseconds = microseconds
    }

    var worst: Double { [lost, lostAnother, added, weighed].compactMap { $0?.others }.max() ?? 0 }

    private static func padded(_ cells: [String]) -> String {
        let widths = [9, 7, 16, 18, 18, 18, 18, 8]
        return zip(cells, widths).map { cell, width in
            String(repeating: " ", count: max(0, width - cell.count)) + cell
        }.joined(separator: " ")
    }

    static let heading = padded([
        "instances", "weights", "least…most", "lost/others", "another/others", "added/others", "weighed/others",
        "built",
    ])

    var line: String {
        func cell(_ movement: Movement?) -> String {
            movement.map { "\(percent($0.moved).dropLast(2))/\(percent($0.others).dropLast(2))" } ?? "-"
        }
        return Self.padded([
            String(instances), weights, "\(percent(least).dropLast(3))…\(percent(most).dropLast(3))", cell(lost),
            cell(lostAnother), cell(added), cell(weighed), "\(Int(microseconds.rounded())) us",
        ])
    }
}
