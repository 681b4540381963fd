/* source.h - Where rows come from: files, stdin, TCP and UDP listeners, this machine, its Python processes, HTTP bodies.
 *
 * A source runs on a thread of its own and feeds the intakes it was given; ingest sources have no thread, the HTTP server feeds them.
 */
#ifndef SW_ENGINE_SOURCE_H
#define SW_ENGINE_SOURCE_H

#include <stdatomic.h>

#include "base/thread.h"
#include "engine/intake_impl.h"
#include "engine/job.h"
#include "engine/stage.h"

enum sw_source_kind {
    SW_SOURCE_FILE,
    SW_SOURCE_TCP,
    SW_SOURCE_UDP,
    SW_SOURCE_HOST,
    SW_SOURCE_PYTHON,
    SW_SOURCE_INGEST
};

struct sw_python_watch;

struct sw_source {
    const struct sw_source_spec *spec;
    enum sw_source_kind kind;
    struct sw_intake **intakes; /* owned array, borrowed intakes: one, or one a stream of host:// */
    unsigned intake_count;
    const _Atomic bool *is_stopping;
    int stop_fd;                   /* readable once the job is stopping */
    int fd;                        /* owned: file or listening socket; -1 */
    double hz;                     /* host:// and python:// */
    int32_t pid;                   /* python://: the only process; 0: all */
    struct sw_python_watch *watch; /* python://: owned */
    char address[128];             /* what a listener listens on, for people; NUL-terminated */
    bool is_finite;
    struct sw_thread thread;
    struct sw_error error; /* read after is_done */
    _Atomic bool is_done;
    _Atomic bool has_failed;
    struct sw_stage decode;
};

/* What a URI names; SW_INVALID with the remedy for one that names nothing. */
SW_MUST_USE enum sw_status sw_source_kind_of(struct sw_str uri, enum sw_source_kind *kind, struct sw_error *err);
/* Opens the file or binds the socket, so that what is wrong shows before anything starts. spec, intakes, is_stopping and stop_fd are
 * set by the caller. */
SW_MUST_USE enum sw_status sw_source_open(struct sw_source *source, struct sw_error *err);
void sw_source_close(struct sw_source *source);
/* The thread's body: returns when the source has ended or the job is stopping, with its intakes ended. */
void sw_source_main(void *source);

/* The bodies for each kind, called by sw_source_main. */
enum sw_status sw_source_run_file(struct sw_source *source, struct sw_error *err);
enum sw_status sw_source_run_tcp(struct sw_source *source, struct sw_error *err);
enum sw_status sw_source_run_udp(struct sw_source *source, struct sw_error *err);
enum sw_status sw_source_run_host(struct sw_source *source, struct sw_error *err);
enum sw_status sw_source_run_python(struct sw_source *source, struct sw_error *err);

/* python://?pid=4242&hz=10: reads the parameters and finds the process. */
SW_MUST_USE enum sw_status sw_source_open_python(struct sw_source *source, struct sw_error *err);

#endif
