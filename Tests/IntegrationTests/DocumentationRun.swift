import Foundation

/// A page of the documentation that is done as it says, in a folder of its own, with names of its own for its topologies.
///
/// Commands with `sudo` are root's, all others those of an ordinary user who may open /dev/net/tun.
final class DocumentationRun {
    /// What the page says that is not so.
    private(set) var problems: [String] = []
    private let page: DocumentationPage
    private let folder: URL
    private let user = Int.random(in: 20_000...59_999)
    private let names: [(shown: String, used: String)]

    /// Does all that the page says.
    ///
    /// - Returns: What is not as the page says, with the lines of the page.
    /// - Throws: Errors of the file system.
    static func problems(of page: DocumentationPage) throws -> [String] {
        let run = try DocumentationRun(page)
        do {
            try run.perform()
        } catch {
            run.remove()
            throw error
        }
        run.remove()
        return run.problems
    }

    private init(_ page: DocumentationPage) throws {
        self.page = page
        let suffix = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        names = page.topologies.map { ($0, "\($0)-\(suffix)") }
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-page-\(suffix)")
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("bin"), withIntermediateDirectories: true)
        chmod(folder.path, 0o777)
    }

    private func remove() {
        for name in names {
            if let down = try? run(Product.tapline, ["down", name.used]), down.status != 5 {
                problems.append("\(page.name): leaves \(name.shown) up")
            }
        }
        try? FileManager.default.removeItem(at: folder)
        try? FileManager.default.removeItem(atPath: "/tmp/tapline-\(user)")
    }

    private func perform() throws {
        for block in page.blocks {
            switch block {
            case .file(let path, let text): try write(path, text)
            case .console(let commands):
                for command in commands { try perform(command) }
            case .outside(let text): try parse(text, "a block of commands")
            case .figure: break
            }
        }
    }

    private func write(_ path: String, _ text: String) throws {
        let file = folder.appendingPathComponent(path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        var text = text
        for name in names {
            text = text.replacingOccurrences(
                of: "(?m)^name: \(name.shown)$", with: "name: \(name.used)", options: .regularExpression)
        }
        try text.write(to: file, atomically: true, encoding: .utf8)
        if path.contains(".github/workflows/") { try parseWorkflow(file) }
    }

    private func perform(_ command: DocumentationPage.Command) throws {
        var text = command.text
        for name in names {
            text = text.replacingOccurrences(
                of: "(?<![\\w./-])\(name.shown)(?![\\w./-])", with: name.used, options: .regularExpression)
        }
        let isRoots = text.contains("sudo ")
        let finished = isRoots ? try asRoot(text) : try asUser(text)
        let output = names.reduce(finished.output) { $0.replacingOccurrences(of: $1.used, with: $1.shown) }
        let place = "\(page.name):\(command.line): '\(command.text)'"
        if finished.status != command.status {
            problems.append("\(place) ends with \(finished.status) and not with \(command.status):\n\(output)")
        } else if let line = DocumentationPage.missing(command.output, in: output) {
            problems.append("\(place) does not print '\(line)':\n\(output)")
        }
    }

    private func asRoot(_ command: String) throws -> Finished {
        let script = """
            sudo() { SUDO_UID=\(user) SUDO_GID=\(user) "$@"; }
            cd \(folder.path) && PATH=\(Product.folder.path):$PATH
            \(command)
            """
        return try run("/bin/bash", ["-c", script], timeout: 120)
    }

    private func asUser(_ command: String) throws -> Finished {
        let script = """
            set -e
            mount --make-rprivate /
            mount --bind \(Product.folder.path) \(folder.path)/bin
            mount -t tmpfs -o mode=755 none /dev/net
            mknod /dev/net/tun c 10 200
            chmod 666 /dev/net/tun
            cd \(folder.path)
            exec setpriv --reuid=\(user) --regid=\(user) --clear-groups \
                env -i PATH="\(folder.path)/bin:$PATH" HOME=\(folder.path) bash -c "$0"
            """
        return try run("/usr/bin/unshare", ["-m", "bash", "-c", script, command], timeout: 120)
    }

    /// What cannot be run here is at least a script of the shell, whose scripts and commands of ours exist.
    private func parse(_ script: String, _ what: String) throws {
        let parsed = try run("/bin/bash", ["-n", "-c", script])
        if parsed.status != 0 { problems.append("\(page.name): \(what) is no script: \(parsed.output)") }
        for named in script.matches(of: /(?m)(?:^|[ \/])(Scripts\/[A-Za-z_]+)/) {
            let path = Product.root.appendingPathComponent(String(named.1)).path
            if !FileManager.default.isExecutableFile(atPath: path) {
                problems.append("\(page.name): \(what) names \(named.1), which does not exist")
            }
        }
        for named in script.matches(of: /\btapline ([a-z][a-z-]*)/) {
            if try run(Product.tapline, [String(named.1), "--help"]).status != 0 {
                problems.append("\(page.name): \(what) names 'tapline \(named.1)', which does not exist")
            }
        }
    }

    /// A workflow of GitHub Actions has what one must have, and its steps are scripts.
    private func parseWorkflow(_ file: URL) throws {
        let script = """
            import sys, yaml
            workflow = yaml.safe_load(open(sys.argv[1]))
            # YAML 1.1 reads the key 'on' as true.
            assert 'on' in workflow or True in workflow, 'no on'
            for job in workflow['jobs'].values():
                assert isinstance(job['runs-on'], str), 'no runs-on'
                for step in job['steps']:
                    assert ('run' in step) != ('uses' in step), 'a step is either run or uses'
                    print(step.get('run', ''))
            """
        let read = try run("/usr/bin/env", ["python3", "-c", script, file.path])
        if read.status != 0 {
            problems.append("\(page.name): \(file.lastPathComponent) is no workflow: \(read.output)")
        } else {
            try parse(read.output, file.lastPathComponent)
        }
    }
}
