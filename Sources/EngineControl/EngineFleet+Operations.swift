import ControlAPI
import Engine
import EventLoop
import LinuxNetwork
import Plan
import Reporting

/// The operators' requests to engines.
extension EngineFleet {
    /// Engines that are being replaced one by one.
    final class Replacement {
        /// The members whose turn is yet to come.
        var waiting: [Int]
        /// The member whose turn it is.
        var member = 0
        /// The process that does the member's work, and its predecessor.
        var fresh: EngineProcess?
        /// See `fresh`.
        var old: EngineProcess?
        let done: (Result<Void, ApplianceError>) -> Void

        init(waiting: [Int], done: @escaping (Result<Void, ApplianceError>) -> Void) {
            self.waiting = waiting
            self.done = done
        }
    }

    // MARK: - Replacing

    /// Starts the program anew and gives it the engine's place, without losing a frame. The new process is ready before
    /// the old one lets go. It begins to read when the old one has sent on all frames that it had read.
    ///
    /// - Parameters:
    ///   - number: The engine's, from 1; nil: all of them, one by one.
    ///   - done: Called when the last of the old processes has ended, or when a new one did not start; then the others
    ///     are as they were.
    package func replace(engine number: Int?, _ done: @escaping (Result<Void, ApplianceError>) -> Void) {
        loop.preconditionCurrent()
        do throws(ApplianceError) {
            var wanted = Array(members.indices)
            if let number { wanted = [try member(of: number)] }
            if regrowth != nil {
                throw ApplianceError(
                    .failed, "other engines are about to take the place of all", hint: "try again when that has ended")
            }
            if let replacement {
                throw ApplianceError(
                    .failed, "engine \(replacement.member + 1) is being replaced", hint: "try again when that has ended"
                )
            }
            if let missing = wanted.first(where: { members[$0].process?.phase != .ready }) {
                throw ApplianceError(
                    .failed, "engine \(missing + 1) is not running now",
                    hint: "it is restarted automatically; try again when 'tapline status' shows it running")
            }
            replacement = Replacement(waiting: wanted, done: done)
        } catch {
            done(.failure(error))
            return
        }
        replaceNext()
    }

    private func replaceNext() {
        guard let replacement else { return }
        guard !replacement.waiting.isEmpty else {
            // The spare is of the new program, too.
            if let old = spare {
                spare = nil
                launchSpare()
                retire(old)
            }
            finishReplacement(.success(()))
            return
        }
        let member = replacement.waiting.removeFirst()
        (replacement.member, replacement.fresh, replacement.old) = (member, nil, nil)
        do {
            members[member].successor = try spawn()
        } catch {
            finishReplacement(
                .failure(ApplianceError(.failed, "engine \(member + 1) could not be restarted: \(error)")))
        }
    }

    /// Gives the place to the ready successor, and makes the predecessor let go.
    func promote(_ member: Int) {
        let old = members[member].process
        let fresh = members[member].successor
        members[member].noteLeaving(living)
        members[member].process = fresh
        members[member].successor = nil
        members[member].starts += 1
        replacement?.fresh = fresh
        replacement?.old = old
        if old != nil { members[member].lastEnd = "was replaced" }
        divide()
        // The one before has ended by itself meanwhile.
        if old == nil { replaced(member) }
    }

    private func replaced(_ member: Int) {
        let pid = members[member].process.map { ": process \($0.pid)" } ?? ""
        events(ApplianceEvent(.engineReplaced, engine: member + 1, reason: "the program was restarted\(pid)"))
        replaceNext()
    }

    /// Goes on with a replacement in which a process has ended.
    func continueReplacement(after process: EngineProcess, _ why: String) {
        guard let replacement else { return }
        let member = replacement.member
        if process === members[member].successor {
            members[member].successor = nil
            finishReplacement(
                .failure(
                    ApplianceError(
                        .failed, "the new engine \(member + 1) did not start: \(why)",
                        hint: members[member].process == nil ? nil : "the former one continues")))
            launchMissing(member)
        } else if process === replacement.old {
            replaced(member)
        } else if process === replacement.fresh {
            // The others read in its place, and another is started; the old one has been told to go.
            finishReplacement(
                .failure(ApplianceError(.failed, "the new engine \(member + 1) ended with its first reads: \(why)")))
        }
    }

    private func finishReplacement(_ result: Result<Void, ApplianceError>) {
        let done = replacement?.done
        replacement = nil
        done?(result)
    }

    // MARK: - Draining

    /// Lets the other engines read an engine's queues until `undrain`. `done` is called when it reads nothing any more.
    ///
    /// - Parameter number: From 1.
    package func drain(engine number: Int, _ done: @escaping (Result<Void, ApplianceError>) -> Void) {
        loop.preconditionCurrent()
        let member: Int
        do throws(ApplianceError) {
            member = try self.member(of: number)
            guard
                members.indices.contains(where: { other in
                    other != member && !members[other].isDrained && members[other].process?.phase == .ready
                })
            else {
                throw ApplianceError(
                    .failed, "no other engine can read the queues of engine \(number)",
                    hint: members.count == 1
                        ? "replace it instead: that loses no packet" : "undrain another one first")
            }
        } catch {
            done(.failure(error))
            return
        }
        if !members[member].isDrained {
            members[member].isDrained = true
            events(ApplianceEvent(.engineDraining, engine: number))
        }
        drains.append((member, done))
        divide()
    }

    /// Lets an engine read its own queues again.
    ///
    /// - Parameter number: From 1.
    /// - Throws: `ApplianceError` if there is no such engine.
    package func undrain(engine number: Int) throws(ApplianceError) {
        loop.preconditionCurrent()
        let member = try member(of: number)
        guard members[member].isDrained else { return }
        members[member].isDrained = false
        let done = drains.filter { $0.member == member }
        drains.removeAll { $0.member == member }
        events(ApplianceEvent(.engineUndrained, engine: number))
        divide()
        for drain in done {
            drain.done(.failure(ApplianceError(.failed, "engine \(number) was undrained meanwhile")))
        }
    }

    // MARK: - Faults

    /// Sends a signal to an engine's process, as a fault. What follows is as if somebody else had sent it.
    ///
    /// - Parameter number: From 1.
    /// - Throws: `ApplianceError` if there is no such engine, or if it has no process now.
    package func signal(_ signal: Int32, engine number: Int) throws(ApplianceError) {
        loop.preconditionCurrent()
        guard let process = members[try member(of: number)].process else {
            throw ApplianceError(.failed, "engine \(number) has no process now", hint: "it is being started again")
        }
        // One that has ended meanwhile takes it without a word.
        try? process.process.signal(signal)
    }

    private func member(of number: Int) throws(ApplianceError) -> Int {
        guard (1...members.count).contains(number) else {
            throw ApplianceError(
                .name, "there is no engine \(number) here",
                hint: members.count == 1 ? "there is one, number 1" : "they are numbered from 1 to \(members.count)")
        }
        return number - 1
    }
}
