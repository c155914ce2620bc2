// What is left to the packeting engine once it is confined.
#ifndef TAPLINE_CLINUX_CALLS_H
#define TAPLINE_CLINUX_CALLS_H

#include <stddef.h>

/// What one argument of a system call must be: its lower 32 bits, cut down to `mask`, are `value`.
struct clinux_argument {
    unsigned int place;
    unsigned int mask;
    unsigned int value;
};

/// A system call that is let through where the first `count` of `arguments` are as they say. Several of one number are
/// alternatives.
struct clinux_call {
    int number;
    unsigned int count;
    struct clinux_argument arguments[3];
};

/// The system calls that a confined engine makes, those of io_uring among them where it writes by a ring; `count` gets how
/// many. Every other one ends it.
const struct clinux_call *clinux_engine_calls(int with_ring, size_t *count);

/// The system calls that the live page's process makes once it serves; every other one fails.
const struct clinux_call *clinux_portal_calls(size_t *count);

/// The system calls of the process that keeps tenants' records: those of the live page's, and those for files that are open.
const struct clinux_call *clinux_records_calls(size_t *count);

#endif
