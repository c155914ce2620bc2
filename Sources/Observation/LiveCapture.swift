import ApplianceClient
import ControlAPI
import Engine
import EventLoop
import PacketCapture
import PacketFilters
import Reporting
import Tracing
import Wire

/// A capture of a running topology into a file, a ring of files or a pipe, one interface for each node and place.
package final class LiveCapture {
    /// What is captured, and how it is written.
    package struct Options: Sendable {
        /// Only frames to and from this node; nil for all.
        package var node: String?
        /// Only frames on this interface; nil for all.
        package var interface: String?
        /// Only frames of packets of this service; nil for all.
        package var service: String?
        /// Only frames that the engine drops.
        package var onlyDropped: Bool
        /// A filter in the language of pcap-filter; nil for every frame.
        package var filter: String?
        /// The most octets of each frame; nil for all.
        package var snapLength: Int?
        /// Cuts superframes into the frames that a wire would carry.
        package var cutsSegments: Bool
        /// Puts the TLS keys of the nodes into the file. They are secrets, and who may capture need not have them.
        package var hasKeys: Bool
        /// When the capture ends.
        package var limits: CaptureLimits

        /// Memberwise.
        package init(
            node: String? = nil, interface: String? = nil, service: String? = nil, onlyDropped: Bool = false,
            filter: String? = nil, snapLength: Int? = nil, cutsSegments: Bool = false, hasKeys: Bool = true,
            limits: CaptureLimits = CaptureLimits()
        ) {
            self.node = node
            self.interface = interface
            self.service = service
            self.onlyDropped = onlyDropped
            self.filter = filter
            self.snapLength = snapLength
            self.cutsSegments = cutsSegments
            self.hasKeys = hasKeys
            self.limits = limits
        }
    }

    /// A place where frames are captured: a node's device on an interface; without a node, all others there.
    struct Place: Hashable {
        var node: String?
        var interface: Int
    }

    private let client: ApplianceClient
    private let options: Options
    private let frames: LiveFrames
    private var network: TracedNetwork
    private var description: NetworkDescription
    private let describer = FrameDescriber(hasOuter: true)
    /// The link of the device whose frames are captured as they are on it; nil: frames of interfaces are.
    private let wire: FilteredLink?
    private var file: CaptureFile?
    private let clock = CaptureClock()
    private var places: [Place: Int] = [:]
    /// The place of the last frame.
    private var last: (place: Place, index: Int)?
    private var keys: [KeyLogFile]
    private var lostTold: UInt64 = 0
    /// True when the topology has gone.
    package private(set) var isOver = false
    /// Packets that were written.
    package private(set) var packets: UInt64 = 0
    /// Frames that were overwritten before they were read.
    package var lost: UInt64 { frames.lost }
    /// True if the capture ended because its reader closed the pipe.
    package var isReaderGone: Bool { file?.isReaderGone ?? false }

    /// Begins to capture, and opens the output.
    ///
    /// - Throws: `ApplianceError` if no such topology runs, if the filter does not compile, if the topology has no such
    ///   node, interface or service, or if the output cannot be opened.
    package init(
        _ client: ApplianceClient, _ options: Options, to target: CaptureTarget,
        isCancelled: @escaping @Sendable () -> Bool
    ) throws(ApplianceError) {
        self.client = client
        self.options = options
        let description = try client.description(entries: true)
        let network = TracedNetwork(description)
        self.description = description
        self.network = network
        try Self.check(options, network)
        wire = try Self.wire(options, description)
        var request = CaptureRequest(
            interfaces: Self.interfaces(options, network),
            // What is said of a frame follows from its headers, however little of it is written.
            snapLength: options.snapLength.map { max(FrameDescriber.headLength, $0) })
        if wire == nil { request.outer = true } else { request.wire = true }
        // What a person wrote is judged by itself first: so the message names their words.
        try request.match(options.filter, wire ?? .ethernet)
        try request.match(Self.expression(options, network), wire ?? .ethernet)
        let (section, places) = Self.section(options, description, network, wire)
        self.places = places
        frames = try LiveFrames(client, request)
        keys = options.hasKeys ? description.nodes.compactMap(\.folder).map { KeyLogFile("\($0)/SSLKEYLOGFILE") } : []
        file = try CaptureFile(to: target, section, limits: options.limits, isCancelled: isCancelled)
        try take(frames.table)
        try file?.flush()
    }

    /// Writes what came.
    ///
    /// - Parameter time: How long to wait while nothing comes.
    /// - Returns: False if the capture has ended.
    /// - Throws: `ApplianceError` if the output fails, or the control process answers with an error.
    package func turn(within time: Duration) throws(ApplianceError) -> Bool {
        switch try frames.next(within: time) {
        case .frames(let frames): try write(frames)
        case .table(let image, let isNamedAnew):
            if isNamedAnew {
                description = try client.description(entries: true)
                network = TracedNetwork(description)
            }
            try take(image)
        case .end: isOver = true
        }
        return !isOver && file?.isComplete(at: .now) == false
    }

    /// Ends the capture with what was counted.
    ///
    /// - Throws: `ApplianceError` if the output fails.
    package func close() throws(ApplianceError) { if let file = file.take() { try file.close() } }

    /// Counts the frames that were lost while nothing could be written.
    package func countLost() { frames.giveUp() }

    private func write(_ frames: [CapturedFrame]) throws(ApplianceError) {
        guard !frames.isEmpty else { return }
        for index in keys.indices {
            let lines = keys[index].newLines()
            if !lines.isEmpty { try file?.add(keyLog: lines) }
        }
        if wire != nil { try writeWire(frames) } else { try describe(frames) }
        packets = file?.packets ?? packets
        try file?.flush()
    }

    /// Writes frames as they are on a device: nothing is known of their nodes.
    private func writeWire(_ frames: [CapturedFrame]) throws(ApplianceError) {
        for frame in frames where frame.failure == 0 || frame.direction == .received {
            try add(frame, Place(node: nil, interface: frame.interface))
        }
    }

    private func describe(_ frames: [CapturedFrame]) throws(ApplianceError) {
        for frame in frames {
            // The describer sees every frame: times in applications depend on it.
            let notes = describer.notes(frame)
            guard frame.failure == 0 || options.onlyDropped, !options.onlyDropped || notes.drop != nil,
                isWanted(frame, notes)
            else { continue }
            try add(
                frame, Place(node: notes.node, interface: frame.interface),
                identifier: notes.identifier, notes.comments)
        }
    }

    private func add(
        _ frame: CapturedFrame, _ place: Place, identifier: UInt64? = nil, _ comments: [String] = []
    ) throws(ApplianceError) {
        let fresh = frames.lost - lostTold
        lostTold += fresh
        let index = try self.place(place)
        var comments = comments
        if let node = place.node, places[place] == nil { comments.insert("node: \(node)", at: 0) }
        try file?.add(
            CaptureRecord(
                interface: index, direction: frame.direction == .sent ? .inbound : .outbound, time: frame.time,
                octets: frame.octets, length: frame.length, worker: UInt32(frame.worker), identifier: identifier,
                lostBefore: fresh, comments: comments),
            segments: options.cutsSegments, clock)
    }

    private func isWanted(_ frame: CapturedFrame, _ notes: FrameNotes) -> Bool {
        if let node = options.node, notes.node != node { return false }
        // What the engine writes has no entry of its own: its packet has passed the filter.
        guard let service = options.service, frame.direction == .received, notes.service != service else { return true }
        return notes.entry == nil && notes.drop != nil && isFor(service, notes)
    }

    /// True if a packet that no entry took has an address of the service.
    private func isFor(_ service: String, _ notes: FrameNotes) -> Bool {
        guard let ends = notes.ends, let service = network.services.first(where: { $0.name == service }) else {
            return false
        }
        return service.addresses.contains { $0.contains(ends.source) || $0.contains(ends.destination) }
    }

    /// The index of a place in the section, which may be new.
    private func place(_ place: Place) throws(ApplianceError) -> Int {
        if let last, last.place == place { return last.index }
        if let index = places[place] {
            last = (place, index)
            return index
        }
        // Without room for one more, it is one of the others on its interface.
        if file?.isFull == true, let others = places[Place(node: nil, interface: place.interface)] { return others }
        guard let index = try file?.add(Self.interface(place, description, options)) else { return 0 }
        places[place] = index
        return index
    }

    private func take(_ image: TableImage) throws(ApplianceError) {
        do { try describer.take(image, network: network) } catch {
            throw ApplianceError(.failed, "the table of the engines cannot be read: \(error)")
        }
    }
}
