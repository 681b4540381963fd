/* gil_workload.h - The workload of the heartbeat experiment as text, embedded by the build from the Python package. */
#ifndef SW_CLI_GIL_WORKLOAD_H
#define SW_CLI_GIL_WORKLOAD_H

#include "base/str.h"

extern const struct sw_str sw_gil_workload; /* lives as long as the program */

#endif
