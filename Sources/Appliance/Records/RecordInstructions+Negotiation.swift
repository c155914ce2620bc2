import ControlAPI
import EventLoop
import Reporting

extension RecordInstructions {
    /// Plans, proves and publishes a change at once, for an application that asked for it.
    ///
    /// - Returns: nil: it is in force. Otherwise why it cannot be.
    /// - Throws: `ApplianceError` if it could not be brought in force now.
    func carryOut(_ change: RecordChange) throws(ApplianceError) -> InstructionRefusal? {
        // Between the two steps another change may come; the second one then plans again.
        switch answer(.prepare(change), whileStarting: false) {
        case .refused(let refusal)?: return refusal
        case .error(let error)?: throw error
        case .prepared(let prepared)?:
            switch answer(.commit(number: prepared.number), whileStarting: false) {
            case .refused(let refusal)?: return refusal
            case .error(let error)?: throw error
            default: return nil
            }
        default: return nil
        }
    }
}
