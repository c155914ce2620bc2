/// The diagram with the place of each part, for a program that draws it itself.
extension Diagram {
    /// The places of all parts, in pixels. Indices are those of the lists here.
    package struct Picture: Sendable {
        /// An interface.
        package struct Bar: Sendable {
            /// Its name.
            package var name: String
            /// The lines below its name.
            package var details: [String]
            /// Its middle.
            package var x: Int
        }
        /// A node, or instances that share their work.
        package struct Box: Sendable {
            /// Its name.
            package var name: String
            /// Its description.
            package var caption: String
            /// Its network addresses.
            package var addresses: [String]
            /// The nodes that it stands for.
            package var members: [String]
            /// True for a customer.
            package var isCustomer: Bool
            /// The indices of its bars.
            package var bars: [Int]
            /// The left edge, the upper edge, the width and the height.
            package var place: (x: Int, y: Int, width: Int, height: Int)
        }
        /// One copy of one hop.
        package struct Arrow: Sendable {
            /// The boxes at its ends.
            package var ends: (from: Int, to: Int)
            /// The bars that it passes.
            package var bars: (received: Int, send: Int)
            /// The index of the service.
            package var service: Int
            /// True for the way of answers.
            package var isResponse: Bool
            /// True for a copy that a passive application keeps.
            package var isCopy: Bool
            /// The names of its entries.
            package var entries: [String]
            /// The data of an SVG path.
            package var course: String
            /// The middle of a text at its end, and the text's base line.
            package var label: (x: Int, y: Int)
        }

        /// The size of the whole.
        package var size: (width: Int, height: Int)
        /// The upper end of the bars.
        package var top: Int
        /// The interfaces.
        package var bars: [Bar]
        /// The nodes.
        package var boxes: [Box]
        /// The arrows.
        package var arrows: [Arrow]
        /// The services.
        package var services: [String]
        /// For each service its addresses and ports.
        package var serviceAddresses: [[String]]
    }

    /// The most lanes of a box: services beyond share them.
    private static let mostLanes = 12

    /// The places of all parts, with room for a number at each arrow.
    package var picture: Picture {
        let lanes = min(max(1, services.count * 2), Self.mostLanes)
        let layout = DiagramLayout(self, lanes: lanes, laneHeight: 14, side: 66, extra: 18)
        return Picture(
            size: (layout.width, layout.bottom), top: layout.top,
            bars: interfaces.enumerated().map { index, interface in
                Picture.Bar(
                    name: interface.name, details: DiagramLayout.details(interface), x: layout.bars[index])
            },
            boxes: zip(nodes, layout.boxes).map { node, box in
                Picture.Box(
                    name: node.name, caption: node.caption, addresses: node.addresses, members: node.members,
                    isCustomer: node.isCustomer, bars: node.interfaces, place: (box.x, box.y, box.width, box.height))
            },
            arrows: arrows.map { arrow in
                let course = course(arrow, layout, lanes: lanes)
                return Picture.Arrow(
                    ends: (arrow.from, arrow.to), bars: (arrow.receivedInterface, arrow.sendInterface),
                    service: arrow.service, isResponse: arrow.isResponse, isCopy: arrow.isCopy,
                    entries: entries[arrow] ?? [], course: course.path,
                    label: ((course.bar + course.end) / 2, course.y - 3))
            }, services: services, serviceAddresses: serviceAddresses)
    }
}
