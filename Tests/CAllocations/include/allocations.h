// Counts the allocations of one thread, by standing in for the C library's functions in a test program.
#ifndef TAPLINE_CALLOCATIONS_H
#define TAPLINE_CALLOCATIONS_H

/// Starts counting the calling thread's allocations from zero.
void allocations_begin(void);
/// Stops, and returns how many there were.
long allocations_end(void);

#endif
