// For process.c alone: async-signal-safe.
#ifndef CLINUX_RIGHTS_H
#define CLINUX_RIGHTS_H

#include "clinux.h"

/// Gives up what the calling process is not to have. 0, or -1 and errno.
int clinux_take_rights(const struct clinux_rights *rights);

#endif
