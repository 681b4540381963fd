/* family.h - The child processes of a process, as the kernel lists them; costs one small read for each of its threads. */
#ifndef SW_PROBE_FAMILY_H
#define SW_PROBE_FAMILY_H

#include "probe/target.h"

#define SW_FAMILY_MAX 65536 /* children of one process */

struct sw_family {
    int32_t *children; /* owned; as of the last look, in no order */
    size_t count, cap;
    int32_t *threads; /* owned; scratch */
    size_t thread_count, thread_cap;
    struct sw_buf text;
};

/* Zero is a valid empty family. */
void sw_family_release(struct sw_family *family);
/* Replaces `children` by those that `parent` has now, ended ones that nobody waited for included. SW_CLOSED: the parent is
 * gone. SW_UNSUPPORTED: this kernel does not list children (CONFIG_PROC_CHILDREN). */
SW_MUST_USE enum sw_status sw_family_look(struct sw_family *family, const struct sw_target *parent);

#endif
