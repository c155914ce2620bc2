// What is left to the packeting engine once it is confined.
#ifndef TAPLINE_CLINUX_CALLS_H
#define TAPLINE_CLINUX_CALLS_H

#include <stddef.h>

/// Writes the numbers of the system calls that a confined engine makes, at most `capacity`, and returns how many; those
/// of io_uring among them where it writes by a ring.
size_t clinux_engine_calls(int *numbers, size_t capacity, int with_ring);

#endif
