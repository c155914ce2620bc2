import Reporting
import Yams

extension Node {
    /// The places of all texts in this node that have expressions, by the texts.
    func expressionPlaces() -> [String: SourceOrigin] {
        var places: [String: SourceOrigin] = [:]
        collect(into: &places)
        return places
    }

    private func collect(into places: inout [String: SourceOrigin]) {
        switch self {
        case .scalar(let scalar):
            if scalar.string.contains("{{"), places[scalar.string] == nil { places[scalar.string] = origin }
        case .sequence(let sequence): for element in sequence { element.collect(into: &places) }
        case .mapping(let mapping): for (_, value) in mapping { value.collect(into: &places) }
        case .alias: break
        }
    }
}
