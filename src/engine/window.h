/* window.h - Where windows begin: aligned to the Unix epoch, as in every engine with tumbling windows. */
#ifndef SW_ENGINE_WINDOW_H
#define SW_ENGINE_WINDOW_H

#include <stdint.h>

/* The start of the window of `size_ns` that holds `time_ns`; times before 1970 too. */
static inline int64_t sw_window_floor(int64_t time_ns, int64_t size_ns) {
    int64_t rest = time_ns % size_ns;
    return time_ns - (rest < 0 ? rest + size_ns : rest);
}

#endif
