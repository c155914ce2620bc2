import FuzzProperties
import Glibc
import Testing

/// The corpus that fuzzing has kept, and every input that has ever broken something, without a fuzzer.
@Suite struct CorpusTests {
    @Test(arguments: FuzzTarget.allCases)
    func everyInputHolds(_ target: FuzzTarget) throws {
        let folder =
            "\(#filePath)".split(separator: "/").dropLast(2).map { "/\($0)" }.joined()
            + "/Fuzz/Corpus/\(target.rawValue)"
        let names = try self.names(in: folder)
        #expect(names.count > 10, "\(folder) holds the corpus")
        for name in names {
            let bytes = try contents(of: "\(folder)/\(name)")
            do {
                try bytes.withUnsafeBytes { try target.check($0) }
            } catch {
                Issue.record("\(target.rawValue)/\(name): \(error)")
            }
        }
    }

    private struct Unreadable: Error { let path: String }

    private func names(in folder: String) throws -> [String] {
        guard let directory = opendir(folder) else { throw Unreadable(path: folder) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    private func contents(of path: String) throws -> [UInt8] {
        guard let file = fopen(path, "r") else { throw Unreadable(path: path) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        return Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
    }
}
