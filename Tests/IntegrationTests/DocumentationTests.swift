import Foundation
import Testing

/// The documentation says what is so: each file and command of it is tried, and its output compared.
@Suite(.serialized) struct DocumentationTests {
    static let folder = Product.root.appendingPathComponent("Sources/tapline/Documentation.docc")

    /// The names of the pages, without their endings.
    static let pages: [String] =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
        .filter { $0.hasSuffix(".md") }.map { String($0.dropLast(3)) }.sorted()

    static func text(_ page: String) throws -> String {
        try String(contentsOf: folder.appendingPathComponent("\(page).md"), encoding: .utf8)
    }

    @Test(arguments: pages) func everythingOnThePageIsSo(_ name: String) throws {
        let page = try DocumentationPage(name: "\(name).md", text: Self.text(name))
        for problem in try DocumentationRun.problems(of: page) { Issue.record("\(problem)") }
    }

    @Test func everyPageIsInTheContentsAndEveryLinkLeadsToAPage() throws {
        let contents = try #require(Self.text("Documentation").components(separatedBy: "## Topics").last)
        let listed = contents.matches(of: /<doc:([A-Za-z]+)>/).map { String($0.1) }
        #expect(listed.sorted() == Self.pages.filter { $0 != "Documentation" })
        for name in Self.pages {
            for link in try Self.text(name).matches(of: /<doc:([^>]*)>/) {
                #expect(Self.pages.contains(String(link.1)), "\(name): \(link.1)")
            }
        }
        let readme = try String(contentsOf: Product.root.appendingPathComponent("README.md"), encoding: .utf8)
        for link in readme.matches(of: /\]\(([^)#:]+)(?:#[^)]*)?\)/) {
            let path = Product.root.appendingPathComponent(String(link.1)).path
            #expect(FileManager.default.fileExists(atPath: path), "README.md: \(link.1)")
        }
    }

    @Test func theReferenceIsTheGrammars() throws {
        let made = try run(
            "/usr/bin/env",
            [
                "python3", Product.root.appendingPathComponent("Scripts/Documentation/reference.py").path,
                Product.root.appendingPathComponent("Topologies/topology.schema.json").path,
            ])
        #expect(made.status == 0, "\(made.output)")
        #expect(try Self.text("FileFormat") == made.output, "run: Scripts/documentation --reference")
    }

    /// A link that leads nowhere is a warning of DocC.
    @Test func theSiteIsBuiltWithoutAWarning() throws {
        let site = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-site-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: site) }
        let built = try run(
            Product.root.appendingPathComponent("Scripts/documentation").path, ["--output", site.path], timeout: 120)
        #expect(built.status == 0 && !built.output.contains("warning:"), "\(built.output)")
        for page in Self.pages where page != "Documentation" {
            let path = site.appendingPathComponent("documentation/tapline/\(page.lowercased())/index.html").path
            #expect(FileManager.default.fileExists(atPath: path), "\(page)")
        }
    }

    @Test func theReadmesTopologyRuns() throws {
        let readme = try String(contentsOf: Product.root.appendingPathComponent("README.md"), encoding: .utf8)
        let parts = readme.components(separatedBy: "```yaml\n")
        try #require(parts.count == 2)
        let block = try #require(parts[1].components(separatedBy: "```").first)
        let page = try DocumentationPage(
            name: "README.md",
            text: """
                **`small.yaml`**

                ```yaml
                \(block)```

                ```console
                $ tapline validate small.yaml
                $ sudo tapline run small.yaml
                ok alice reaches the site …
                ```
                """)
        for problem in try DocumentationRun.problems(of: page) { Issue.record("\(problem)") }
    }

    @Test(
        "a page that is wrong is found to be wrong",
        arguments: [
            ("$ tapline validat x.yaml", "ends with 64 and not with 0"),
            ("$ tapline validate x.yaml\n(exit status 3)", "ends with 0 and not with 3"),
            ("$ tapline validate x.yaml\nno such line", "does not print 'no such line'"),
            ("$ tapline validate x.yaml\n… 2 nodes …\n… has 2 nodes …", "does not print '… has 2 nodes …'"),
            ("$ tapline status wrong-page\n(exit status 0)", "ends with"),
            ("$ sudo tapline up x.yaml -d", "leaves wrong-page up"),
        ])
    func wrong(_ commands: String, _ summary: String) throws {
        let page = try DocumentationPage(
            name: "page",
            text: """
                **`x.yaml`**

                ```yaml
                name: wrong-page
                interfaces:
                  outside: { address: 192.0.2.1/24 }
                  inside:  { address: 198.18.4.1/24 }
                customers:
                  alice: { interface: outside }
                applications:
                  web: { attach: inside }
                services:
                  site: { address: 203.0.113.80, sequence: web }
                ```

                ```console
                \(commands)
                ```
                """)
        let problems = try DocumentationRun.problems(of: page)
        #expect(problems.count == 1 && problems[0].contains(summary), "\(problems)")
    }

    @Test(arguments: [
        ("```sh\nif\n```", "is no script"),
        ("```sh\nsudo Scripts/instal\n```", "names Scripts/instal, which does not exist"),
        ("```sh\nsudo tapline upp x.yaml\n```", "names 'tapline upp', which does not exist"),
        ("**`.github/workflows/x.yml`**\n\n```yaml\non: push\njobs: { a: { steps: [] } }\n```", "is no workflow"),
    ])
    func whatIsNotRunIsParsed(_ text: String, _ summary: String) throws {
        let problems = try DocumentationRun.problems(of: DocumentationPage(name: "page", text: text))
        #expect(problems.count == 1 && problems[0].contains(summary), "\(problems)")
    }

    @Test(arguments: [
        "```swift\nlet a = 1\n```", "```console\nno command\n```", "```sh\nls", "**`../x`**\n```text\n```",
    ])
    func aBlockThatNothingWouldTestIsRefused(_ text: String) {
        #expect(throws: DocumentationPage.ReadError.self) { try DocumentationPage(name: "page", text: text) }
    }
}
