/* flight_read_impl.h - Reading a ring from its descriptor. */
#ifndef SW_PROBE_FLIGHT_READ_IMPL_H
#define SW_PROBE_FLIGHT_READ_IMPL_H

#include "report/profile.h"

/* As sw_flight_file_read. */
SW_MUST_USE enum sw_status sw_flight_read(int fd, int64_t since_epoch_ns, struct sw_profile *profile,
                                          struct sw_error *err);

#endif
