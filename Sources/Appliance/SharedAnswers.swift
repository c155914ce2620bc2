import ControlAPI
import EventLoop
import Reporting

/// Makes an answer for all callers that ask for the same. It may take seconds and much memory: the listing of a large
/// table, a look at every process. So one is made at a time, beside the loop, for all callers that asked before it was
/// begun.
///
/// On the loop's thread.
final class SharedAnswers<Answer: Codable & Sendable>: @unchecked Sendable {
    private let loop: EventLoop
    private let begin: () -> @Sendable () -> Answer
    private var isMaking = false
    private var waiting: [ControlReply<Answer>] = []

    /// - Parameter begin: Reads what belongs to one moment, on the loop's thread. The result makes the answer of it, in a
    ///   thread of its own.
    init(loop: EventLoop, begin: @escaping () -> @Sendable () -> Answer) {
        self.loop = loop
        self.begin = begin
    }

    /// Answers with what is not begun yet.
    func answer(_ reply: ControlReply<Answer>) {
        loop.preconditionCurrent()
        waiting.append(reply)
        if !isMaking { make() }
    }

    private func make() {
        isMaking = true
        let replies = Box(waiting)
        waiting = []
        let answer = begin()
        let work: @Sendable () -> Void = { [self] in
            let line: Result<[UInt8], ApplianceError>
            do throws(ApplianceError) { line = .success(try JSONLine.encode(ControlAnswer.answer(answer()))) } catch {
                line = .failure(error)
            }
            loop.submit { [self] in
                for reply in replies.value {
                    switch line {
                    case .success(let line): reply(line: line)
                    case .failure(let error): reply.fail(error)
                    }
                }
                isMaking = false
                if !waiting.isEmpty { make() }
            }
        }
        do throws(ApplianceError) { try startThread(work) } catch { work() }
    }
}
