import Foundation
import Seeds
import Testing
import Topology

@testable import Appliance

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
            values += ["{\"drain\":{\"milliseconds\":\(number)}}", "{\"weigh\":{\"_0\":\(number)}}"]
            values += ["since", "count", "follow"].map { "{\"\($0)\":\(number),\"follow\":false}" }
        }
        values.append("\"\(String(repeating: "x", count: 60_000))\"")
        for depth in [20, 600, 10_000] {
            values.append(String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
            values.append(String(repeating: "{\"a\":", count: depth) + "1" + String(repeating: "}", count: depth))
        }
        return values
    }()

    /// Lines for every command with every extreme in every field, and lines that are no request at all. Those that would
    /// change something that is there are for a topology that has nothing of that name.
    static let lines: [[UInt8]] = {
        var lines: [[UInt8]] = []
        for command in ControlRequest.Command.allCases where command != .stop {
            // Where the field is another than those, they are such that the request gets as far as it can.
            let whole = [
                "version": "1", "command": "\"\(command.rawValue)\"", "node": "\"nobody\"",
                "application": "\"nothing\"",
                "file": "\"/nowhere\"", "operation": "\"undrain\"", "engine": "200",
                "instanceOperation": "{\"undrain\":{}}",
            ]
            func line(_ fields: [String: String], _ twice: (String, String)? = nil) -> [UInt8] {
                let members = fields.sorted { $0.key < $1.key } + (twice.map { [(key: $0.0, value: $0.1)] } ?? [])
                return Array("{\(members.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ","))}".utf8)
            }
            for key in ControlRequest.CodingKeys.allCases {
                var less = whole
                less[key.rawValue] = nil
                lines.append(line(less))
                // What does not depend on the command is sent with one of them.
                for value in values where value.count < 200 || command == .cancel {
                    lines.append(line(whole.merging([key.rawValue: value]) { $1 }))
                    if command == .cancel, value.count < 50 { lines.append(line(whole, (key.rawValue, value))) }
                }
            }
        }
        lines += ["", " ", "{", "}", "null", "0", "[]", "\"", "{\"version\":1,\"command\":\"fly\"}", "\u{0}", "stop"]
            .map { Array($0.utf8) }
        lines.append([0xFF, 0xFE, 0x00])
        lines.append(
            Array("{\"version\":1,\"command\":\"node\",\"node\":\"".utf8) + [0xC3, 0x28, 0x80] + Array("\"}".utf8))
        return lines
    }()
}

@Suite("Requests of the control socket are checked when they are read")
struct ControlRequestTests {
    /// The names of the stored properties of a value.
    private func properties(_ value: Any) -> Set<String> {
        Set(Mirror(reflecting: value).children.compactMap(\.label))
    }

    @Test("every field of a request has a key, so that none is left unchecked and untested")
    func keys() {
        #expect(properties(ControlRequest(.status)) == Set(ControlRequest.CodingKeys.allCases.map(\.rawValue)))
        #expect(properties(EventsRequest()) == Set(EventsRequest.CodingKeys.allCases.map(\.rawValue)))
    }

    @Test("whatever a field holds, the request is in its ranges or refused in a sentence without control characters")
    func extremes() {
        var taken = 0
        for line in RequestExtremes.lines {
            do throws(ApplianceError) {
                let request = try ControlRequest(line: line)
                try request.check()
                taken += 1
                #expect(request.engine.map(RequestRange.engine.contains) ?? true)
                #expect(request.drain.map(RequestRange.drain.contains) ?? true)
                #expect(request.events?.since.map(RequestRange.since.contains) ?? true)
                #expect(request.events?.count.map(RequestRange.count.contains) ?? true)
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
            ("\"engine\":-9223372036854775808", "'engine' is 1 to 256, and not -9223372036854775808"),
            ("\"engine\":0", "'engine' is 1 to 256, and not 0"),
            ("\"drain\":9223372036854775807", "'drain' is 0 to 86400000 milliseconds, and not 9223372036854775807"),
            ("\"events\":{\"count\":-1,\"follow\":false}", "'count' is 0 to 1000000000, and not -1"),
            ("\"instanceOperation\":{\"weigh\":{\"_0\":1001}}", "'instanceOperation' is 0 to 1000, and not 1001"),
            ("\"node\":\"\"", "'node' is a text of 1 to 4096 octets without a zero, and has 0"),
        ]
        for (field, sentence) in refused {
            let line = Array("{\"version\":1,\"command\":\"status\",\(field)}".utf8)
            let error = #expect(throws: ApplianceError.self) { _ = try ControlRequest(line: line) }
            #expect(error?.message == sentence)
        }
    }

    @Test("another version is told with both, whatever else it asks")
    func version() {
        let line = Array(#"{"version":7,"release":"9.9\u001b","command":"teleport","node":5}"#.utf8)
        let error = #expect(throws: ApplianceError.self) { _ = try ControlRequest(line: line) }
        #expect(
            error?.message.contains("tapline 9.9\u{FFFD} (protocol 7), and this is tapline 0.1.0 (protocol 1)") == true,
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
                try ControlRequest(line: line).check()
                read += 1
            } catch {
                #expect(!error.message.isEmpty && error.message.unicodeScalars.allSatisfy { $0.value >= 32 })
            }
        }
        #expect(read > 100)
    }
}
