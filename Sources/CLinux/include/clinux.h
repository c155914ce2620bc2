#ifndef TAPLINE_CLINUX_H
#define TAPLINE_CLINUX_H
#endif
