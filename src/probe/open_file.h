/* open_file.h - What a file descriptor of a target is: a path, a pipe and who has its other end, a socket's addresses. */
#ifndef SW_PROBE_OPEN_FILE_H
#define SW_PROBE_OPEN_FILE_H

#include "base/buf.h"
#include "probe/target.h"

/* Appends it in words: "/var/log/x", "pipe, written by 4242 (fd 1)", "TCP 127.0.0.1:5000 -> 127.0.0.1:80". SW_NOTFOUND when
 * there is no such descriptor, SW_PERM when it may not be seen. */
SW_MUST_USE enum sw_status sw_open_file_describe(const struct sw_target *target, int fd, struct sw_buf *out);

#endif
