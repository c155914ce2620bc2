import Foundation
import PacketCapture
import Testing
import Wire

/// A folder that goes away with the test, and the programs that judge what is in it.
final class CaptureRig {
    let folder: String

    init() throws {
        var template = Array("/tmp/tapline-capture-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(output: "no folder") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    struct Failure: Error { let output: String }

    /// The path of a file in the folder.
    func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// The names of the files in the folder.
    func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() }

    func octets(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    func write(_ octets: [UInt8], _ name: String) throws {
        try Data(octets).write(to: URL(fileURLWithPath: path(name)))
    }

    /// What a shell command prints; its standard error is dropped.
    ///
    /// - Throws: A status that is not 0.
    func run(_ command: String) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        process.environment = [
            "HOME": folder, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC",
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(output: "\(command) ended with \(process.terminationStatus): \(text)")
        }
        return text
    }

    /// Fields of every packet, as tshark reads them.
    func tshark(_ name: String, _ fields: [String], _ options: String = "") throws -> [[String]] {
        let wanted = fields.map { "-e \($0)" }.joined(separator: " ")
        return try run("tshark -r \(path(name)) -n \(options) -T fields -E separator=/t -E aggregator='|' \(wanted)")
            .split(separator: "\n").map {
                $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            }
    }

    /// A block of a file, as the strict reader tells it.
    struct Block: Decodable {
        struct Option: Decodable {
            let code: Int
            let value: String

            init(from decoder: any Decoder) throws {
                var list = try decoder.unkeyedContainer()
                code = try list.decode(Int.self)
                value = try list.decode(String.self)
            }
        }

        let block: String
        let interface: Int?
        let link: Int?
        let snap: Int?
        let length: Int?
        let captured: Int?
        let time: UInt64?
        let text: String?
        let type: Int?
        let options: [Option]?
        let records: [Option]?
    }

    /// All blocks of a file.
    func blocks(_ name: String) throws -> [Block] {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/read-pcapng.py"
        return try run("/usr/bin/python3 \(script) \(path(name))").split(separator: "\n").map {
            try JSONDecoder().decode(Block.self, from: Data($0.utf8))
        }
    }
}

/// Frames to be captured.
enum CaptureFrames {
    /// A TCP segment over IPv4 with right lengths and IPv4 checksum, and a partial TCP checksum.
    static func tcp(payload: [UInt8], ports: (UInt16, UInt16) = (4242, 80), flags: UInt8 = 0x18) -> [UInt8] {
        var frame: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]
        let length = UInt16(40 + payload.count)
        frame += [0x45, 0] + big(length) + [0x12, 0x34, 0x40, 0, 64, 6, 0, 0]
        frame += [192, 0, 2, 10, 203, 0, 113, 80]
        frame += big(ports.0) + big(ports.1) + [0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0] + payload
        frame.withUnsafeMutableBytes { buffer in
            var bytes = MutableRawSpan(_unsafeBytes: buffer)
            bytes.store(~InternetChecksum.sum(bytes.bytes, 14..<34), at: 24)
            let pseudo = InternetChecksum.pseudoHeader(
                source: IPAddress(ipv4: 0xC000_020A), destination: IPAddress(ipv4: 0xCB00_7150), protocolNumber: 6,
                length: 20 + payload.count)
            bytes.store(InternetChecksum.fold(pseudo), at: 50)
        }
        return frame
    }

    private static func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }

    /// The `virtio_net_hdr` of such a frame.
    static func offload(segment: UInt16? = nil) -> [UInt8] {
        var header = VirtioNetHeader()
        header.flags = VirtioNetHeader.needsChecksum
        header.checksumStart = 34
        header.checksumOffset = 16
        if let segment {
            header.gsoType = VirtioNetHeader.gsoTCPv4
            header.gsoSize = segment
            header.headerLength = 54
        }
        var octets = [UInt8](repeating: 0, count: VirtioNetHeader.length)
        octets.withUnsafeMutableBytes { buffer in
            var bytes = MutableRawSpan(_unsafeBytes: buffer)
            header.write(into: &bytes)
        }
        return octets
    }
}
