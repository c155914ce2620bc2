import Forwarding
import Glibc
import Seeds
import TableReading
import Testing
import Wire

/// Bytes that end where unreadable memory starts: a read beyond them kills the process, in every build.
final class GuardedBytes {
    let bytes: UnsafeMutableRawBufferPointer
    private let base: UnsafeMutableRawPointer
    private let length: Int

    init(_ content: [UInt8]) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let pages = (content.count + page - 1) / page
        length = (pages + 2) * page
        base = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        mprotect(base, page, PROT_NONE)
        mprotect(base + (pages + 1) * page, page, PROT_NONE)
        bytes = UnsafeMutableRawBufferPointer(
            start: base + (pages + 1) * page - content.count, count: content.count)
        bytes.copyBytes(from: content)
    }

    deinit { munmap(base, length) }
}

@Suite("Hostile snapshots")
struct HostileSnapshotTests {
    /// A small table in which every section has something.
    static let table: ForwardingTable = {
        var table = FourInterface.table
        table.entries = Array(table.entries[0..<8])
        table.entries[3].rewriteSource = address("203.0.113.1")
        table.entries[0].source = prefix("192.0.0.0/8")
        table.holders = [AddressHolder(interface: 3, mac: FourInterface.web, prefix: prefix("203.0.113.0/24"))]
        table.mirrors = [Mirror(received: 0, send: 1), Mirror(received: 3, send: 1)]
        table.entries.append(
            Entry(
                name: "wide", kind: .distribution, direction: .request, receivedInterface: 0,
                source: prefix("192.0.2.0/24"),
                servicePort: .tcp(1000...2000),
                targets: [SendTarget(interface: 3, address: .neighbour(via: address("198.18.4.9")), system: .router)],
                counter: 8))
        // The lists of two tenants, in both families.
        let own = [prefix(FourInterface.shop4 + "/32"), prefix("2001:db8:80::/64")]
        table.access = [
            AccessPoint(
                application: "firewall", nodes: ["firewall"],
                lists: [
                    AccessList(
                        tenant: "alice", own: own,
                        rules: [
                            AccessRule(
                                action: .deny(.reset), own: own[0], remote: prefix("192.0.2.0/24"),
                                matter: .ports(protocolNumber: tcp, own: 80...80, remote: 0...65535), counter: 0),
                            AccessRule(action: .allow, own: own[1], matter: .icmp(type: 128), counter: 1),
                        ], otherwise: .deny(.icmp), counter: 2),
                    AccessList(
                        tenant: "bob", own: [prefix("192.0.2.10/32")], rules: [], otherwise: .allow, counter: 3),
                ])
        ]
        return table
    }()

    /// Uses every method of a snapshot that was found sound, with packets that hit and packets that miss.
    private func use(_ snapshot: Snapshot) -> Int {
        snapshot.useEverything(
            packets: [
                flow(tcp, "192.0.2.10", 50000, to: FourInterface.shop4, 80),
                flow(tcp, FourInterface.shop4, 80, to: "192.0.2.10", 50000),
                flow(icmp, "192.0.2.10", to: FourInterface.shop4),
                flow(tcp, "192.0.2.10", 1500, to: "9.9.9.9", 1500),
                flow(tcp, "2001:db8:2::10", 50000, to: FourInterface.shop6, 80),
                flow(gre, "10.0.0.1", to: "10.0.0.2"),
            ],
            stations: [FourInterface.alice, FourInterface.firewallIn, FourInterface.firewallOut, FourInterface.web])
    }

    @Test("every change of one byte is refused, or harmless to read")
    func everyByte() throws {
        let content = try TableCompiler.compile(Self.table, generation: 1)
        let guarded = GuardedBytes(content)
        #if DEBUG
            let changes: [UInt8] = [0x01, 0x80, 0xFF]
        #else
            let changes: [UInt8] = (0..<8).map { 1 << $0 } + [0x03, 0x0F, 0x7F, 0xAA, 0xFE, 0xFF]
        #endif
        var refused = 0
        var used = 0
        for place in content.indices {
            for change in changes {
                guarded.bytes[place] = content[place] ^ change
                do throws(SnapshotError) {
                    let snapshot = try Snapshot(validating: UnsafeRawBufferPointer(guarded.bytes))
                    used += min(use(snapshot), 1)
                } catch {
                    refused += 1
                }
            }
            guarded.bytes[place] = content[place]
        }
        #expect(refused > 0 && used > 0)
        withExtendedLifetime(guarded) {}
    }

    @Test("random changes of several bytes are refused, or harmless to read")
    func severalBytes() throws {
        let seed = Seed.drawn()
        var random = SeededGenerator(seed: seed)
        let content = try TableCompiler.compile(Self.table, generation: 1)
        let guarded = GuardedBytes(content)
        let interesting: [UInt8] = [0, 1, 2, 0x7F, 0x80, 0xFF]
        var used = 0
        for _ in 0..<5_000 {
            guarded.bytes.copyBytes(from: content)
            for _ in 0..<Int.random(in: 2...6, using: &random) {
                guarded.bytes[Int.random(in: 64..<content.count, using: &random)] =
                    interesting.randomElement(using: &random)!
            }
            if let snapshot = try? Snapshot(validating: UnsafeRawBufferPointer(guarded.bytes)) {
                used += min(use(snapshot), 1)
            }
        }
        #expect(used > 0, "seed \(seed)")
        withExtendedLifetime(guarded) {}
    }

    @Test("a snapshot cut short anywhere is refused")
    func cutShort() throws {
        let content = try TableCompiler.compile(Self.table, generation: 1)
        for length in content.indices {
            let guarded = GuardedBytes(Array(content[0..<(length & ~7)]))
            #expect(throws: SnapshotError.tooShort) {
                _ = try Snapshot(validating: UnsafeRawBufferPointer(guarded.bytes))
            }
        }
    }

    @Test("what is not a snapshot, is of another version, or is not aligned says so")
    func otherBytes() throws {
        let content = try TableCompiler.compile(Self.table, generation: 1)
        #expect(throws: SnapshotError.tooShort) { _ = try SnapshotBuffer(copying: []) }
        var other = content
        other[0] ^= 1
        #expect(throws: SnapshotError.notASnapshot) { _ = try SnapshotBuffer(copying: other) }
        other = content
        other[8] = 99
        #expect(throws: SnapshotError.version(found: 99, supported: UInt32(content[8]))) {
            _ = try SnapshotBuffer(copying: other)
        }
        let shifted = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count + 1, alignment: 8)
        defer { shifted.deallocate() }
        UnsafeMutableRawBufferPointer(rebasing: shifted[1...]).copyBytes(from: content)
        #expect(throws: SnapshotError.misaligned) {
            _ = try Snapshot(validating: UnsafeRawBufferPointer(rebasing: shifted[1...]))
        }
    }

    @Test("a snapshot can stand anywhere, with more bytes behind it")
    func positionIndependent() throws {
        let content = try TableCompiler.compile(Self.table, generation: 5)
        let first = try SnapshotBuffer(copying: content)
        let second = try SnapshotBuffer(copying: content + [UInt8](repeating: 0xAA, count: 4096))
        #expect(use(first.snapshot) == use(second.snapshot))
        #expect(second.snapshot.generation == 5)
        withExtendedLifetime((first, second)) {}
    }
}
