import ControlAPI
import EventLoop
import Forwarding
import Reporting

/// Lists the table for all callers. A listing of a large table takes seconds and much memory. So one is made at a time,
/// beside the loop, for all callers that asked before it was begun.
///
/// On the loop's thread.
final class TableLister: @unchecked Sendable {
    /// The table and its counters, of one moment.
    struct Picture: Sendable {
        /// The topology's name.
        var name: String
        var table: ForwardingTable
        /// Packets and octets by the entries' counter indexes.
        var counters: [(packets: UInt64, bytes: UInt64)]
    }

    private let loop: EventLoop
    private let look: () -> Picture
    private var isListing = false
    private var waiting: [ControlReply<TableListing>] = []

    /// - Parameter look: Reads the table and its counters.
    init(loop: EventLoop, look: @escaping () -> Picture) {
        self.loop = loop
        self.look = look
    }

    /// Answers with a listing that is not begun yet.
    func list(for reply: ControlReply<TableListing>) {
        loop.preconditionCurrent()
        waiting.append(reply)
        if !isListing { begin() }
    }

    private func begin() {
        isListing = true
        let replies = Box(waiting)
        waiting = []
        let seen = look()
        let work: @Sendable () -> Void = { [self] in
            let listing = TableListing(name: seen.name, table: seen.table) {
                seen.counters.indices.contains($0) ? seen.counters[$0] : (0, 0)
            }
            let line: Result<[UInt8], ApplianceError>
            do throws(ApplianceError) { line = .success(try JSONLine.encode(ControlAnswer.answer(listing))) } catch {
                line = .failure(error)
            }
            loop.submit { [self] in
                for reply in replies.value {
                    switch line {
                    case .success(let line): reply(line: line)
                    case .failure(let error): reply.fail(error)
                    }
                }
                isListing = false
                if !waiting.isEmpty { begin() }
            }
        }
        do throws(ApplianceError) { try startThread(work) } catch { work() }
    }
}
