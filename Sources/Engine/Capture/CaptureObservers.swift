import Wire

// The observers of one moment, in sealed memory that an engine maps:
//
//     octet  0  magic             24  observers, 32 octets each
//            8  version               then interface numbers (UInt16), then instructions, each where an observer says
//           16  number of observers
//
//     observer:  0  its number (UInt8)          8  one flow in this many (UInt32)
//                1  directions: bit 0 received  12  octets of each frame that are kept (UInt32)
//                   bit 1 sent (UInt8)          16  place of its interface numbers (UInt32)
//                2  flags (UInt8)             20  how many; 0: all interfaces (UInt32)
//                3  its layer (UInt8)         24  place of its instructions (UInt32)
//                                             28  how many; 0: all frames match (UInt32)
//
//     flags: 1 addresses count in the flow's hash, 2 service ports do not, 4 outer packets of tunnels are wanted, too
//
// Places count octets from the start of the memory. All integers are in the machine's order.

/// The observers of one moment, as the engine reads them: checked once, in memory that nobody changes.
///
/// The memory stays the caller's, and must outlive the value.
public struct CaptureObservers: @unchecked Sendable {
    private static let magic: UInt64 = 0x5441_504C_4F42_5356  // "TAPLOBSV"
    private static let version: UInt64 = 1
    private static let headerLength = 24
    private static let observerLength = 32

    private let memory: UnsafeRawBufferPointer
    private let count: Int

    /// The memory's contents for these observers, as many as `CaptureObserver.most`.
    public static func bytes(_ observers: [CaptureObserver]) -> [UInt8] {
        var bytes: [UInt8] = []
        func put<Value: FixedWidthInteger>(_ value: Value) {
            withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
        }
        let observers = observers.prefix(CaptureObserver.most)
        put(magic)
        put(version)
        put(UInt64(observers.count))
        // Instructions stand at multiples of their alignment.
        func rounded(_ place: Int) -> Int { (place + 7) & ~7 }
        var place = headerLength + observers.count * observerLength
        for observer in observers {
            put(UInt8(clamping: observer.number))
            put(observer.directions.reduce(UInt8(0)) { $0 | 1 << $1.rawValue })
            put(
                UInt8(observer.sample.ignoresAddresses ? 0 : 1) | UInt8(observer.sample.ignoresServicePorts ? 2 : 0)
                    | UInt8(observer.hasOuter ? 4 : 0))
            put(observer.layer.rawValue)
            put(UInt32(0))
            put(observer.sample.one)
            put(UInt32(clamping: observer.snapLength))
            put(UInt32(place))
            put(UInt32(observer.interfaces.count))
            place = rounded(place + observer.interfaces.count * 2)
            put(UInt32(place))
            put(UInt32(observer.filter.count))
            place += observer.filter.count * 8
        }
        for observer in observers {
            for interface in observer.interfaces { put(UInt16(clamping: interface)) }
            while bytes.count % 8 != 0 { put(UInt8(0)) }
            for instruction in observer.filter {
                put(instruction.code)
                put(instruction.jumpTrue)
                put(instruction.jumpFalse)
                put(instruction.k)
            }
        }
        return bytes
    }

    /// Checks the memory. Nothing of it is checked again.
    ///
    /// - Parameter memory: Aligned to 8.
    /// - Throws: `EngineError` that names what is wrong.
    public init(validating memory: UnsafeRawBufferPointer) throws(EngineError) {
        func fault(_ what: String) -> EngineError { EngineError("take the observers", because: what) }
        guard memory.count >= Self.headerLength, memory.load(as: UInt64.self) == Self.magic,
            memory.load(fromByteOffset: 8, as: UInt64.self) == Self.version
        else { throw fault("their memory is of another version") }
        let count = memory.load(fromByteOffset: 16, as: UInt64.self)
        guard count <= CaptureObserver.most, memory.count >= Self.headerLength + Int(count) * Self.observerLength
        else { throw fault("there are \(count) of them") }
        self.memory = memory
        self.count = Int(count)
        for index in 0..<self.count {
            let observer = View(memory: memory, index: index)
            guard observer.number < CaptureObserver.most, observer.one >= 1 else {
                throw fault("observer \(index) has the number \(observer.number)")
            }
            guard CaptureLayer(rawValue: observer.layer) != nil else {
                throw fault("observer \(index) is at the layer \(observer.layer)")
            }
            guard observer.interfacesPlace % 2 == 0, observer.filterPlace % 8 == 0,
                observer.interfacesPlace + observer.interfaceCount * 2 <= memory.count,
                observer.filterPlace + observer.filterCount * 8 <= memory.count
            else { throw fault("observer \(index) points outside of their memory") }
            if observer.filterCount > 0, let wrong = ClassicBPFProgram.fault(observer.filter) {
                throw fault("\(wrong)")
            }
        }
    }

