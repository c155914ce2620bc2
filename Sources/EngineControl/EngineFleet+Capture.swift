import CLinux
import ControlAPI
import Engine
import EventLoop
import Glibc
import Plan
import Reporting

/// The memory of capture rings. It goes with its last owner.
final class CaptureRings {
    /// For engines.
    let descriptor: Int32
    /// For readers, who cannot write with it.
    let readOnly: Int32
    /// How many there are.
    let count: Int

    /// - Throws: `EngineError` if the system has no memory for so many rings.
    init(_ count: Int) throws(EngineError) {
        self.count = count
        descriptor = try SharedMapping.makeCaptureRings(count)
        readOnly = clinux_open("/proc/self/fd/\(descriptor)", O_RDONLY, 0)
        // Nobody but this user can open it again for writing.
        guard readOnly >= 0, fchmod(descriptor, 0o600) == 0 else {
            let failure = errno
            close(descriptor)
            if readOnly >= 0 { close(readOnly) }
            throw EngineError("open the rings for reading", errno: readOnly < 0 ? -readOnly : failure)
        }
    }

    deinit {
        close(descriptor)
        close(readOnly)
    }
}

/// What engines capture.
extension EngineFleet {
    /// The observers of one moment, and the rings that frames for them go to.
    struct Observation {
        var memory: SealedMemory
        /// One ring for each block of the counters.
        var rings: CaptureRings
    }

    /// A change of observers on its way to the engines.
    struct PendingObservation {
        let number: UInt64
        let done: (Result<Void, ApplianceError>) -> Void
    }

    /// The state of capturing.
    struct Captures {
        /// What is captured now; nil: nothing.
        var observation: Observation?
        /// The number of the newest observers that engines were handed.
        var number: UInt64 = 0
        /// The changes of observers that not every engine has answered yet.
        var pending: [PendingObservation] = []

        /// Nobody answers any more.
        mutating func cancel() {
            for change in pending { change.done(.failure(.cancelled)) }
            pending = []
        }
    }

    /// What a reader of the rings needs. The descriptors stay the fleet's.
    package struct CaptureMemory {
        /// The memory of the rings, for reading only.
        package var descriptor: Int32
        /// How many rings are in it.
        package var rings: Int
        /// The newest table that every engine decides by, or is about to.
        package var table: EngineLink.Memory
        /// Its groups; nil if it has its own.
        package var groups: EngineLink.Memory?
        /// Its generation.
        package var generation: UInt64
        /// What keeps the descriptors open.
        package var owners: [AnyObject]
    }

    /// What a reader of the rings needs; nil while engines capture nothing.
    package var captureMemory: CaptureMemory? {
        guard let rings = captures.observation?.rings, let table = try? wholeTable() else { return nil }
        return CaptureMemory(
            descriptor: rings.readOnly, rings: rings.count, table: table.memory,
            groups: published.groups?.memory, generation: published.generation,
            owners: [rings, table] + (published.groups.map { [$0] } ?? []))
    }

    private var captureRingCount: Int { resources.counterLayout.workers }

    /// Has all engines capture for these observers, and for no others. An engine that starts later does so, too.
    ///
    /// - Parameters:
    ///   - observers: At most `CaptureObserver.most`, each with another number. Empty: nothing is captured.
    ///   - done: Called when every engine does so. If an engine refuses, the failure says why; the caller then hands
    ///     over other observers.
    package func observe(_ observers: [CaptureObserver], _ done: @escaping (Result<Void, ApplianceError>) -> Void) {
        loop.preconditionCurrent()
        guard !hasStopped else { return done(.failure(.cancelled)) }
        do throws(EngineError) {
            if observers.isEmpty {
                captures.observation = nil
            } else {
                let memory = try SealedMemory(CaptureObservers.bytes(observers), generation: captures.number + 1)
                let rings: CaptureRings
                if let present = captures.observation?.rings {
                    rings = present
                } else {
                    rings = try CaptureRings(captureRingCount)
                }
                captures.observation = Observation(memory: memory, rings: rings)
            }
        } catch {
            return done(.failure(ApplianceError(.failed, "\(error)")))
        }
        captures.number += 1
        captures.pending.append(PendingObservation(number: captures.number, done: done))
        for process in living where process.phase == .ready { handObservers(process) }
        settleObservations()
    }

    /// Gives the present observers to an engine that has not got them.
    func handObservers(_ process: EngineProcess) {
        guard process.handedObservers != captures.number else { return }
        process.observe(captures.observation, number: captures.number)
    }

    /// Reports the changes that every ready engine has answered.
    func settleObservations() {
        let ready = living.filter { $0.phase == .ready }
        while let first = captures.pending.first {
            guard ready.allSatisfy({ $0.observed >= first.number }) else { return }
            captures.pending.removeFirst()
            let refusal = ready.lazy.compactMap { $0.observed == first.number ? $0.observationRefusal : nil }.first
            if let refusal {
                first.done(.failure(ApplianceError(.failed, "an engine refused to capture: \(refusal)")))
            } else {
                first.done(.success(()))
            }
        }
    }
}
