/* view.h - What the dashboard and queries look at: the last windows of every stream, closed and open.
 *
 * The merger feeds it from its thread; all else belongs to the server's thread. Nothing here can hold the engine up: what finds the feed
 * full is dropped and counted, open windows first.
 */
#ifndef SW_ENGINE_VIEW_H
#define SW_ENGINE_VIEW_H

#include "base/ring.h"
#include "engine/engine.h"
#include "net/reactor.h"

/* One window, immutable. Rows are ordered by key. */
struct sw_view_window {
    int64_t start_ns, end_ns;
    int64_t arrival_mono_ns; /* of the oldest row no view has shown before; INT64_MAX: none */
    uint16_t stream;
    uint16_t worker; /* open windows come in parts, one a worker */
    bool is_open;
    bool is_first; /* open: of the parts this look brought */
    uint32_t row_count;
    uint32_t value_count, text_count;
    const uint32_t *groups;
    const double *values;  /* row_count x value_count */
    const uint8_t *scores; /* the same shape; anomaly score x 255. NULL for open windows */
    const struct sw_text_ref *texts;
    const char *text_bytes;
};

#define SW_VIEW_OPEN_MAX 2u /* open windows a worker shows */

/* What a worker's last look at a stream's open windows brought. */
struct sw_view_open {
    struct sw_view_window *windows[SW_VIEW_OPEN_MAX]; /* owned, by start */
    unsigned count;
};

struct sw_view_stream {
    struct sw_view_window **closed; /* owned: a ring of `keep` pointers */
    unsigned keep, first, count;
    int64_t closed_ns;         /* the end of the newest closed window; INT64_MIN */
    struct sw_view_open *open; /* owned: one a worker */
    uint64_t changes;          /* counts what was added, so that others see whether there is something new */
};

struct sw_view {
    struct sw_engine *engine; /* borrowed */
    unsigned keep;
    struct sw_view_stream streams[SW_MAX_STREAMS];
    struct sw_ring feed; /* of struct sw_view_window */
    _Atomic uint64_t dropped;
    _Atomic bool is_posted;
    _Atomic bool is_ended;
    struct sw_reactor *reactor;
    sw_reactor_fn on_news; /* called in the server's thread after news was taken in */
    void *news_context;
    int64_t arrival_mono_ns; /* of the oldest row that came in since it was last cleared */
    size_t bytes;            /* held by windows */
};

/* Hooks itself to the engine, which has not started yet. */
SW_MUST_USE enum sw_status sw_view_open(struct sw_view *view, struct sw_engine *engine, struct sw_reactor *reactor);
void sw_view_end(struct sw_view *view);   /* nobody looks any more: what the merger still feeds is dropped */
void sw_view_close(struct sw_view *view); /* after the engine has ended */
void sw_view_take(struct sw_view *view);  /* takes in what the merger fed; the server's thread */

/* Closed windows by age: 0 is the oldest kept. */
const struct sw_view_window *sw_view_closed(const struct sw_view_stream *stream, unsigned index);
/* The position of the first closed window that starts at or after `start_ns` (count if none does). */
unsigned sw_view_find(const struct sw_view_stream *stream, int64_t start_ns);
/* The newest window's start, open ones included; INT64_MIN without any. */
int64_t sw_view_newest_ns(const struct sw_view *view, unsigned stream);
/* The row of `group` in `window`, or UINT32_MAX. */
uint32_t sw_view_row(const struct sw_view_window *window, uint32_t group);

#endif
