import ControlAPI
import Foundation
import Instructions
import Synchronization
import Testing
import Wire

@testable import Management
@testable import Records

/// What has expired stays so if the machine's clock is set back: client certificates as well as tokens.
@Suite struct ClockTests {
    /// The other end of the way to the control process: it always says the same.
    private static func control(_ description: TenantsDescription) throws -> ControlLink {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let other = FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
        let line = try JSONLine.encode(InstructionAnswer.description(description))
        Thread {
            // One question at a time.
            while !other.availableData.isEmpty { try? other.write(contentsOf: Data(line)) }
        }.start()
        return ControlLink(owning: ends[0])
    }

    @Test func aClientCertificateThatHasExpiredStaysSo() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("records-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (wall, running) = (Box(2_000_000_000), Box(1000))
        let clock = Clock(wall: { wall.value }, running: { running.value })
        var alice = TenantsDescription.Tenant(
            name: "alice", customers: [], addresses: [], applications: [], must: [], interfaces: [], services: 1,
            rules: 1, instructions: 1)
        alice.certificates = ["alice.example"]
        let service = try TenantService(
            store: try RecordStore(path: folder.appendingPathComponent("lab.db").path, clock: clock),
            control: try Self.control(TenantsDescription(topology: "t", tenants: [alice], setAside: [], generation: 1)))
        let request = APIRequest(
            method: "GET", target: "/v1/services", fields: [], body: [], origin: "192.0.2.2", isOperators: false,
            isSecure: true,
            peer: APIRequest.Peer(
                address: try #require(IPAddress("192.0.2.2")), certificate: ["alice.example"], expires: 2_000_000_600))
        let route = try #require(Route.all.first { $0.name == .listServices })
        func role() throws -> Role { try service.identify(request, for: route).role }
        #expect(try role() == .tenant)
        wall.value += 600
        #expect(try role() == .tenant)
        wall.value += 1
        #expect(try role() == .stranger)
        wall.value -= 86_400
        #expect(try role() == .stranger)
        // The time since the machine's start goes on meanwhile.
        running.value += 1
        wall.value -= 86_400
        #expect(try role() == .stranger)
    }

    private final class Box: Sendable {
        private let kept: Atomic<Int>
        init(_ value: Int) { kept = Atomic(value) }
        var value: Int {
            get { kept.load(ordering: .relaxed) }
            set { kept.store(newValue, ordering: .relaxed) }
        }
    }
}
