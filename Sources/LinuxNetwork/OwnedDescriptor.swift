import CLinux

/// A file descriptor with one owner, closed when the owner goes.
@frozen
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The descriptor's number, valid as long as this owner lives.
    public let number: Int32

    /// Takes ownership of an open descriptor.
    public init(owning number: Int32) {
        self.number = number
    }

    deinit {
        close(number)
    }

    /// Gives up ownership: the caller closes it.
    public consuming func release() -> Int32 {
        let number = self.number
        discard self
        return number
    }

    /// Another descriptor, close-on-exec, of the same open file.
    ///
    /// - Throws: EMFILE if the process may open no more files.
    public borrowing func duplicate() throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(
            owning: try SystemError.checkErrno(
                clinux_duplicate(number), "duplicate the descriptor", "\(number)"))
    }
}

/// Several descriptors with one owner, closed when the owner goes.
@frozen
public struct OwnedDescriptors: ~Copyable, Sendable {
    /// The descriptors' numbers, valid as long as this owner lives.
    public private(set) var numbers: [Int32]

    /// Takes ownership of open descriptors.
    public init(owning numbers: [Int32] = []) {
        self.numbers = numbers
    }

    deinit {
        for number in numbers { close(number) }
    }

    /// The number of frames.
    public var count: Int { numbers.count }

    /// The number of one of them.
    public subscript(index: Int) -> Int32 { numbers[index] }

    /// Adds one, and owns it from now on.
    public mutating func append(_ descriptor: consuming OwnedDescriptor) {
        numbers.append(descriptor.release())
    }

    /// Takes the first one out.
    public mutating func takeFirst() -> OwnedDescriptor? {
        numbers.isEmpty ? nil : OwnedDescriptor(owning: numbers.removeFirst())
    }

    /// Closes all of them now.
    public mutating func closeAll() {
        for number in numbers { close(number) }
        numbers = []
    }

    /// Gives up ownership of all of them: the caller closes them.
    public consuming func release() -> [Int32] {
        let numbers = self.numbers
        self.numbers = []
        return numbers
    }
}
