extension ProcessPlan {
    /// The same process with each text that its shell or its programs get replaced by another one.
    public func mappingTexts(_ body: (String) -> String) -> ProcessPlan {
        var process = self
        process.setup = setup.map(body)
        process.run = run.map(body)
        process.reload = reload.map(body)
        process.environment = environment.mapValues(body)
        if case .command(let command) = ready { process.ready = .command(body(command)) }
        return process
    }
}
