import WebPages

/// A piece of HTML in which some texts change while the rest stays.
///
/// Browsers get the HTML once, and then the changed texts by their keys.
struct Fragment {
    /// How a live text appears.
    private enum Piece: Hashable {
        /// HTML that stays.
        case fixed(String)
        /// The content of an element.
        case text(element: String, key: String)
        /// The value of an attribute that the style sheet looks at.
        case state(key: String)
        /// What a screen reader says.
        case label(key: String)
    }

    private var pieces: [Piece] = []
    /// The live texts by their keys.
    private(set) var values: [String: String] = [:]

    /// Adds HTML.
    mutating func add(_ html: String) {
        if case .fixed(let before)? = pieces.last {
            pieces[pieces.count - 1] = .fixed(before + html)
        } else {
            pieces.append(.fixed(html))
        }
    }

    /// Adds an element around a text that changes.
    mutating func add(live key: String, _ text: String, in element: String = "span") {
        pieces.append(.text(element: element, key: key))
        values[key] = text
    }

    /// Inside of a tag: the attribute that tells how something is, in a word.
    mutating func add(state key: String, _ word: String) {
        pieces.append(.state(key: key))
        values[key] = word
    }

    /// Inside of a tag: the name for screen readers.
    mutating func add(label key: String, _ text: String) {
        pieces.append(.label(key: key))
        values[key] = text
    }

    /// The HTML with the present texts.
    var html: String {
        var html = ""
        for piece in pieces {
            switch piece {
            case .fixed(let text): html += text
            case .text(let element, let key):
                html += "<\(element) data-c=\"\(key)\">\(escaped(values[key] ?? ""))</\(element)>"
            case .state(let key): html += " data-s=\"\(key)\" data-state=\"\(escaped(values[key] ?? ""))\""
            case .label(let key): html += " data-l=\"\(key)\" aria-label=\"\(escaped(values[key] ?? ""))\""
            }
        }
        return html
    }

    /// True if only texts differ.
    func isLike(_ other: Fragment) -> Bool { pieces == other.pieces }

    /// The texts that differ from those of `before`.
    func changes(since before: Fragment) -> [String: String] {
        values.filter { before.values[$0.key] != $0.value }
    }
}
