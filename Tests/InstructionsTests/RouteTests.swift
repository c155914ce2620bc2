import Plan
import Testing

@testable import Instructions

@Suite struct RouteTests {
    /// Every route × role, from the rights that the table gives.
    @Test func everyRoleHasTheRightsOfItsKind() {
        let changing: Set<Route.Name> = [
            .putService, .deleteService, .changeServices, .restoreServices, .putAccess, .deleteAccess,
        ]
        let operators: Set<Route.Name> = [.listTenants, .makeToken, .listTokens, .revokeToken]
        for route in Route.all {
            let isOpen = route.name == .readDocument
            #expect(Role.stranger.has(route.right) == isOpen, "\(route.name)")
            #expect(
                Role.reader.has(route.right) == (!changing.contains(route.name) && !operators.contains(route.name)),
                "\(route.name)")
            #expect(Role.tenant.has(route.right) == !operators.contains(route.name), "\(route.name)")
            #expect(Role.operator.has(route.right), "\(route.name)")
        }
        #expect(Set(Route.all.map(\.name)) == Set(Route.Name.allCases) && Route.all.count == Route.Name.allCases.count)
    }

    @Test func theOperatorSaysWhoseIsMeantWhereOneTenantsIs() {
        let all: Set<Route.Name> = [
            .readDocument, .listServices, .listAccess, .listAudit, .listTenants, .makeToken, .listTokens, .revokeToken,
        ]
        #expect(Set(Route.all.filter { !$0.needsTenant }.map(\.name)) == all)
    }

    @Test func aPathIsFoundByMethodAndParts() {
        guard case .route(let route, let values) = Route.find("PUT", ["v1", "services", "shop"]) else {
            Issue.record("not found")
            return
        }
        #expect(route.name == .putService && values == ["service": "shop"])
        guard case .route(let token, let parts) = Route.find("DELETE", ["v1", "tenants", "alice", "tokens", "7"]) else {
            Issue.record("not found")
            return
        }
        #expect(token.name == .revokeToken && parts == ["tenant": "alice", "token": "7"])
    }

    @Test func aPathThatIsOneHasOtherMethodsBeforeItIsMissing() {
        guard case .otherMethod(let methods) = Route.find("PATCH", ["v1", "services", "shop"]) else {
            Issue.record("not told")
            return
        }
        #expect(methods == ["GET", "HEAD", "PUT", "DELETE"])
        for steps in [["v1", "services", "shop", "x"], ["v1", "services", ""], [], ["v2", "services"]] {
            guard case .nothing = Route.find("GET", steps) else {
                Issue.record("\(steps) was found")
                continue
            }
        }
    }

    /// The document has every route, and names no schema that it lacks.
    @Test func theDocumentIsWrittenFromTheTable() throws {
        let document = try JSONReader.read(Array(OpenAPIDocument.text.utf8))
        let schemas = try #require(document["components"]?["schemas"])
        for route in Route.all {
            let operation = try #require(document["paths"]?[route.path]?[route.method.rawValue.lowercased()])
            #expect(operation["operationId"] == .string(route.name.rawValue))
            for schema in [route.body, route.success.schema].compactMap({ $0 }) {
                #expect(schemas[schema] != nil, "\(schema)")
            }
        }
        let references = OpenAPIDocument.text.split(separator: "#/components/schemas/").dropFirst().map {
            $0.prefix { $0 != "\"" }
        }
        #expect(!references.isEmpty && references.allSatisfy { schemas[String($0)] != nil })
    }
}
