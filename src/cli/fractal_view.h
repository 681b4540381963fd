/* fractal_view.h - What part of which fractal a picture shows, and the computing of its points.
 *
 * A picture is 3 / zoom high; its points are the middles of its pixels, or with supersampling N the middles of N x N parts
 * of each. The imaginary axis runs upwards, for the burning ship downwards, as it is usually shown.
 */
#ifndef SW_CLI_FRACTAL_VIEW_H
#define SW_CLI_FRACTAL_VIEW_H

#include <stdatomic.h>

#include "base/status.h"
#include "base/str.h"
#include "kernels/fractal.h"
#include "kernels/zoom.h"

#define SW_VIEW_HEIGHT 3.0      /* of a picture at zoom 1 */
#define SW_VIEW_SIDE_MAX 65535u /* pixels */
#define SW_VIEW_SAMPLES_MAX 8u
#define SW_VIEW_ITERATIONS_MAX 1000000000u

struct sw_fractal_view {
    enum sw_fractal_kind kind;
    double julia_re, julia_im;
    struct sw_str center_re, center_im; /* decimal, any number of digits; borrowed */
    double zoom;
    uint32_t width, height;
    uint32_t iterations; /* 0: what the picture needs */
    unsigned supersample;
    bool has_center, is_flat; /* is_flat: counts without fractions */
    bool is_exact;            /* no fused multiply-add */
    bool is_plain;            /* no shortcuts for points inside */
};

/* Fills in the centre where it was left open. SW_INVALID when the view cannot be computed. */
SW_MUST_USE enum sw_status sw_fractal_view_complete(struct sw_fractal_view *view, struct sw_error *err);
/* Chooses the iterations where they were left open, by a coarse picture of the view: so many that but few points would
 * still leave after them, as far as a bounded amount of work tells. The same view gets the same number. SW_INTERRUPTED
 * when *is_cancelled turned true. */
SW_MUST_USE enum sw_status sw_fractal_view_limit(struct sw_fractal_view *view, const atomic_bool *is_cancelled,
                                                 struct sw_error *err);
double sw_fractal_view_step(const struct sw_fractal_view *view);  /* distance of neighbouring points */
bool sw_fractal_view_is_deep(const struct sw_fractal_view *view); /* double precision would not do */
const char *sw_fractal_kind_name(enum sw_fractal_kind kind);

/* A view ready to be computed; immutable after opening, borrows the view. */
struct sw_fractal_scene {
    const struct sw_fractal_view *view;
    struct sw_fractal fractal;
    struct sw_zoom *zoom; /* owned; NULL: not a deep one */
    struct sw_fractal_grid grid;
    int64_t open_ns; /* time to open */
};

/* SW_INTERRUPTED when *is_cancelled turned true. */
SW_MUST_USE enum sw_status sw_fractal_scene_open(struct sw_fractal_scene *scene, const struct sw_fractal_view *view,
                                                 const atomic_bool *is_cancelled, struct sw_error *err);
void sw_fractal_scene_close(struct sw_fractal_scene *scene);

/* A part of the picture in points, not pixels; row_stride is `width`. */
struct sw_fractal_part {
    uint32_t x, y, width, height;
};
struct sw_fractal_job {
    struct sw_fractal_part part;
    struct sw_fractal_output output;
    const atomic_bool *is_cancelled; /* may be NULL; looked at every SW_VIEW_PIECE_WORK iterations, or 16 points */
    uint64_t computed;               /* set: iterations really computed */
};
#define SW_VIEW_PIECE_WORK (UINT64_C(1) << 30)
/* SW_INTERRUPTED when *is_cancelled turned true: some points are missing then. Any number of threads. */
SW_MUST_USE enum sw_status sw_fractal_scene_run(const struct sw_fractal_scene *scene, struct sw_fractal_job *job);

#endif
