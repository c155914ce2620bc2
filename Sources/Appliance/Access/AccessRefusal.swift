import Nodes
import Reporting

/// An application that does not take its access lists.
struct AccessRefusal: Error, Sendable {
    /// The application.
    var application: String
    /// The node that refused.
    var node: String
    /// What its program, or nft, said: for the operator alone.
    var error: ApplianceError

    /// One line for the operator.
    var reason: String {
        let lines = error.details.suffix(6).map { HarmlessText.reading(Array($0.utf8), most: 200) }
        return ([error.message] + lines).joined(separator: "; ")
    }
}
