import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting

/// The programs of Tapline itself, and the programs that a topology's commands name.
extension Doctor {
    /// The subject of findings about programs that files name.
    static let programsSubject = "programs"

    func engine() -> Finding {
        let path: String
        do throws(ApplianceError) { path = try Machine.enginePath() } catch {
            return Finding("engine", .fail, error.message, hint: error.hint)
        }
        guard let line = Self.firstLine(of: path, "--version") else {
            return Finding(
                "engine", .fail, "\(path) does not tell its version", hint: "install both programs of one release")
        }
        guard line == "tapline-engine \(Machine.version)" else {
            return Finding(
                "engine", .fail, "\(path) says '\(line)', and this is tapline \(Machine.version)",
                hint: "install both programs of one release, or name the right one with TAPLINE_ENGINE")
        }
        return Finding("engine", .ok, "\(path), version \(Machine.version)")
    }

    /// The first line that a program prints, within two seconds; nil if it prints none.
    private static func firstLine(of path: String, _ argument: String) -> String? {
        do {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { return nil }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            defer { close(ends[0]) }
            let child = try ProcessLauncher.spawn(
                Command(path, arguments: ["tapline-engine", argument], descriptors: [1: ends[1]], diesWithParent: true))
            close(ends[1])
            let outcome = CommandRun.finish(
                child, output: ends[0], timeout: .seconds(2), cancellation: try Cancellation())
            return outcome.text.split(separator: "\n").first.map(String.init)
        } catch {
            return nil
        }
    }

    // MARK: - Of a file

    func programs(_ plan: AppliancePlan?) -> [Finding] {
        var findings: [Finding] = []
        if !isInstalled("sh") {
            findings.append(
                Finding("sh", .fail, "there is no sh, but commands of a file need it", hint: "install dash or bash")
            )
        }
        guard let plan else {
            let optional = ["ip", "nft"].filter { !isInstalled($0) }
            findings.append(
                optional.isEmpty
                    ? Finding(
                        Self.programsSubject, .ok, "sh, ip and nft are there; give a FILE to check its programs, too")
                    : Finding(
                        Self.programsSubject, .warn,
                        "many topologies need programs that are not installed: "
                            + optional.joined(separator: ", "), hint: "install iproute2 and nftables"))
            return findings
        }
        if let management = plan.records?.management, management.certificate == nil, !isInstalled("openssl") {
            findings.append(
                Finding(
                    Self.programsSubject, .fail,
                    "the management address (\(management.origin)) has no certificate, and openssl, which makes one, is "
                        + "not installed", hint: "install openssl, or name a `certificate`"))
        }
        return findings + GuestNeeds(plan).findings + CommandPrograms(plan).findings
    }

    /// True if a program is installed on the machine.
    private func isInstalled(_ program: String) -> Bool {
        ProcessPlan.path.split(separator: ":").contains { access("\($0)/\(program)", X_OK) == 0 }
    }
}
