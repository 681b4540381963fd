/* sampler.h - Samples the Python stacks of any number of processes at a steady pace into one profile.
 *
 * It starts no thread: the caller waits for the next look and makes it, and does its own work in between.
 *
 *     while (is_wanted) {
 *         if (sw_sampler_wait(sampler, until_mono_ns))
 *             status = sw_sampler_look(sampler);
 *         ...
 *     }
 *
 * Processes are read, never stopped (but see has_native) or written to. What a look costs does not depend on how deep in C the target is. One
 * thread owns a sampler; looks allocate only for stacks that were not seen before.
 */
#ifndef SW_PROBE_SAMPLER_H
#define SW_PROBE_SAMPLER_H

#include "probe/stack.h"
#include "report/profile.h"

/* Which threads a look takes a sample of. */
enum sw_sampler_what {
    SW_SAMPLE_CPU,  /* those on a CPU, or ready for one */
    SW_SAMPLE_GIL,  /* the one that holds the GIL of its interpreter */
    SW_SAMPLE_WAIT, /* those that wait for the GIL */
    SW_SAMPLE_WALL, /* all */
};

enum sw_sampler_follow {
    SW_FOLLOW_NONE,
    SW_FOLLOW_TOPMOST, /* descendants too, but not those of a Python process: the interpreters a shell starts */
    SW_FOLLOW_ALL,     /* all descendants */
};

#define SW_SAMPLER_RATE_HZ 1000.0 /* unless said otherwise */
#define SW_SAMPLER_RATE_MAX_HZ 100000.0
#define SW_SAMPLER_PROCESSES_MAX 4096

struct sw_sampler_options {
    double rate_hz; /* 0: SW_SAMPLER_RATE_HZ */
    enum sw_sampler_what what;
    enum sw_sampler_follow follow;
    bool has_process_headings; /* stacks begin with a mark that names the process */
    bool keeps_samples;        /* as in profile.h */
    bool has_native;    /* with C frames; a running thread is stopped, alone, for some 50 us for each of its samples */
    bool counts_states; /* counts running and waiting threads whatever `what` is: one more file read a thread */
    uint64_t seed;      /* of the jitter; 0: drawn */
};

/* Since the sampler was made. */
struct sw_sampler_counts {
    uint64_t looks;            /* made */
    uint64_t missed;           /* looks that were due but not made, as the sampler fell behind */
    int64_t unobserved_ns;     /* time that no sample stands for: the sampler was not run for too long */
    uint64_t exact, partial;   /* samples */
    uint64_t native;           /* samples that have C frames; has_native */
    uint64_t native_unmatched; /* of these: C and Python frames could not all be brought together */
    uint64_t failed;           /* stacks that could not be read */
    uint64_t empty;            /* threads that were looked at while they ran no Python code */
    int64_t first_mono_ns;     /* of the first look that found an interpreter; 0: none yet */
    int64_t first_epoch_ns;    /* of the same moment */
    int64_t last_mono_ns;
};

/* A process being sampled, or waited for until it becomes Python. The counts are of looks at it. */
struct sw_sampler_process {
    int32_t pid;
    bool is_live;          /* its stacks are being read; false: no interpreter in it (yet) */
    const char *version;   /* "" while not live; valid until the next look */
    struct sw_str command; /* valid until the next look */
    size_t thread_count;   /* Python threads at the last look */
    uint64_t looks;
    uint64_t gil_known, gil_held;  /* looks that could tell, and those that found it held (by the first interpreter) */
    uint64_t running, gil_waiting; /* threads found so, summed over looks */
};

struct sw_sampler;

SW_MUST_USE enum sw_status sw_sampler_new(struct sw_sampler **sampler, const struct sw_sampler_options *options);
void sw_sampler_free(struct sw_sampler *sampler); /* NULL is fine */

/* Attaches to a process. SW_NOTFOUND: there is none, or it is no Python process and children are not followed; SW_PERM
 * and SW_UNSUPPORTED as in runtime.h. `is_patient`: one that is no Python process (yet) is looked at again, each
 * millisecond at first. */
SW_MUST_USE enum sw_status sw_sampler_add(struct sw_sampler *sampler, int32_t pid, bool is_patient,
                                          struct sw_error *err);
/* Waits until a look is due (true), or until `until_mono_ns` or a signal (false). */
bool sw_sampler_wait(struct sw_sampler *sampler, int64_t until_mono_ns);
/* Makes the look that is due. SW_CLOSED: all processes are gone. */
SW_MUST_USE enum sw_status sw_sampler_look(struct sw_sampler *sampler);

struct sw_sampler_counts sw_sampler_counts(const struct sw_sampler *sampler);
size_t sw_sampler_process_count(const struct sw_sampler *sampler); /* those that have not ended */
struct sw_sampler_process sw_sampler_process(const struct sw_sampler *sampler, size_t index);
bool sw_sampler_has_live(const struct sw_sampler *sampler);
uint64_t sw_sampler_attached(const struct sw_sampler *sampler); /* interpreters read so far, ended ones included */
/* The first reason why a child process could not be read; NULL when there is none. */
const struct sw_error *sw_sampler_refusal(const struct sw_sampler *sampler);

/* What was collected so far, without its description. */
const struct sw_profile *sw_sampler_profile(const struct sw_sampler *sampler);
/* Moves it to *profile, described from the counts since the last take, and goes on with an empty one. `*profile` must be
 * zero. On SW_NOMEM nothing is moved. */
SW_MUST_USE enum sw_status sw_sampler_take(struct sw_sampler *sampler, struct sw_profile *profile);

#endif
