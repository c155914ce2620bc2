import EventLoop
import Plan
import Reporting

extension ControlProcess {
    /// Who answers applications that ask for mappings, if the plan that runs lets some ask.
    func openNegotiation() -> NegotiationKeeper? {
        loop.sync {
            if self.negotiation == nil, self.plan.negotiation != nil { self.negotiation = NegotiationKeeper(self) }
            return self.negotiation
        }
    }

    /// Has applications answered that ask for mappings, from now on by the plan that runs.
    func negotiate() throws(ApplianceError) { try openNegotiation()?.serve() }
}
