/* zoom_impl.h - What the parts of the deep zoom share: the orbit, the table of jumps, the common way, the lanes.
 *
 * Names of the method: Z is the orbit of the centre C, z = Z + dz the iterate of the point C + dc.
 *
 *     dz' = (2 Z + dz) dz + dc              one iteration
 *     dz' = p(dz / radius) dz + B dc        a jump over 2^level iterations, while |dz| < radius
 *
 * The orbit is numbered so that Z_1 begins a block: Z_m is z[m + SW_ZOOM_START], and jumps of 2^level start where
 * m - 1 is a multiple of 2^level.
 */
#ifndef SW_KERNELS_ZOOM_IMPL_H
#define SW_KERNELS_ZOOM_IMPL_H

#include <stdatomic.h>

#include "base/cpu.h"
#include "kernels/zoom.h"

#define SW_ZOOM_START 15u
#define SW_ZOOM_ROUND 8u       /* iterations between two looks at the table */
#define SW_ZOOM_BLOCK 16u      /* iterations of the shortest jump: 8 cost no more one by one */
#define SW_ZOOM_BLOCK_LEVEL 4u /* its logarithm: the lowest level of the table */
#define SW_ZOOM_RETURN 0.125   /* |z| below this share of |dz|: back to the orbit's start; costs 3 bits at most */
#define SW_ZOOM_TERMS 4u       /* of the polynomial of a jump */
#define SW_ZOOM_LEVELS 40u
#define SW_ZOOM_ORBIT_MOST (1u << 27) /* points: 2 GiB, and 1.8 GiB of table */
#define SW_ZOOM_PAD 64u               /* a batch has room for a multiple of it */

struct sw_zoom_complex {
    double re, im;
};

struct sw_zoom_orbit {
    struct sw_zoom_complex *z; /* owned; z[SW_ZOOM_START ... end], and SW_ZOOM_ROUND more that do not count */
    double *excess;            /* owned; NULL, or |Z|^2 - 4 with all its digits */
    uint32_t end;              /* index of the last: |Z| > 2 there, or Z = 0 but for less than a pixel, or the limit */
    uint32_t bits;             /* of precision it was computed with */
};

/* The lanes read it as an array of doubles. */
struct sw_zoom_jump {
    struct sw_zoom_complex p[SW_ZOOM_TERMS]; /* p(t) = p[0] + p[1] t + p[2] t^2 + p[3] t^3; |p[k]| <= |p[0]| / 8^k */
    struct sw_zoom_complex b;
    double inverse; /* 1 / radius */
    double unused;
};

/* All levels one after the other; level l has count[l] jumps from first[l] on, one each 2^l iterations. */
struct sw_zoom_table {
    double *radius;            /* owned; 0 where there is no jump */
    struct sw_zoom_jump *jump; /* owned */
    double *reach; /* owned; [index / SW_ZOOM_BLOCK]: radius of the jump over the block, or over the first one */
    double reach_most;
    uint32_t first[SW_ZOOM_LEVELS], count[SW_ZOOM_LEVELS];
    unsigned levels; /* the highest and 1; the lowest is SW_ZOOM_BLOCK_LEVEL; 0: no table */
};

/* What all points of the view do first, whatever their dc: iterations that need no test, jumps, returns to the orbit's
 * start. */
enum sw_zoom_leg_kind { SW_ZOOM_STEPS, SW_ZOOM_JUMP, SW_ZOOM_REBASE };

struct sw_zoom_leg {
    enum sw_zoom_leg_kind kind;
    uint32_t at;    /* index of Z */
    uint32_t count; /* STEPS: iterations; JUMP: the level */
};

struct sw_zoom_way {
    struct sw_zoom_leg *leg; /* owned */
    uint32_t legs;
    uint32_t iterations; /* done by all legs */
    uint32_t at;         /* where they lead to */
    uint32_t jumps, jumped;
};

/* Points on their way. dz, when they stopped, is z. */
struct sw_zoom_batch {
    size_t count;
    double *dc_re, *dc_im, *dz_re, *dz_im; /* room for a multiple of SW_ZOOM_PAD; the rest of dc is 0 */
    uint32_t *iterations;                  /* done when |z| > 2; the limit for those that stayed */
    bool is_far;                           /* points beyond the radius: neither the way nor the table hold */
    uint64_t jumps, jumped;                /* results; added to */
};

typedef void (*sw_zoom_runner)(const struct sw_zoom *zoom, struct sw_zoom_batch *batch);

struct sw_zoom {
    struct sw_zoom_options options; /* the texts of the centre are not kept */
    struct sw_zoom_complex centre;
    struct sw_zoom_orbit orbit;
    struct sw_zoom_table table;
    double *calm; /* owned; [index / SW_ZOOM_BLOCK]: |dz| below this needs no test for a round */
    struct sw_zoom_way way;
    sw_zoom_runner runner;
    double open_seconds;
    _Atomic uint64_t jumps, jumped;
};

SW_MUST_USE enum sw_status sw_zoom_orbit_make(const struct sw_zoom_options *options, struct sw_zoom_orbit *orbit,
                                              struct sw_error *err);
void sw_zoom_orbit_release(struct sw_zoom_orbit *orbit);

/* Jumps that hold for |dc| <= options->radius. SW_NOMEM, SW_INTERRUPTED. */
SW_MUST_USE enum sw_status sw_zoom_table_make(const struct sw_zoom_orbit *orbit, const struct sw_zoom_options *options,
                                              struct sw_zoom_table *table);
void sw_zoom_table_release(struct sw_zoom_table *table);

/* |dz| below which a round from any index of a block needs no test: z neither leaves nor turns back to the orbit's
 * start. NULL: out of memory. */
double *sw_zoom_calm_make(const struct sw_zoom_orbit *orbit, double radius);

/* The way of all points with |dc| <= zoom->options.radius. SW_NOMEM. */
SW_MUST_USE enum sw_status sw_zoom_way_make(const struct sw_zoom *zoom, struct sw_zoom_way *way);
void sw_zoom_way_release(struct sw_zoom_way *way);

void sw_zoom_lanes_scalar(const struct sw_zoom *zoom, struct sw_zoom_batch *batch);
void sw_zoom_lanes_avx2(const struct sw_zoom *zoom, struct sw_zoom_batch *batch);
void sw_zoom_lanes_avx512(const struct sw_zoom *zoom, struct sw_zoom_batch *batch);

/* The best for a processor of this level. */
sw_zoom_runner sw_zoom_runner_for(enum sw_cpu_level level);

#endif
