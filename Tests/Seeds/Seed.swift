import Glibc

/// The seed of a test that draws its inputs.
///
/// Each draw prints one line, `seed MODULE.FILE NUMBER`, to standard error, from which `Scripts/test` tells how to
/// repeat a failure. `TAPLINE_SEED=NUMBER` in the environment takes the place of the draw.
public enum Seed {
    /// A seed for the tests of one file.
    ///
    /// - Parameter range: What the seed may be; a number from the environment is taken as it is.
    public static func drawn(in range: ClosedRange<UInt64> = 1...UInt64.max, file: String = #fileID) -> UInt64 {
        let given = getenv("TAPLINE_SEED").map { String(cString: $0) }
        if let given, UInt64(given) == nil { fatalError("TAPLINE_SEED is no number: \(given)") }
        let seed = given.flatMap(UInt64.init) ?? .random(in: range)
        let place = file.hasSuffix(".swift") ? file.dropLast(6) : file[...]
        // In one write, so that the line stays whole among what others print.
        let line = "seed \(place.replacing("/", with: ".")) \(seed)\n"
        _ = line.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
        return seed
    }
}
