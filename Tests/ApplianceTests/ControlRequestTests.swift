import Foundation
import Plan
import Seeds
import Testing

@testable import Appliance
@testable import ControlAPI
@testable import Reporting

/// What callers may write into a line of the control socket.
enum RequestExtremes {
    /// Values of every kind, as JSON.
    static let values: [String] = {
        var values = [
            "0", "-0", "-1", "1", "255", "256", "257", "2147483647", "2147483648", "-2147483648", "4294967296",
            "9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
            "18446744073709551616", "1e308", "-1e308", "1e309", "1e-400", "0.5", "NaN", "Infinity", "-Infinity",
            "\"NaN\"", "null", "true", "false", "\"\"", "\"a\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\u001b[2J\"",
            "\"../../etc/passwd\"", "[]", "[[1]]", "{}", "{\"a\":1}", "{\"drain\":{}}",
            "{\"drain\":{\"milliseconds\":null}}",
            "{\"undrain\":{}}", "{\"drain\":{\"milliseconds\":1},\"undrain\":{}}", "{\"weigh\":{}}",
        ]
        for number in ["-1", "1001", "86400001", "9223372036854775807", "-9223372036854775808", "1e308"] {
            values += ["{\"drain\":{\"milliseconds\":\(number)}}", "{\"weigh\":{\"_0\":\(number)}}", number]
        }
        values.append("\"\(String(repeating: "x", count: 60_000))\"")
        for depth in [20, 600, 10_000] {
            values.append(String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
            values.append(String(repeating: "{\"a\":", count: depth) + "1" + String(repeating: "}", count: depth))
        }
        return values
    }()

    /// What a command carries so that the request gets as far as it can, for a topology that has nothing of that name.
    private static func whole(_ command: ControlRequest.Name) -> [String: String] {
        let own: [String: String] =
            switch command {
            case .status, .tables, .sample, .stop, .cancel, .events, .describe, .observe, .drawing, .mappings: [:]
            case .node, .log: ["node": "\"nobody\""]
            case .reload, .apply: ["file": "\"/nowhere\""]
            case .add: ["application": "\"nothing\"", "instance": "\"nobody\""]
            case .remove: ["instance": "\"nobody\""]
            case .operate: ["instance": "\"nobody\"", "operation": "{\"undrain\":{}}"]
            case .engine: ["operation": "\"undrain\"", "engine": "200"]
            case .capture: ["interfaces": "[\"nothing\"]"]
            case .operateNode: ["node": "\"nobody\"", "operation": "\"kill\""]
            case .impair: ["link": "\"nothing\"", "settings": "{\"loss\":\"1%\"}"]
            case .send: ["from": "\"nobody\"", "to": "\"192.0.2.1\"", "port": "\"tcp/80\""]
            }
        return own.merging(["version": "2", "command": "\"\(command.rawValue)\""]) { $1 }
    }

    /// Every key of every command.
    private static let allKeys = Set(ControlRequest.Name.allCases.flatMap { keys($0.command) }).sorted()

    static func keys<Command: ControlCommand>(_ command: Command.Type) -> [String] {
        Command.CodingKeys.allCases.map(\.stringValue)
    }

    /// Lines for every command with every extreme in every field, with fields of other commands, and lines that are no
    /// request at all. Those that would change something that is there are for a topology that has nothing of that name.
    static let lines: [[UInt8]] = {
        var lines: [[UInt8]] = []
        for command in ControlRequest.Name.allCases where command != .stop {
            let whole = whole(command)
            let own = keys(command.command)
            func line(_ fields: [String: String], _ twice: (String, String)? = nil) -> [UInt8] {
                let members = fields.sorted { $0.key < $1.key } + (twice.map { [(key: $0.0, value: $0.1)] } ?? [])
                return Array("{\(members.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ","))}".utf8)
            }
            for key in own + ["version", "release", "command"] {
                var less = whole
                less[key] = nil
                // A capture of all interfaces is answered for as long as the connection lasts.
                if key != "interfaces" { lines.append(line(less)) }
                // What does not depend on the command is sent with one of them.
                for value in values where value.count < 200 || command == .cancel || own.contains(key) {
                    // This one is answered for as long as the connection lasts.
                    if key == "follow", value == "true" { continue }
                    if key == "interfaces", value == "null" || value == "[]" { continue }
                    lines.append(line(whole.merging([key: value]) { $1 }))
                    if value.count < 50 { lines.append(line(whole, (key, value))) }
                }
            }
            for key in allKeys + ["news"] where !own.contains(key) {
                lines += ["-9223372036854775808", "{\"a\":1}", "null"].map { line(whole.merging([key: $0]) { $1 }) }
            }
        }
        lines += ["", " ", "{", "}", "null", "0", "[]", "\"", "{\"version\":2,\"command\":\"fly\"}", "\u{0}", "stop"]
            .map { Array($0.utf8) }
        lines.append([0xFF, 0xFE, 0x00])
        lines.append(
            Array("{\"version\":2,\"command\":\"node\",\"node\":\"".utf8) + [0xC3, 0x28, 0x80] + Array("\"}".utf8))
        return lines
    }()
}

@Suite("Requests of the control socket are checked when they are read")
struct ControlRequestTests {
    /// The names of the stored properties of a value.
    private func properties(_ value: Any) -> Set<String> {
        Set(Mirror(reflecting: value).children.compactMap(\.label))
    }

