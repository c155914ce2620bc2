import Reporting

/// One answer on the control socket. A request gets any number of answers with progress, then a last one: the result or
/// an error. A request that follows events gets answers until the connection ends.
package enum ControlAnswer<Answer: Codable & Sendable>: Sendable {
    /// The current step; another answer follows.
    case progress(Progress)
    /// The result.
    case answer(Answer)
    /// Why it could not be done.
    case error(ApplianceError)
    /// The connection made room for others before its request was read; the same request may be sent again.
    case crowded(ApplianceError)
}

extension ControlAnswer: Codable {
    private enum Key: CodingKey { case progress, answer, error, again }

    /// - Throws: `DecodingError` if it is not such an answer.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        if let error = try container.decodeIfPresent(ApplianceError.self, forKey: .error) {
            let again = try container.decodeIfPresent(Bool.self, forKey: .again) ?? false
            self = again ? .crowded(error) : .error(error)
        } else if let progress = try container.decodeIfPresent(Progress.self, forKey: .progress) {
            self = .progress(progress)
        } else {
            self = .answer(try container.decode(Answer.self, forKey: .answer))
        }
    }

    /// - Throws: `EncodingError` if the answer cannot be written as JSON.
    package func encode(to encoder: any Encoder) throws {
        try ControlVersion().encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        switch self {
        case .progress(let progress): try container.encode(progress, forKey: .progress)
        case .answer(let answer): try container.encode(answer, forKey: .answer)
        case .error(let error): try container.encode(error, forKey: .error)
        case .crowded(let error):
            try container.encode(error, forKey: .error)
            try container.encode(true, forKey: .again)
        }
    }
}
