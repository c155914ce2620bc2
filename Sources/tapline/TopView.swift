import ControlAPI
import Metrics
import Reporting
import Tracing

/// What `tapline top` shows of rates, and how keys change that. It knows no terminal.
struct TopView {
    let name: String
    var order: RateOrder
    var filter: String
    private var isReversed = false
    private var kind: RateReport.Kind?
    /// The first row that is shown.
    private var first = 0
    /// The filter before it was edited; nil while it is not edited.
    private var filterBefore: String?
    /// Lines of rows in the last picture.
    private var page = 1

    init(name: String, order: RateOrder, filter: String) {
        self.name = name
        self.order = order
        self.filter = filter
    }

    // MARK: - Keys

    private static let orders: [Character: RateOrder] = [
        "p": .packets, "b": .bits, "d": .drops, "c": .processor, "m": .memory, "t": .time,
        "n": .name,
    ]

    /// Takes a key.
    ///
    /// - Returns: False if it ends the view.
    mutating func take(_ key: Key) -> Bool {
        if filterBefore != nil {
            edit(key)
            return true
        }
        switch key {
        case .character("q"), .character("Q"): return false
        case .character("r"): isReversed.toggle()
        case .character("/"): filterBefore = filter
        case .character(let letter):
            guard let chosen = Self.orders[letter] else { return true }
            (order, first) = (chosen, 0)
        case .tab:
            let kinds: [RateReport.Kind?] = [nil] + RateReport.Kind.allCases
            kind = kinds[((kinds.firstIndex(of: kind) ?? 0) + 1) % kinds.count]
            first = 0
        case .escape: (filter, kind, first) = ("", nil, 0)
        case .up: first -= 1
        case .down: first += 1
        case .pageUp: first -= page
        case .pageDown: first += page
        case .enter, .backspace: break
        }
        return true
    }

    private mutating func edit(_ key: Key) {
        first = 0
        switch key {
        case .enter: filterBefore = nil
        case .escape: (filter, filterBefore) = (filterBefore ?? "", nil)
        case .backspace: _ = filter.popLast()
        case .character(let character): filter.append(character)
        default: break
        }
    }

    // MARK: - Picture

    /// The lines of a screen.
    ///
    /// - Parameters:
    ///   - report: nil while there are not two samples yet.
    ///   - isPlain: Whether no line may have control sequences.
    mutating func lines(_ report: RateReport?, columns: Int, lines: Int, isPlain: Bool) -> [String] {
        guard let report else { return [Self.cut("\(name): the first rates come after one interval", to: columns)] }
        let rows = report.rows(of: kind, filter: filter, by: order, isReversed: isReversed)
        let head = heading(report, rows.count)
        page = max(1, lines - head.count - 2)
        first = max(0, min(first, rows.count - page))
        let title = Self.cut(Self.line(Self.titles, columns), to: columns)
        var picture = head.map { Self.cut($0, to: columns) }
        picture.append(isPlain ? title : "\u{1B}[7m" + Self.padded(title, to: columns) + "\u{1B}[27m")
        picture += rows[first...].prefix(page).map { row in
            Self.cut(Self.line(Self.cells(row), columns, behind: Self.times(row)), to: columns)
        }
        picture = Array(picture.prefix(max(0, lines - 1)))
        picture += Array(repeating: "", count: max(0, lines - 1 - picture.count))
        return Array((picture + [Self.cut(footing, to: columns)]).suffix(max(1, lines)))
    }

