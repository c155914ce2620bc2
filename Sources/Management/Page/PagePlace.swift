/// What is at which path of the page.
enum PagePlace: Equatable {
    case style, script, login, logout, overview, newService, history, restore, accessLists
    case service(String), removeService(String), access(String)

    /// nil: there is nothing.
    init?(_ steps: [String]) {
        switch (steps.first, steps.count) {
        case ("page.css", 1): self = .style
        case ("page.js", 1): self = .script
        case ("login", 1): self = .login
        case ("logout", 1): self = .logout
        case ("", 1): self = .overview
        case ("new-service", 1): self = .newService
        case ("history", 1): self = .history
        case ("restore", 1): self = .restore
        case ("access", 1): self = .accessLists
        case ("access", 2): self = .access(steps[1])
        case ("services", 2): self = .service(steps[1])
        case ("services", 3) where steps[2] == "remove": self = .removeService(steps[1])
        default: return nil
        }
    }

    /// True if a path is the page's; all others are the API's.
    static func owns(_ target: String) -> Bool {
        target.hasPrefix("/") && !target.hasPrefix("/v1/") && target.prefix { $0 != "?" } != "/v1"
    }

    var methods: [String] {
        switch self {
        case .style, .script, .overview, .history, .accessLists: ["GET", "HEAD"]
        case .logout, .restore, .removeService: ["POST"]
        case .login, .newService, .service, .access: ["GET", "HEAD", "POST"]
        }
    }
}
