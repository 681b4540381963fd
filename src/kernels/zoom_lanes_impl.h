/* zoom_lanes_impl.h - The points of a deep zoom on as many lanes as the including file's vectors have.
 *
 * The file that includes this one first defines LANES_TARGET (an attribute), LANES_COUNT, TOGETHER (vectors on the
 * common way), LANES_RUN (the name of the function to define), the types `lanes` (doubles), `words` (int64_t) and
 * `mask`, and the functions on them; so every level gets the same operations in the same order. What a lane does
 * depends on no other lane. Hence the same counts on every level and for every division into tiles.
 *
 * First all points go the common way, several vectors at once. Then lanes go on their own: each has its place in the
 * orbit; a lane whose point is done takes the next of the batch. A round is a look at the table, who can jumps, and
 * then up to 8 iterations of those that cannot.
 */
#ifdef LANES_RUN

#define LANES_INLINE LANES_TARGET static inline __attribute__((always_inline))

#define VECTORS 2u     /* of lanes on their own */
#define TURN_ROUNDS 4u /* from turn to turn each lane jumps or iterates; then comes a look for a cycle */
#define CYCLE_FIRST 4  /* looks until a state is remembered; then 8, 16, ... (Brent) */

/* Doubles of a struct sw_zoom_jump that count. */
enum { JUMP_PARTS = 2 * SW_ZOOM_TERMS + 3 };
_Static_assert(sizeof(struct sw_zoom_jump) == 12 * sizeof(double), "words_times12 is for it");

struct vector {
    lanes dx, dy, cx, cy;
    words at, done; /* index of Z, iterations */
    mask is_live;
    lanes past_dx, past_dy;
    words past_at, age, window; /* in looks */
    words jumped;
    uint64_t jumps;
    unsigned busy; /* lanes that have a point, bits */
    uint32_t point[LANES_COUNT];
};

struct course {
    const struct sw_zoom *zoom;
    struct sw_zoom_batch *batch;
    size_t next; /* point that waits for a lane */
    uint32_t start_at, start_done;
    bool has_table, is_far; /* is_far: beyond the radius of the table and of zoom->calm */
};

/* (tx + i ty)(dx + i dy) + cx + i cy */
LANES_INLINE void product_add(lanes *dx, lanes *dy, lanes tx, lanes ty, lanes cx, lanes cy) {
    lanes x = lanes_fma(tx, *dx, lanes_fnma(ty, *dy, cx));
    *dy = lanes_fma(tx, *dy, lanes_fma(ty, *dx, cy));
    *dx = x;
}

#include "kernels/zoom_together_impl.h"

/* How many iterations the jumps of `up` are, after climbing to the highest level that holds for `size`; *index is where
 * they are in the table. */
LANES_INLINE words jump_find(const struct course *course, const struct vector *vector, lanes size, mask up,
                             words *index) {
    const struct sw_zoom_table *table = &course->zoom->table;
    words from = vector->at - words_set(SW_ZOOM_BLOCK), count = words_set(SW_ZOOM_BLOCK);
    words left = words_set((int64_t)course->zoom->options.iterations) - vector->done;
    *index = words_shift(from, SW_ZOOM_BLOCK_LEVEL); /* first[SW_ZOOM_BLOCK_LEVEL] is 0 */
    for (unsigned level = SW_ZOOM_BLOCK_LEVEL + 1; level < table->levels; level++) {
        int64_t reach = INT64_C(1) << level;
        up = mask_and(up, words_equal(from & words_set(reach - 1), words_set(0)));
        up = mask_and(up, words_less(words_set(reach - 1), left));
        if (!mask_any(up)) {
            break;
        }
        words place = words_shift(from, level) + words_set(table->first[level]);
        up = mask_and(up, lanes_less(size, lanes_gather(table->radius, place, up)));
        *index = words_pick(up, place, *index);
        count = words_pick(up, words_set(reach), count);
    }
    return count;
}