    /// A request of each kind.
    private func sample(_ name: ControlRequest.Name) -> any ControlCommand {
        switch name {
        case .status: StatusRequest()
        case .tables: TablesRequest()
        case .sample: SampleRequest()
        case .stop: StopRequest()
        case .node: NodeRequest(node: "n")
        case .reload: ReloadRequest(file: "/f", settings: ["A": "b"])
        case .apply: ApplyRequest(file: "/f", settings: ["A": ""], isTrial: true, drain: .milliseconds(5))
        case .add: AddRequest(application: "a", instance: "i")
        case .remove: RemoveRequest(instance: "i", drain: .milliseconds(5))
        case .cancel: CancelRequest()
        case .events: EventsRequest(since: 1, count: 2, follow: true)
        case .operate: InstanceRequest(.setWeight(3), on: "i")
        case .engine: EngineRequest(.replace, engine: 4)
        case .capture:
            CaptureRequest(
                interfaces: ["a"], sent: false, received: true, oneIn: 2, snapLength: 60,
                filter: [6, 0, 0, 0, 1, 0, 0, 0])
        case .describe: DescribeRequest(entries: true)
        case .operateNode: NodeOperationRequest(.linkDown, on: "n", interface: "i")
        case .impair: ImpairRequest(link: "a", direction: "to-nodes", settings: ["loss": "1%"], clear: true)
        case .observe: ObserveRequest()
        case .mappings: MappingsRequest()
        case .drawing: DrawingRequest(known: 3)
        case .log: LogRequest(node: "web")
        case .send: SendRequest(from: "n", to: "192.0.2.1", port: "icmp", sourcePort: 7)
        }
    }

    @Test("every field of a request has a key, so that none is left unchecked and untested")
    func keys() {
        for name in ControlRequest.Name.allCases {
            #expect(properties(sample(name)) == Set(RequestExtremes.keys(name.command)), "\(name)")
        }
    }

    @Test("each request comes back from its line as it was", arguments: ControlRequest.Name.allCases)
    func lines(_ name: ControlRequest.Name) throws {
        let sample = sample(name)
        #expect(sample.request.name == name && type(of: sample) == name.command)
        let line = try JSONLine.encode(sample.request)
        let read = try ControlRequest(line: line.dropLast())
        #expect(read.name == name)
        #expect("\(read.command)" == "\(sample)")
        #expect(try JSONLine.encode(read) == line)
    }

