#include "allocations.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static __thread int counting __attribute__((tls_model("initial-exec")));
static __thread long count __attribute__((tls_model("initial-exec")));

static inline void note(void) { count += counting; }

void allocations_begin(void) {
    count = 0;
    counting = 1;
}

long allocations_end(void) {
    counting = 0;
    return count;
}

// The thread sanitizer has an allocator of its own, and no test counts allocations beside it (Scripts/threads).
#if !__has_feature(thread_sanitizer)

__attribute__((used, visibility("default"))) void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

__attribute__((used, visibility("default"))) void *calloc(size_t n, size_t size) {
    note();
    return __libc_calloc(n, size);
}

__attribute__((used, visibility("default"))) void *realloc(void *memory, size_t size) {
    note();
    return __libc_realloc(memory, size);
}

__attribute__((used, visibility("default"))) void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

__attribute__((used, visibility("default"))) int posix_memalign(void **memory, size_t alignment, size_t size) {
    note();
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

#endif