LANES_INLINE void vector_jump(const struct course *course, struct vector *vector, lanes size, mask jumpers) {
    words index;
    words count = jump_find(course, vector, size, jumpers, &index);
    const double *parts = &course->zoom->table.jump->p[0].re;
    lanes jump[JUMP_PARTS], dx = vector->dx, dy = vector->dy;
    index = words_pick(jumpers, index, words_set(0));
    for (unsigned i = 0; i < JUMP_PARTS; i++) {
        jump[i] = lanes_gather(parts + i, words_times12(index), jumpers);
    }
    jump_apply(&dx, &dy, jump, vector->cx, vector->cy);
    vector->dx = lanes_pick(jumpers, dx, vector->dx);
    vector->dy = lanes_pick(jumpers, dy, vector->dy);
    count = words_pick(jumpers, count, words_set(0));
    vector->at = vector->at + count;
    vector->done = vector->done + count;
    vector->jumped = vector->jumped + count;
    vector->jumps += (uint64_t)__builtin_popcount(mask_bits(jumpers));
}

/* Lanes that can jump do, if they are some of eight or it is their turn, and once more if they are half, for the others
 * wait. Returns the lanes so near the orbit that they are to jump when they come to the start of a block. */
LANES_INLINE mask vector_jumps(const struct course *course, struct vector *vector, bool is_turn) {
    words limit = words_set((int64_t)course->zoom->options.iterations - SW_ZOOM_BLOCK + 1);
    for (unsigned least = is_turn ? 1 : (LANES_COUNT + 2) / 3;; least = (LANES_COUNT + 1) / 2) {
        lanes size = lanes_reach(vector->dx, vector->dy);
        mask is_near = mask_and(vector->is_live, lanes_less(size, lanes_set(course->zoom->table.reach_most)));
        if (!mask_any(is_near)) {
            return is_near;
        }
        words block = words_shift(vector->at, SW_ZOOM_BLOCK_LEVEL);
        is_near = mask_and(is_near, words_less(vector->done, limit));
        is_near = mask_and(is_near, lanes_less(size, lanes_gather(course->zoom->table.reach, block, is_near)));
        mask jumpers = mask_and(is_near, words_aligned(vector->at));
        unsigned count = (unsigned)__builtin_popcount(mask_bits(jumpers));
        if (count < least) {
            return is_near;
        }
        vector_jump(course, vector, size, jumpers);
    }
}

#include "kernels/zoom_steps_impl.h"

/* A point that is where it was before, bit for bit, never leaves. */
LANES_INLINE void vector_look(const struct course *course, struct vector *vector) {
    mask is_same = mask_and(lanes_equal(vector->dx, vector->past_dx), lanes_equal(vector->dy, vector->past_dy));
    is_same = mask_and(mask_and(is_same, words_equal(vector->at, vector->past_at)), vector->is_live);
    words limit = words_set((int64_t)course->zoom->options.iterations);
    vector->done = words_pick(is_same, limit, vector->done);
    vector->is_live = mask_but(vector->is_live, is_same);
    mask is_due = words_equal(vector->age, vector->window);
    vector->past_dx = lanes_pick(is_due, vector->dx, vector->past_dx);
    vector->past_dy = lanes_pick(is_due, vector->dy, vector->past_dy);
    vector->past_at = words_pick(is_due, vector->at, vector->past_at);
    vector->window = words_pick(is_due, vector->window + vector->window, vector->window);
    vector->age = words_pick(is_due, words_set(1), vector->age + words_set(1));
}

/* The lanes as arrays, to change single ones. */
struct opened {
    double dx[LANES_COUNT], dy[LANES_COUNT], cx[LANES_COUNT], cy[LANES_COUNT], past[LANES_COUNT];
    int64_t at[LANES_COUNT], done[LANES_COUNT], age[LANES_COUNT], window[LANES_COUNT];
};

LANES_INLINE void vector_open(const struct vector *vector, struct opened *opened) {
    lanes_store(opened->dx, vector->dx);
    lanes_store(opened->dy, vector->dy);
    lanes_store(opened->cx, vector->cx);
    lanes_store(opened->cy, vector->cy);
    lanes_store(opened->past, vector->past_dx);
    words_store(opened->at, vector->at);
    words_store(opened->done, vector->done);
    words_store(opened->age, vector->age);
    words_store(opened->window, vector->window);
}

LANES_INLINE void vector_close(struct vector *vector, const struct opened *opened) {
    vector->dx = lanes_load(opened->dx);
    vector->dy = lanes_load(opened->dy);
    vector->cx = lanes_load(opened->cx);
    vector->cy = lanes_load(opened->cy);
    vector->past_dx = lanes_load(opened->past);
    vector->at = words_load(opened->at);
    vector->done = words_load(opened->done);
    vector->age = words_load(opened->age);
    vector->window = words_load(opened->window);
    vector->is_live = mask_of_bits(vector->busy);
}

