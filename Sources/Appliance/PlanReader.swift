import Glibc
import Plan
import Planning
import Reporting
import TopologyFiles

/// A topology file as a plan, with its mistakes as this room's errors.
public enum PlanReader {
    /// The plan of the file at `path`.
    ///
    /// - Parameter name: A name in place of the file's.
    /// - Throws: `ApplianceError` with all mistakes of the file.
    public static func plan(_ path: String, name: String? = nil) throws(ApplianceError) -> AppliancePlan {
        try planned(path, name: name).plan
    }

    /// The file at `path`, with its plan.
    ///
    /// - Parameter name: A name in place of the file's.
    /// - Throws: `ApplianceError` with all mistakes of the file.
    public static func planned(_ path: String, name: String? = nil) throws(ApplianceError) -> PlannedFile {
        try plan(try file(path), name: name, keeping: nil)
    }

    /// The plan of a file that has been read.
    ///
    /// - Parameters:
    ///   - kept: The running plan: common parts stay as they are there.
    ///   - changes: The instances that the plan adds to the file, and removes from it.
    static func plan(
        _ file: TopologyFile, name: String?, keeping kept: AppliancePlan?,
        changes: InstanceChanges = InstanceChanges()
    ) throws(ApplianceError) -> PlannedFile {
        var plan = try telling(file.path, false) { () throws(TopologyError) in
            try Planner.plan(file, name: name, keeping: kept, changes: changes)
        }
        // Commands start there from inside mount namespaces, which have no current folder any more.
        plan.directory = absolute(plan.directory.isEmpty ? "." : plan.directory)
        return PlannedFile(source: file, plan: plan)
    }

    /// The file at `path`, read and not yet planned.
    static func file(_ path: String) throws(ApplianceError) -> TopologyFile {
        try read(path, false) { file throws(TopologyError) in file }
    }

    /// The plan of the file at `path`, with the paths that its table was proved by.
    ///
    /// - Parameters:
    ///   - isBrief: Whether a mistake is one line, without the line of the file.
    ///   - isStrict: Whether a file with remarks is refused.
    /// - Throws: `ApplianceError` with all mistakes of the file; if remarks are mistakes, with these, too.
    public static func prove(
        _ path: String, brief isBrief: Bool = false, strict isStrict: Bool = false
    ) throws(ApplianceError) -> ProvedPlan {
        let proved = try read(path, isBrief) { file throws(TopologyError) in try Planner.prove(file) }
        let remarks = proved.plan.remarks
        guard isStrict, !remarks.isEmpty else { return proved }
        throw ApplianceError(
            .file, "\(path) has \(remarks.count == 1 ? "a remark" : "\(remarks.count) remarks")",
            hint: "correct \(remarks.count == 1 ? "it" : "them"), or omit --strict",
            details: lines(remarks, brief: isBrief))
    }

    /// Mistakes or remarks as lines for a person.
    ///
    /// - Parameter isBrief: Whether each is one line, without the line of the file.
    public static func lines(_ problems: [TopologyProblem], brief isBrief: Bool) -> [String] {
        problems.flatMap { (isBrief ? $0.summary : $0.description).split(separator: "\n").map(String.init) }
    }

    private static func read<Plan>(
        _ path: String, _ isBrief: Bool, _ make: (TopologyFile) throws(TopologyError) -> Plan
    ) throws(ApplianceError) -> Plan {
        if access(path, R_OK) != 0, errno == EACCES {
            throw ApplianceError(
                .machine, "\(path) cannot be read by this user",
                hint: "permit it with chmod, also for its parent folders, or use sudo")
        }
        return try telling(path, isBrief) { () throws(TopologyError) in try make(try TopologyFile.read(path)) }
    }

    /// A file's mistakes as an error of this room's.
    private static func telling<Value>(
        _ path: String, _ isBrief: Bool, _ body: () throws(TopologyError) -> Value
    ) throws(ApplianceError) -> Value {
        do throws(TopologyError) {
            return try body()
        } catch {
            let count = error.problems.count
            throw ApplianceError(
                .file, "\(path) has \(count == 1 ? "a mistake" : "\(count) mistakes")",
                details: lines(error.problems, brief: isBrief))
        }
    }

    /// The absolute path of a file.
    public static func absolute(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// This process's number.
var ownPid: Int32 { getpid() }
