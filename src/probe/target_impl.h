/* target_impl.h - What the files of a target share: reading whole files of /proc/PID, and the parsers of their text. */
#ifndef SW_PROBE_TARGET_IMPL_H
#define SW_PROBE_TARGET_IMPL_H

#include "probe/target.h"

#define SW_PROC_FILE_MAX ((size_t)64 << 20) /* longest file of /proc that is read */

/* Appends the whole of /proc/PID/`name`. SW_CLOSED: the process is gone; SW_LIMIT: longer than SW_PROC_FILE_MAX. */
SW_MUST_USE enum sw_status sw_target_file(const struct sw_target *target, const char *name, struct sw_buf *text);

/* The text of /proc/PID/maps; what is no mapping is skipped. `maps` must be zero. */
SW_MUST_USE enum sw_status sw_maps_parse(struct sw_str text, struct sw_maps *maps);

/* The value of "Name:\tvalue" in the text of /proc/PID/status; {NULL, 0} when it is not there. */
struct sw_str sw_status_value(struct sw_str text, struct sw_str name);

/* What decides whether one process may read another, gathered by sw_target_explain. */
struct sw_denial {
    int32_t pid;
    uint64_t our_uid, our_gid;                      /* real ids: those the kernel compares */
    uint64_t uids[3], gids[3];                      /* the target's real, effective and saved ids */
    bool has_ids;                                   /* false: they could not be read */
    bool is_self_denied;                            /* we may not even read ourselves: a seccomp filter */
    bool has_capability;                            /* CAP_SYS_PTRACE is in our effective set */
    bool is_other_namespace;                        /* the target's user namespace is another one than ours */
    bool is_initial_namespace;                      /* ours is the first one: no container in the way */
    bool is_undumpable;                             /* its files in /proc belong to another user than it itself */
    uint64_t our_capabilities, target_capabilities; /* permitted sets */
    int yama_scope;                                 /* -1: no yama */
};

/* One line: cause and remedy. Returns SW_PERM. */
enum sw_status sw_denial_explain(const struct sw_denial *denial, struct sw_error *err);

#endif
