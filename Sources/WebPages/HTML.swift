/// A text between tags or in a quoted attribute. What HTML cannot hold becomes a replacement character.
package func escaped(_ text: String) -> String {
    guard
        text.utf8.contains(where: {
            $0 < 0x20 || $0 == 0x7F || $0 == 0x22 || $0 == 0x26 || $0 == 0x27 || $0 == 0x3C || $0 == 0x3E
        })
    else { return text }
    var escaped = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "&": escaped += "&amp;"
        case "<": escaped += "&lt;"
        case ">": escaped += "&gt;"
        case "\"": escaped += "&quot;"
        case "'": escaped += "&#39;"
        case "\n", "\t": escaped.unicodeScalars.append(scalar)
        case _ where scalar.value < 0x20 || scalar.value == 0x7F: escaped += "\u{FFFD}"
        default: escaped.unicodeScalars.append(scalar)
        }
    }
    return escaped
}

/// A page: what all documents of Tapline's web servers begin and end with.
///
/// - Parameters:
///   - title: A text.
///   - attributes: Of its body, as HTML.
///   - body: HTML.
package func htmlDocument(_ title: String, attributes: String = "", _ body: String) -> String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(escaped(title))</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css">
    </head><body\(attributes)>
    \(body)
    </body></html>

    """
}
