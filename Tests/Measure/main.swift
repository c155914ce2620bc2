// measure processing | lookup | access | publish: what the engine's own work costs, without an operating system. One line of JSON
// for each kind. Words behind `processing` choose the kinds whose names contain them.

let arguments = CommandLine.arguments
switch arguments.dropFirst().first {
case "processing":
    try measureProcessing(arguments.dropFirst(2).first)
    try measureCircuits(arguments.dropFirst(2).first)
case "lookup": try measureLookup()
case "access": try measureAccess()
case "publish":
    try measurePublish()
    try measureHealth()
default: fatalError("usage: measure processing [WORDS] | lookup | access | publish")
}
