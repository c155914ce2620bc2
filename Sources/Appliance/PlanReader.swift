import Fabric
import Glibc
import Plan
import Planning
import Reporting
import TopologyFiles

/// A topology file as a plan, with its mistakes as this room's errors.
public enum PlanReader {
    /// The plan of the file at `path`.
    ///
    /// - Parameters:
    ///   - name: A name in place of the file's.
    ///   - settings: Values for its variables.
    /// - Throws: `ApplianceError` with all mistakes of the file.
    public static func plan(
        _ path: String, name: String? = nil, settings: FileSettings = FileSettings()
    ) throws(ApplianceError) -> AppliancePlan {
        try planned(path, name: name, settings: settings).plan
    }

    /// The file at `path`, with its plan.
    ///
    /// - Parameters:
    ///   - name: A name in place of the file's.
    ///   - settings: Values for its variables.
    /// - Throws: `ApplianceError` with all mistakes of the file.
    public static func planned(
        _ path: String, name: String? = nil, settings: FileSettings = FileSettings()
    ) throws(ApplianceError) -> PlannedFile {
        try plan(try file(path, settings: settings), name: name, keeping: nil)
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
            // What tenants keep stays in force beside another file, as far as that goes.
            try Planner.plan(
                file, fitting: kept?.wantedRecords ?? [], name: name, keeping: kept, changes: changes)
        }
        Planner.judge(fitting: kept?.wantedAccess ?? [], in: &plan, of: file, keeping: kept)
        makePathsAbsolute(&plan)
        return PlannedFile(source: file, plan: plan)
    }

    private static func makePathsAbsolute(_ plan: inout AppliancePlan) {
        // Commands start there from inside mount namespaces, which have no current folder any more.
        plan.directory = absolute(plan.directory.isEmpty ? "." : plan.directory)
        if let database = plan.records?.database, !database.hasPrefix("/") {
            plan.records?.database = "\(plan.directory)/\(database)"
        }
    }

    /// The plan of a file that has been read, with exactly these records of tenants.
    static func plan(
        _ file: TopologyFile, records: [ServiceRecord], name: String?, keeping kept: AppliancePlan
    ) throws(RecordRefusal) -> PlannedFile {
        var plan = try Planner.plan(file, records: records, name: name, keeping: kept, changes: kept.changes)
        Planner.judge(fitting: kept.wantedAccess, in: &plan, of: file, keeping: kept)
        makePathsAbsolute(&plan)
        return PlannedFile(source: file, plan: plan)
    }

    /// The file at `path`, read and not yet planned.
    ///
    /// - Parameter settings: Values for its variables.
    static func file(_ path: String, settings: FileSettings = FileSettings()) throws(ApplianceError) -> TopologyFile {
        try read(path, settings, false) { file throws(TopologyError) in file }
    }

    /// The text of the file at `path` as it is written out: without variables, counts and included files.
    ///
    /// - Throws: `ApplianceError` with the mistakes that keep it from being written out.
    public static func rendered(_ path: String, settings: FileSettings) throws(ApplianceError) -> String {
        try telling(path, false) { () throws(TopologyError) in
            try TopologyFile.rendered(path, settings: settings)
        }
    }

    /// The plan of the file at `path`, with the paths that its table was proved by.
    ///
    /// - Parameters:
    ///   - settings: Values for its variables.
    ///   - isBrief: Whether a mistake is one line, without the line of the file.
    ///   - isStrict: Whether a file with remarks is refused.
    /// - Throws: `ApplianceError` with all mistakes of the file; if remarks are mistakes, with these, too.
    public static func prove(
        _ path: String, settings: FileSettings = FileSettings(), brief isBrief: Bool = false,
        strict isStrict: Bool = false
    ) throws(ApplianceError) -> ProvedPlan {
        let proved = try read(path, settings, isBrief) { file throws(TopologyError) in try Planner.prove(file) }
        // Whoever has the program that reads certificates is told what is wrong with them.
        if (try? Machine.recordsPath()) != nil { try ManagementCredentials.check(proved.plan) }
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
        _ path: String, _ settings: FileSettings, _ isBrief: Bool,
        _ make: (TopologyFile) throws(TopologyError) -> Plan
    ) throws(ApplianceError) -> Plan {
        if access(path, R_OK) != 0, errno == EACCES {
            throw ApplianceError(
                .machine, "\(path) cannot be read by this user",
                hint: "permit it with chmod, also for its parent folders, or use sudo")
        }
        return try telling(path, isBrief) { () throws(TopologyError) in
            try make(try TopologyFile.read(path, settings: settings))
        }
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
    public static func absolute(_ path: String) -> String { canonicalPath(path) }
}

/// This process's number.
var ownPid: Int32 { getpid() }
