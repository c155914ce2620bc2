import Glibc
import Reporting

/// What a machine of continuous integration needs beside.
extension Doctor {
    /// The service that runs this job, and the files by which it takes results.
    private static let services: [(variable: String, name: String, files: [String])] = [
        ("GITHUB_ACTIONS", "GitHub Actions", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_ENV"]),
        ("GITLAB_CI", "GitLab", []), ("JENKINS_URL", "Jenkins", []), ("CI", "a service that sets CI", []),
    ]

    /// - Parameter environment: The value of a variable; nil if it has none.
    func service(_ environment: (String) -> String?) -> [Finding] {
        guard let service = Self.services.first(where: { environment($0.variable).map { !$0.isEmpty } ?? false }) else {
            let isLost = environment("SUDO_USER") != nil
            return [
                Finding(
                    "service", .ok,
                    "no variable tells that this is a job of continuous integration"
                        + (isLost ? "; sudo keeps variables only with --preserve-env=GITHUB_ACTIONS,…" : ""))
            ]
        }
        let closed = service.files.filter { name in environment(name).map { access($0, W_OK) != 0 } ?? false }
        guard closed.isEmpty else {
            return [
                Finding(
                    "service", .warn,
                    "\(service.name) takes results by files that this user cannot write: \(closed.joined(separator: ", "))",
                    hint: "run it as the user of the job, or with sudo --preserve-env=\(closed.joined(separator: ","))")
            ]
        }
        return [Finding("service", .ok, service.name)]
    }

    /// Jobs are root's as a rule: without root, some applications cannot run, and topologies are slower.
    func jobUser() -> [Finding] {
        guard !isRoot else { return [] }
        return [
            Finding(
                "job", .warn, "the job does not run as root, so programs that change their user may not run",
                hint: "run it with sudo, or in a container with: options: --privileged --user root")
        ]
    }
}

extension Doctor.Report {
    /// The exit status: 0, or 4 if no topology can run, or 6 if only programs that the files name are missing.
    public var status: Int32 {
        let failures = findings.filter { $0.level == .fail }
        if failures.isEmpty { return 0 }
        return failures.allSatisfy { $0.subject == Doctor.programsSubject } ? 6 : ExitCode.machine.rawValue
    }

    /// The findings without those that are fine.
    public var lacks: [Doctor.Finding] { findings.filter { $0.level != .ok } }
}
