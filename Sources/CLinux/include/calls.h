// What is left to the packeting engine once it is confined.
#ifndef TAPLINE_CLINUX_CALLS_H
#define TAPLINE_CLINUX_CALLS_H

#include <stddef.h>

/// Writes the numbers of the system calls that a confined engine makes, at most `capacity`, and returns how many; those
/// of io_uring among them where it writes by a ring.
size_t clinux_engine_calls(int *numbers, size_t capacity, int with_ring);

/// A system call that is let through with one value of one argument alone (its lower 32 bits).
struct clinux_guarded_call {
    int number;
    int argument;
    unsigned int value;
};

/// The guarded calls of a confined engine; `count` gets how many.
const struct clinux_guarded_call *clinux_engine_guarded_calls(int with_ring, size_t *count);

#endif
