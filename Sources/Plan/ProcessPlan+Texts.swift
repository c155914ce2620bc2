extension ProcessPlan {
    /// The same process with each text that its shell or its programs get replaced by another one.
    public func mappingTexts(_ body: (String) -> String) -> ProcessPlan {
        var process = self
        process.setup = setup.map(body)
        process.run = run.map(body)
        process.guest = guest?.mappingTexts(body)
        process.reload = reload.map(body)
        process.after = after.map(body)
        process.environment = environment.mapValues(body)
        process.ready = ready.mappingTexts(body)
        process.programs = programs.map { program in
            var program = program
            program.run = body(program.run)
            program.environment = program.environment.mapValues(body)
            program.ready = program.ready.mappingTexts(body)
            return program
        }
        return process
    }
}

extension ReadinessPlan {
    fileprivate func mappingTexts(_ body: (String) -> String) -> ReadinessPlan {
        switch self {
        case .command(let command): .command(body(command))
        case .started, .tcp, .http, .question: self
        }
    }
}