    @Test("whatever a field holds, the request is in its ranges or refused in a sentence without control characters")
    func extremes() {
        var taken = 0
        for line in RequestExtremes.lines {
            do throws(ApplianceError) {
                let request = try ControlRequest(line: line)
                try request.command.check()
                taken += 1
                switch request {
                case .engine(let asked): #expect(asked.engine.map(RequestRange.engine.contains) ?? true)
                case .apply(let asked): #expect(asked.drain.map { RequestRange.drain.contains($0.duration) } ?? true)
                case .remove(let asked): #expect(asked.drain.map { RequestRange.drain.contains($0.duration) } ?? true)
                case .events(let asked):
                    #expect(asked.since.map(RequestRange.since.contains) ?? true)
                    #expect(asked.count.map(RequestRange.count.contains) ?? true)
                case .operate(let asked):
                    if case .drain(let time?) = asked.operation { #expect(RequestRange.drain.contains(time.duration)) }
                    if case .setWeight(let weight?) = asked.operation { #expect(RequestRange.weight.contains(weight)) }
                case .capture(let asked):
                    #expect(asked.oneIn.map(RequestRange.oneIn.contains) ?? true)
                    #expect(asked.snapLength.map((14...CaptureRequest.longestFrame).contains) ?? true)
                case .send(let asked): #expect(asked.sourcePort.map((1...65_535).contains) ?? true)
                case .status, .tables, .sample, .stop, .node, .reload, .add, .cancel, .describe, .observe, .operateNode,
                    .drawing, .log, .impair, .mappings:
                    break
                }
            } catch {
                let harmless = error.description.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 }
                #expect(harmless && error.message.count < 400, "\(error)")
            }
        }
        #expect(taken > 100 && taken < RequestExtremes.lines.count / 2)
    }

    @Test("numbers out of their range are refused with the range")
    func ranges() {
        let refused = [
            (
                "\"engine\",\"operation\":\"replace\",\"engine\":-9223372036854775808",
                "'engine' is 1 to 256, and not -9223372036854775808"
            ), ("\"engine\",\"operation\":\"replace\",\"engine\":0", "'engine' is 1 to 256, and not 0"),
            (
                "\"apply\",\"drain\":9223372036854775807",
                "'drain' is 0 to 86400000 milliseconds, and not 9223372036854775807"
            ), ("\"remove\",\"instance\":\"a\",\"drain\":-1", "'drain' is 0 to 86400000 milliseconds, and not -1"),
            ("\"events\",\"count\":-1,\"follow\":false", "'count' is 0 to 1000000000, and not -1"),
            (
                "\"operate\",\"instance\":\"a\",\"operation\":{\"weigh\":{\"_0\":1001}}",
                "'operation' is 0 to 1000, and not 1001"
            ), ("\"node\",\"node\":\"\"", "'node' is a text of 1 to 4096 octets without a zero, and has 0"),
            ("\"node\"", "the request is invalid: 'node' is missing"),
            ("\"engine\"", "the request is invalid: 'operation' is missing"),
        ]
        for (fields, sentence) in refused {
            let line = Array("{\"version\":2,\"command\":\(fields)}".utf8)
            let error = #expect(throws: ApplianceError.self) { _ = try ControlRequest(line: line) }
            #expect(error?.message == sentence)
        }
    }

    @Test("another version is told with both, whatever else it asks")
    func version() {
        let line = Array(#"{"version":7,"release":"9.9\u001b","command":"teleport","node":5}"#.utf8)
        let error = #expect(throws: ApplianceError.self) { _ = try ControlRequest(line: line) }
        #expect(
            error?.message.contains("tapline 9.9\u{FFFD} (protocol 7), but this is tapline 0.1.0 (protocol 2)") == true,
            "\(String(describing: error))")
    }

    @Test("lines by chance, made of pieces of good ones")
    func chance() throws {
        var random = SeededGenerator(seed: Seed.drawn())
        let good = RequestExtremes.lines.filter { $0.count < 500 && !$0.isEmpty }
        var read = 0
        for _ in 0..<20_000 {
            var line = good.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 0...3, using: &random) where !line.isEmpty {
                let place = Int.random(in: line.indices, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: line[place] = UInt8.random(in: 0...255, using: &random)
                case 1: line.remove(at: place)
                case 2: line.insert(Array("0123456789-{}[]\",:eE.\\".utf8).randomElement(using: &random)!, at: place)
                default:
                    let other = good.randomElement(using: &random)!
                    line = Array(line[..<place]) + other[min(place, other.count)...]
                }
            }
            do throws(ApplianceError) {
                try ControlRequest(line: line).command.check()
                read += 1
            } catch {
                #expect(!error.message.isEmpty && error.message.unicodeScalars.allSatisfy { $0.value >= 32 })
            }
        }
        #expect(read > 100)
    }
}
