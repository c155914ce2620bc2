/// Asks for the picture of the running topology.
package struct DrawingRequest: ControlCommand {
    package typealias Answer = DrawingAnswer
    package enum CodingKeys: CodingKey, CaseIterable { case known }

    /// The version of the picture that the caller has; nil: none.
    package var known: Int?

    package init(known: Int? = nil) { self.known = known }

    package var request: ControlRequest { .drawing(self) }

    package func check(_ key: CodingKeys) {}
}

/// The picture of the running topology, or nothing if the caller has the same one.
package struct DrawingAnswer: Codable, Sendable {
    /// The version of the picture: it differs after each change of the plan.
    package var version: Int
    /// nil if the caller knows that version.
    package var drawing: TopologyDrawing?

    package init(version: Int, drawing: TopologyDrawing?) {
        self.version = version
        self.drawing = drawing
    }
}

/// The topology as `tapline graph` draws it, with the place of each part in pixels.
package struct TopologyDrawing: Codable, Sendable, Hashable {
    /// An interface: a bar from the picture's top to its bottom.
    package struct Bar: Codable, Sendable, Hashable {
        /// The name in the file.
        package var name: String
        /// The lines below its name.
        package var details: [String]
        /// Its middle.
        package var x: Int

        /// Memberwise.
        package init(name: String, details: [String], x: Int) {
            self.name = name
            self.details = details
            self.x = x
        }
    }

    /// A node, or the instances that share the work of one application: a box.
    package struct Box: Codable, Sendable, Hashable {
        /// The name of the node or of the application.
        package var name: String
        /// Its description, in a few words.
        package var caption: String
        /// Its network addresses.
        package var addresses: [String]
        /// The nodes that it stands for.
        package var nodes: [String]
        /// True for a customer.
        package var isCustomer: Bool
        /// The indices of its bars.
        package var bars: [Int]
        /// The left edge.
        package var x: Int
        /// The upper edge.
        package var y: Int
        /// Pixels from left to right.
        package var width: Int
        /// Pixels from top to bottom.
        package var height: Int

        /// Memberwise.
        package init(
            name: String, caption: String, addresses: [String], nodes: [String], isCustomer: Bool, bars: [Int], x: Int,
            y: Int, width: Int, height: Int
        ) {
            self.name = name
            self.caption = caption
            self.addresses = addresses
            self.nodes = nodes
            self.isCustomer = isCustomer
            self.bars = bars
            self.x = x
            self.y = y
            self.width = width
            self.height = height
        }
    }

    /// One copy of one hop: an arrow from a box through the engine to another.
    package struct Arrow: Codable, Sendable, Hashable {
        /// The index of the box that it begins at.
        package var from: Int
        /// The index of the box that it leads to.
        package var to: Int
        /// The index of the bar that it comes in by.
        package var receivedBar: Int
        /// The index of the bar that it goes out by.
        package var sendBar: Int
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
        /// The middle of a text at its end.
        package var labelX: Int
        /// The base line of that text.
        package var labelY: Int

        /// Memberwise.
        package init(
            from: Int, to: Int, receivedBar: Int, sendBar: Int, service: Int, isResponse: Bool, isCopy: Bool,
            entries: [String], course: String, labelX: Int, labelY: Int
        ) {
            self.from = from
            self.to = to
            self.receivedBar = receivedBar
            self.sendBar = sendBar
            self.service = service
            self.isResponse = isResponse
            self.isCopy = isCopy
            self.entries = entries
            self.course = course
            self.labelX = labelX
            self.labelY = labelY
        }
    }

    /// Pixels from left to right.
    package var width: Int
    /// Pixels from top to bottom.
    package var height: Int
    /// The upper end of the bars; the lower one is `height`.
    package var top: Int
    /// The interfaces.
    package var bars: [Bar]
    /// The nodes.
    package var boxes: [Box]
    /// The arrows.
    package var arrows: [Arrow]
    /// The names of the services.
    package var services: [String]
    /// For each service its addresses and ports.
    package var serviceAddresses: [[String]]

    /// Memberwise.
    package init(
        width: Int, height: Int, top: Int, bars: [Bar], boxes: [Box], arrows: [Arrow], services: [String],
        serviceAddresses: [[String]]
    ) {
        self.width = width
        self.height = height
        self.top = top
        self.bars = bars
        self.boxes = boxes
        self.arrows = arrows
        self.services = services
        self.serviceAddresses = serviceAddresses
    }
}
