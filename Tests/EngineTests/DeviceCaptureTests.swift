import EngineRig
import Forwarding
import Testing
import Wire

@testable import Engine

/// Captures of devices that carry circuits: frames as they are on the device, and those of interfaces as before.
@Suite struct DeviceCaptureTests {
    private typealias R = CircuitRig
    private typealias F = TestFrame

    private static let observers = [
        CaptureObserver(number: 0), CaptureObserver(number: 1, interfaces: [0], layer: .ethernet),
        CaptureObserver(number: 2, interfaces: [2], layer: .tun),
        CaptureObserver(number: 3, interfaces: [3], layer: .tun, snapLength: 20),
        // Nothing: at devices an observer names its interfaces.
        CaptureObserver(number: 4, layer: .ethernet),
    ]

    /// All that was captured while a circuit's request went in and its answer came back, with what came out of the devices.
    private func captured(
        _ number: Int, _ observers: [CaptureObserver] = observers, answer: [UInt8]? = nil, offload: [UInt8]? = nil
    ) throws -> (frames: [CapturedFrame], sent: [[UInt8]], request: [UInt8]) {
        let pipeline = try Pipeline(R.table)
        let ring = CapturingFrameIOTests.Ring(capacity: CaptureRing.capacity)
        var reader = ring.reader()
        var worker = Worker(
            io: CapturingFrameIO(CircuitFrameIO(MemoryFrameIO(), table: pipeline.published.snapshot)),
            table: pipeline.published, neighbours: pipeline.neighbours, worker: 0)
        let order = CaptureOrder(observers: try ring.observers(observers), rings: ring.memory.baseAddress!)
        worker.io.observe(order, worker: 0, generation: 7)
        worker.io.base.observe(order, worker: 0, generation: 7)
        let request = R.wrapped(number, R.ethernet(R.engine(number), R.alice(number), R.request(number)))
        let none = [UInt8](repeating: 0, count: 10)
        let response = answer ?? F.tcp(R.shop, 80, R.address(number), 4_000, payload: [1, 2, 3])
        worker.io.base.base.input = [
            .init(interface: R.carrier(number), bytes: request),
            .init(interface: R.servers, bytes: (offload ?? none) + R.ethernet(R.webGateway, R.web, response)),
        ]
        while !worker.io.base.base.input.isEmpty { worker.turn(wait: false) }
        let sent = worker.io.base.base.takeOutput().filter { $0.interface == R.carrier(number) }.map(\.bytes)
        var frames: [CapturedFrame] = []
        while let frame = reader.next() { frames.append(frame) }
        let lost = reader.lost
        #expect(lost == 0)
        // Two writers number one ring's frames.
        #expect(frames.map(\.sequence) == frames.indices.map { UInt64($0) })
        return (frames, sent, request)
    }

    /// The octets of a device's frame as a capture has it.
    private func shown(_ octets: [UInt8], _ number: Int) -> [UInt8] {
        R.circuits[number].encapsulation.link == .ethernet
            ? octets : [UInt8](repeating: 0, count: 10) + octets.dropFirst(Circuit.tunLength)
    }

    @Test(arguments: CircuitRig.circuits.indices) func framesAreAsOnTheDevice(_ number: Int) throws {
        let (frames, sent, request) = try captured(number)
        let (carrier, circuit) = (R.carrier(number), 4 + number)
        let bit: UInt32 = carrier == 0 ? 2 : carrier == 2 ? 4 : 8
        let most = carrier == 3 ? 30 : Int.max
        let device = frames.filter { $0.observers == bit }
        #expect(device.map(\.direction) == [.received, .sent] && device.allSatisfy { $0.interface == carrier })
        #expect(
            device.map(\.octets) == ([request] + sent).map { Array(shown($0, number).prefix(most)) })
        #expect(device.map(\.length) == ([request] + sent).map { shown($0, number).count })
        // What is inside is captured at the circuit, and nothing else.
        let inner = frames.filter { $0.observers == 1 }
        #expect(inner.map(\.interface) == [circuit, R.servers, R.servers, circuit])
        #expect(
            inner[0].octets.dropFirst(24).elementsEqual(R.request(number)) && inner.count + device.count == frames.count
        )
    }

    @Test(arguments: [0, 7]) func aSuperframeIsSeenAsItLeft(_ number: Int) throws {
        let payload = [UInt8](repeating: 9, count: 4_000)
        let answer = F.tcp(R.shop, 80, R.address(number), 4_000, payload: payload, partial: true)
        let (frames, sent, _) = try captured(
            number, answer: answer, offload: [1, 1, 54, 0, 0x78, 5, 34, 0, 16, 0])
        let device = frames.filter { $0.observers & 6 != 0 && $0.direction == .sent }
        #expect(sent.count == 3 && device.map(\.octets) == sent.map { shown($0, number) })
    }

    @Test func whoWantsNoDevicesCostsTheCircuitsNothing() throws {
        let (frames, _, _) = try captured(0, [CaptureObserver(number: 0)])
        #expect(frames.count == 4)
    }
}
