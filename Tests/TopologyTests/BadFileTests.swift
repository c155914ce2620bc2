import Foundation
import Plan
import Planning
import Testing
import TopologyFiles

/// One file of the folder of bad files: what it must be told, from the comments at its beginning.
struct BadFile: Sendable, CustomTestStringConvertible {
    static let folder = "\(sourcesRoot)/Tests/TopologyTests/BadFiles"

    /// Every one but that with a hundred mistakes.
    static let all: [BadFile] = names.filter { $0 != "hundred-mistakes.yaml" }.map(BadFile.init)
    static var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".yaml") }.sorted()
    }

    /// The topologies of the repository.
    static var topologies: [String] {
        let root = "\(sourcesRoot)/Topologies"
        return ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)")) ?? [])
                .filter { $0.hasPrefix("topology") && $0.hasSuffix(".yaml") }.map { "\(root)/\(folder)/\($0)" }
        }.sorted()
    }

    let name: String
    var path: String { "\(Self.folder)/\(name)" }
    var testDescription: String { name }

    /// A comment's text: `# expect: …`, `# mend: …` or `# schema: …`.
    func comment(_ key: String) throws -> String {
        let data = try #require(FileManager.default.contents(atPath: path))
        let text = String(decoding: data, as: UTF8.self)
        let line = text.split { $0 == "\n" || $0 == "\r\n" }.first {
            $0.drop { $0 == "\u{FEFF}" }.hasPrefix("# \(key): ")
        }
        let found = try #require(line, "the file does not say `# \(key): …`")
        return String(found.drop { $0 == "\u{FEFF}" }.dropFirst("# \(key): ".count))
    }
}

@Suite struct BadFileTests {
    /// The mistakes of a file, found as `tapline validate` finds them.
    private func mistakes(_ path: String) -> [TopologyProblem] {
        do throws(TopologyError) {
            _ = try Planner.plan(TopologyFile.read(path))
            return []
        } catch {
            return error.problems
        }
    }

    @Test func thereAreManyOfThem() {
        #expect(BadFile.all.count >= 70)
    }

    @Test(arguments: BadFile.all)
    func isToldItsOneMistake(_ file: BadFile) throws {
        let found = mistakes(file.path)
        #expect(found.count == 1, "\(found.map(\.summary))")
        let first = try #require(found.first)
        #expect(try "\(first.line):\(first.column): \(first.message)" == file.comment("expect"))
        #expect(try (first.hint ?? "-") == file.comment("hint"))
    }

    @Test func aHundredMistakesAreToldAtOnce() throws {
        let found = mistakes("\(BadFile.folder)/hundred-mistakes.yaml")
        #expect(found.count == 100)
        #expect(Set(found.map(\.line)).count == 100)
        #expect(found.map(\.origin) == found.map(\.origin).sorted())
        #expect(found.allSatisfy { $0.summary.split(separator: "\n").count == 1 && $0.hint != nil })
    }

    /// An editor's validator must say the same as the reader, as far as a schema can.
    @Test func theSchemaAcceptsAndRejectsAsTheFilesSay() throws {
        let topologies = try FileManager.default.contentsOfDirectory(atPath: "\(sourcesRoot)/Topologies")
            .map { "\(sourcesRoot)/Topologies/\($0)/topology.yaml" }
            .filter { FileManager.default.fileExists(atPath: $0) }
        let page = try String(contentsOfFile: "\(sourcesRoot)/Topologies/FORMAT.md", encoding: .utf8)
        // Blocks that show a part of a file alone have no name.
        let blocks = page.components(separatedBy: "```yaml\n").dropFirst().enumerated()
            .filter { $0.element.hasPrefix("name: ") }.map { "\(sourcesRoot)/Topologies/FORMAT.md#\($0.offset)" }
        #expect(!topologies.isEmpty && !blocks.isEmpty)
        var expected = Dictionary(uniqueKeysWithValues: (topologies + blocks).map { ($0, "accepts") })
        for name in BadFile.names {
            let file = BadFile(name: name)
            expected[file.path] = try file.comment("schema")
        }
        let judged = try judge(expected.keys.sorted())
        #expect(judged.count == expected.count)
        for (path, verdict) in judged {
            #expect(verdict.hasPrefix(expected[path] ?? "nothing"), "\(path): \(verdict)")
        }
    }

    private func judge(_ paths: [String]) throws -> [String: String] {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments =
            ["\(sourcesRoot)/Tests/TopologyTests/judge-schema.py", "\(sourcesRoot)/Topologies/topology.schema.json"]
            + paths
        process.standardOutput = output
        try process.run()
        let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            .split(separator: "\n")
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "python3-jsonschema and python3-yaml must be there")
        var verdicts: [String: String] = [:]
        for line in lines {
            let parts = line.split(separator: " ", maxSplits: 1)
            guard let path = paths.first(where: { parts[1] == $0 || parts[1].hasPrefix("\($0): ") }) else { continue }
            verdicts[path] = "\(parts[0])\(parts[1].dropFirst(path.count))"
        }
        return verdicts
    }
}