    private func heading(_ report: RateReport, _ count: Int) -> [String] {
        func sum(_ kind: RateReport.Kind, _ direction: String?, _ value: (RateReport.Row) -> Double?) -> Double {
            report.rows.filter { $0.kind == kind && $0.direction == direction }.reduce(0) { $0 + (value($1) ?? 0) }
        }
        let received = sum(.interface, "received", \.packets)
        let dropped = report.rows.filter { $0.kind == .interface }.reduce(0) { $0 + ($1.drops ?? 0) }
        let engines = report.rows.filter { $0.kind == .engine }
        let packets = engines.reduce(0) { $0 + ($1.packets ?? 0) }
        let joined = engines.reduce(0) { $0 + ($1.packets ?? 0) * ($1.coalesced ?? 0) }
        let processor = report.rows.reduce(0) { $0 + ($1.processor ?? 0) }
        let clock = ApplianceEvent.timeText(report.time).dropFirst(11).prefix(8)
        let shown = kind.map { "\($0.rawValue) rows" } ?? "all rows"
        return [
            "\(name): \(report.state.rawValue), table \(report.tableVersion), \(clock) UTC, "
                + "over \(RateNumber.fixed(report.seconds, places: 1)) s",
            "received \(RateNumber.short(received)) packets/s, \(RateNumber.short(sum(.interface, "received", \.bits))) bits/s; "
                + "dropped \(RateNumber.short(dropped))/s; coalesced "
                + "\(ApplianceEvent.percent(packets > 0 ? joined / packets : 0)); "
                + "cpu \(RateNumber.fixed(processor, places: 1))%",
            "\(shown), \(count), by \(order.rawValue)\(isReversed ? ", reversed" : "")"
                + (filter.isEmpty && filterBefore == nil ? "" : ", with '\(filter)'"),
        ]
    }

    private var footing: String {
        filterBefore == nil
            ? "q quit  p b d c m t n sort  r reverse  Tab kind  / filter  Esc all  arrows scroll"
            : "filter: \(filter)_  (Enter keeps it, Esc takes it back)"
    }

    private static let titles = ["KIND", "NAME", "PACKETS/S", "BITS/S", "DROPS/S", "CPU%", "MEMORY"]
    /// The columns of the others beside the name, each with the gap before it.
    private static let widths = [9, 0, 10, 8, 8, 7, 8]

    private static func cells(_ row: RateReport.Row) -> [String] {
        var name = row.name + (row.direction.map { ", \($0)" } ?? "")
        if let coalesced = row.coalesced, coalesced > 0 { name += ", \(ApplianceEvent.percent(coalesced)) coalesced" }
        func short(_ value: Double?) -> String { value.map(RateNumber.short) ?? "" }
        return [
            row.kind.rawValue, name, short(row.packets), short(row.bits), short(row.drops),
            row.processor.map { RateNumber.fixed($0, places: 1) } ?? "", row.memory.map(RateNumber.octets) ?? "",
        ]
    }

    /// What a row of times has in the place of the last columns, which it has no numbers for.
    private static func times(_ row: RateReport.Row) -> String? {
        guard row.kind == .time else { return nil }
        guard let p50 = row.p50, let p99 = row.p99 else { return "no packets" }
        return "p50 \(TraceText.time(p50))  p99 \(TraceText.time(p99))"
    }

    /// The least room for names, as long as another column can be left out for it.
    private static let leastName = 16

    /// The name has what the other columns leave. On a narrow screen the last columns are left out.
    ///
    /// - Parameter text: What stands behind the packets instead of the other columns; nil: the columns.
    private static func line(_ cells: [String], _ columns: Int, behind text: String? = nil) -> String {
        var shown = widths[...]
        func room() -> Int { columns - shown.reduce(0, +) - 1 }
        while room() < leastName, shown.count > 3 { shown.removeLast() }
        let name = max(1, room())
        var line = padded(cells[0], to: widths[0] + 1) + padded(cut(cells[1], to: name), to: name)
        for (cell, width) in zip(cells, shown).dropFirst(2).prefix(text == nil ? .max : 1) {
            line += String(repeating: " ", count: max(1, width - TextColumn.width(cell))) + cell
        }
        if let text {
            let width = shown.dropFirst(3).reduce(0, +)
            line += String(repeating: " ", count: max(2, width - TextColumn.width(text))) + text
        }
        while line.last == " " { line.removeLast() }
        return line
    }

    private static func padded(_ text: String, to columns: Int) -> String {
        text + String(repeating: " ", count: max(0, columns - TextColumn.width(text)))
    }

    /// The beginning of a text that fits, with a sign where something is missing.
    static func cut(_ text: String, to columns: Int) -> String {
        let text = ASCIIText.shown(text)
        guard TextColumn.width(text) > columns else { return text }
        var room = columns - 1
        let kept = text.prefix { character in
            room -= TextColumn.width(String(character))
            return room >= 0
        }
        return columns > 0 ? kept + "~" : ""
    }
}