/* Hands in the points that are done and gives their lanes new ones. */
LANES_INLINE void vector_change(struct course *course, struct vector *vector) {
    struct sw_zoom_batch *batch = course->batch;
    unsigned changed = ((1u << LANES_COUNT) - 1) & ~mask_bits(vector->is_live);
    struct opened opened;
    vector_open(vector, &opened);
    for (; changed; changed &= changed - 1) {
        unsigned lane = (unsigned)__builtin_ctz(changed);
        if (vector->busy >> lane & 1) {
            uint32_t point = vector->point[lane];
            const struct sw_zoom_complex *z = &course->zoom->orbit.z[opened.at[lane]];
            batch->dz_re[point] = z->re + opened.dx[lane];
            batch->dz_im[point] = z->im + opened.dy[lane];
            batch->iterations[point] = (uint32_t)opened.done[lane];
            vector->busy &= ~(1u << lane);
            opened.dx[lane] = opened.dy[lane] = opened.cx[lane] = opened.cy[lane] = 0;
            opened.at[lane] = SW_ZOOM_START;
        }
        if (course->next < batch->count) {
            vector->point[lane] = (uint32_t)course->next;
            opened.dx[lane] = batch->dz_re[course->next];
            opened.dy[lane] = batch->dz_im[course->next];
            opened.cx[lane] = batch->dc_re[course->next];
            opened.cy[lane] = batch->dc_im[course->next];
            opened.past[lane] = HUGE_VAL; /* not a place any point is at */
            opened.at[lane] = course->start_at;
            opened.done[lane] = course->start_done;
            opened.age[lane] = 1;
            opened.window[lane] = CYCLE_FIRST;
            vector->busy |= 1u << lane;
            course->next++;
        }
    }
    vector_close(vector, &opened);
}

LANES_INLINE bool vectors_change(struct course *course, struct vector *vectors) {
    unsigned busy = 0;
    for (unsigned v = 0; v < VECTORS; v++) {
        if (vectors[v].busy != mask_bits(vectors[v].is_live)) {
            vector_change(course, &vectors[v]);
        }
        busy |= vectors[v].busy;
    }
    return busy != 0;
}

LANES_INLINE void vector_init(const struct course *course, struct vector *vector) {
    memset(vector, 0, sizeof *vector);
    vector->at = words_set(course->start_at);
    vector->is_live = mask_of_bits(0);
}

LANES_INLINE void round_go(const struct course *course, struct vector *vectors, unsigned round) {
    bool is_turn = round % TURN_ROUNDS == 0;
    mask is_near[VECTORS];
    for (unsigned v = 0; v < VECTORS; v++) {
        is_near[v] = course->has_table ? vector_jumps(course, &vectors[v], is_turn) : mask_of_bits(0);
    }
    vectors_step(course, vectors, is_near);
    if (is_turn) {
        for (unsigned v = 0; v < VECTORS; v++) {
            vector_look(course, &vectors[v]);
        }
    }
}

LANES_TARGET void LANES_RUN(const struct sw_zoom *zoom, struct sw_zoom_batch *batch) {
    struct course course = {.zoom = zoom, .batch = batch, .start_at = SW_ZOOM_START, .is_far = batch->is_far};
    if (batch->is_far) {
        memset(batch->dz_re, 0, batch->count * sizeof *batch->dz_re);
        memset(batch->dz_im, 0, batch->count * sizeof *batch->dz_im);
    } else {
        batch_go(zoom, batch);
        course.start_at = zoom->way.at;
        course.start_done = zoom->way.iterations;
        course.has_table = zoom->table.levels > 0;
    }
    struct vector vectors[VECTORS];
    for (unsigned v = 0; v < VECTORS; v++) {
        vector_init(&course, &vectors[v]);
        vector_change(&course, &vectors[v]);
    }
    for (unsigned round = 1; vectors_change(&course, vectors); round++) {
        round_go(&course, vectors, round);
    }
    for (unsigned v = 0; v < VECTORS; v++) {
        int64_t jumped[LANES_COUNT];
        words_store(jumped, vectors[v].jumped);
        for (unsigned lane = 0; lane < LANES_COUNT; lane++) {
            batch->jumped += (uint64_t)jumped[lane];
        }
        batch->jumps += vectors[v].jumps;
    }
}

#endif