    /// What wants a frame: the observers' bits, and the octets of it that are kept, from the Ethernet header on.
    struct Wish {
        var observers: UInt32 = 0
        var octets = 0
    }

    /// True if some of them want frames of a layer.
    func want(_ layer: CaptureLayer) -> Bool {
        (0..<count).contains { View(memory: memory, index: $0).wants(layer) }
    }

    /// Who wants a frame of a layer.
    ///
    /// - Parameter parts: The frame with its `virtio_net_hdr`, which is whole in the first part.
    func wish(
        _ direction: CaptureDirection, interface: Int, _ layer: CaptureLayer, _ parts: CaptureParts
    ) -> Wish {
        var wish = Wish()
        let header = parts.header + VirtioNetHeader.length
        let headerLength = parts.headerLength &- VirtioNetHeader.length
        for index in 0..<count {
            let observer = View(memory: memory, index: index)
            guard observer.wants(layer), observer.wants(direction, interface) else { continue }
            if observer.one > 1 {
                let sample = FlowSample(
                    oneIn: observer.one, ignoresAddresses: observer.ignoresAddresses,
                    ignoresServicePorts: observer.ignoresServicePorts)
                guard sample.takes(parts) else { continue }
            }
            if observer.filterCount > 0 {
                guard let program = observer.filter.baseAddress,
                    ClassicBPFProgram.matches(
                        program, count: observer.filterCount, header: header, headerLength: headerLength,
                        body: parts.body, bodyLength: parts.bodyLength)
                else { continue }
            }
            wish.observers |= 1 &<< UInt32(truncatingIfNeeded: observer.number)
            wish.octets = max(wish.octets, observer.snapLength)
        }
        return wish
    }

    /// One observer in the memory.
    private struct View {
        let base: UnsafeRawPointer
        let place: Int

        init(memory: UnsafeRawBufferPointer, index: Int) {
            base = memory.baseAddress!
            place = CaptureObservers.headerLength &+ index &* CaptureObservers.observerLength
        }

        private func value<Value: BitwiseCopyable>(_ offset: Int, as: Value.Type) -> Value {
            base.load(fromByteOffset: place &+ offset, as: Value.self)
        }

        var number: Int { Int(value(0, as: UInt8.self)) }
        var directions: UInt8 { value(1, as: UInt8.self) }
        var layer: UInt8 { value(3, as: UInt8.self) }
        func wants(_ layer: CaptureLayer) -> Bool {
            self.layer == layer.rawValue || layer == .underlay && value(2, as: UInt8.self) & 4 != 0
        }

        var ignoresAddresses: Bool { value(2, as: UInt8.self) & 1 == 0 }
        var ignoresServicePorts: Bool { value(2, as: UInt8.self) & 2 != 0 }
        var one: UInt32 { value(8, as: UInt32.self) }
        var snapLength: Int { Int(value(12, as: UInt32.self)) }
        var interfacesPlace: Int { Int(value(16, as: UInt32.self)) }
        var interfaceCount: Int { Int(value(20, as: UInt32.self)) }
        var filterPlace: Int { Int(value(24, as: UInt32.self)) }
        var filterCount: Int { Int(value(28, as: UInt32.self)) }

        var filter: UnsafeBufferPointer<ClassicBPFInstruction> {
            UnsafeBufferPointer(
                start: (base + filterPlace).assumingMemoryBound(to: ClassicBPFInstruction.self), count: filterCount)
        }

        func wants(_ direction: CaptureDirection, _ interface: Int) -> Bool {
            guard directions & 1 &<< direction.rawValue != 0 else { return false }
            guard interfaceCount > 0 else {
                return layer == CaptureLayer.interfaces.rawValue || layer == CaptureLayer.underlay.rawValue
            }
            for index in 0..<interfaceCount
            where Int(base.load(fromByteOffset: interfacesPlace &+ index &* 2, as: UInt16.self)) == interface {
                return true
            }
            return false
        }
    }
}
