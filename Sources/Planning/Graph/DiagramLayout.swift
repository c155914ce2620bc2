/// The places of all parts of a picture, in pixels. Each interface is a vertical bar, in the order in which requests
/// pass them. A node stands in the gap beside its bar, or between its two, and nothing else stands in its row there.
struct DiagramLayout {
    struct Box {
        var x: Int
        var y: Int
        var width: Int
        var height: Int

        var middle: Int { y + height / 2 }
        var right: Int { x + width }
    }

    /// The middle of each interface's bar.
    private(set) var bars: [Int]
    /// The nodes' boxes.
    private(set) var boxes: [Box] = []
    private(set) var width = 0
    /// The top and the bottom of the bars, in pixels.
    private(set) var top = 0
    private(set) var bottom = 0
    /// The height of a node's box, with a lane for each kind of arrow.
    let boxHeight: Int

    /// The width of a text in the diagram's monospaced face, with room to spare.
    static func textWidth(_ text: String, size: Int) -> Int {
        // Han, Kana, Hangul and full-width forms take two columns.
        let columns = text.unicodeScalars.reduce(0) { $0 + ((0x1100...0xFFEF).contains($1.value) ? 2 : 1) }
        return (columns * size * 62 + 99) / 100
    }

    /// The distance of two lanes.
    let laneHeight: Int
    private static let margin = 28
    private static let rowGap = 22

    /// - Parameters:
    ///   - side: The room between a box and a bar.
    ///   - extra: The room in a box for more text.
    init(_ diagram: Diagram, lanes: Int, laneHeight: Int = 7, side: Int = 48, extra: Int = 0) {
        self.laneHeight = laneHeight
        let order = diagram.interfaceOrder
        var place = [Int](repeating: 0, count: order.count)
        for (number, interface) in order.enumerated() { place[interface] = number }
        let addresses = diagram.nodes.map(\.addresses.count).max() ?? 0
        boxHeight = max(44 + addresses * 15 + extra, lanes * laneHeight + 12)
        bars = Array(repeating: 0, count: order.count)

        // Gap 0 is left of the first bar, gap n right of bar n - 1.
        struct Slot: Hashable {
            var gap: Int
            var row: Int
        }
        var taken: Set<Slot> = []
        var slots: [Slot] = []
        for node in diagram.nodes {
            let places = node.interfaces.map { place[$0] }
            let first = places.min() ?? 0
            let last = places.max() ?? 0
            let gaps = first == last ? (node.isCustomer ? first...first : first + 1...first + 1) : first + 1...last
            var row = 0
            while gaps.contains(where: { taken.contains(Slot(gap: $0, row: row)) }) { row += 1 }
            for gap in gaps { taken.insert(Slot(gap: gap, row: row)) }
            slots.append(Slot(gap: gaps.lowerBound, row: row))
        }
        let labelWidths = order.map { interface -> Int in
            let shown = diagram.interfaces[interface]
            let name = Self.textWidth(shown.name, size: 14)
            return ([name] + Self.details(shown).map { Self.textWidth($0, size: 11) }).max() ?? 0
        }
        let boxWidths = diagram.nodes.map { node -> Int in
            let details = ([node.caption] + node.addresses).map { Self.textWidth($0, size: 11) }.max() ?? 0
            return max(Self.textWidth(node.name, size: 14), details, 60) + 24
        }
        var gapWidths = [Int](repeating: 0, count: order.count + 1)
        for (node, slot) in slots.enumerated() {
            gapWidths[slot.gap] = max(gapWidths[slot.gap], boxWidths[node] + 2 * side)
        }
        var x = Self.margin
        for number in 0...order.count {
            // Two labels above neighbouring bars must not meet.
            let left = number > 0 ? labelWidths[number - 1] / 2 : 0
            let right = number < order.count ? labelWidths[number] / 2 : 0
            gapWidths[number] = max(gapWidths[number], left + right + (left > 0 && right > 0 ? 28 : 0), 90)
            if number == 0, !slots.contains(where: { $0.gap == 0 }) { gapWidths[0] = right }
            if number == order.count, !slots.contains(where: { $0.gap == number }) { gapWidths[number] = left }
            x += gapWidths[number]
            if number < order.count { bars[order[number]] = x }
        }
        width = x + Self.margin
        let detailLines = diagram.interfaces.map { Self.details($0).count }.max() ?? 0
        top = 64 + 22 + detailLines * 15
        let rows = (slots.map(\.row).max() ?? -1) + 1
        bottom = top + rows * (boxHeight + Self.rowGap) + Self.rowGap
        for (node, slot) in slots.enumerated() {
            let left = slot.gap == 0 ? Self.margin : bars[order[slot.gap - 1]]
            let boxX = left + (gapWidths[slot.gap] - boxWidths[node]) / 2
            boxes.append(
                Box(
                    x: boxX, y: top + Self.rowGap + slot.row * (boxHeight + Self.rowGap), width: boxWidths[node],
                    height: boxHeight))
        }
    }

    /// The lines below an interface's name.
    static func details(_ interface: Diagram.Interface) -> [String] {
        interface.addresses + (interface.mtu == 1500 ? [] : ["MTU \(interface.mtu)"])
    }
}
