/* zoom_steps_impl.h - One iteration after the other, for lanes that have each its place in the orbit; a part of
 * zoom_lanes_impl.h.
 */
#ifdef LANES_RUN

/* What the iterations of a round must look out for. */
enum care {
    CALM,  /* nothing: all lanes are so near the orbit that none can leave or turn back */
    USUAL, /* lanes that leave or turn back */
    BOUND, /* and those that come to the end of the orbit or to a jump they wait for */
    FULL,  /* and those that come to the limit of iterations; or the orbit is so short that it ends twice in a round */
};

LANES_INLINE enum care vector_care(const struct course *course, const struct vector *vector, mask is_near) {
    const struct sw_zoom *zoom = course->zoom;
    int64_t end = (int64_t)zoom->orbit.end - SW_ZOOM_ROUND, limit = (int64_t)zoom->options.iterations - SW_ZOOM_ROUND;
    mask is_limited = words_less(words_set(limit), vector->done), is_ending = words_less(words_set(end), vector->at);
    if (zoom->orbit.end < SW_ZOOM_START + 2 * SW_ZOOM_ROUND || mask_any(mask_and(is_limited, vector->is_live))) {
        return FULL;
    }
    is_ending = mask_or(is_ending, mask_but(is_near, words_aligned(vector->at)));
    if (mask_any(mask_and(is_ending, vector->is_live))) {
        return BOUND;
    }
    if (course->is_far) {
        return USUAL;
    }
    words block = words_shift(vector->at, SW_ZOOM_BLOCK_LEVEL);
    lanes calm = lanes_gather(zoom->calm, block, vector->is_live), size = lanes_reach(vector->dx, vector->dy);
    return mask_any(mask_but(vector->is_live, lanes_less(size, calm))) ? USUAL : CALM;
}

/* Is z so near 0 that dz, whose last digit is one of Z's, would tell it badly? */
LANES_INLINE mask is_back_at(lanes dx, lanes dy, lanes x, lanes y) {
    return lanes_less(lanes_reach(x, y), lanes_set(SW_ZOOM_RETURN) * lanes_reach(dx, dy));
}

/* An iteration with all tests. Lanes that come to a jump they are near enough for wait there. */
LANES_INLINE void vector_step_full(const struct course *course, struct vector *vector, mask is_near) {
    const struct sw_zoom *zoom = course->zoom;
    lanes zx, zy;
    orbit_gather(zoom->orbit.z, vector->at, &zx, &zy);
    lanes x = zx + vector->dx, y = zy + vector->dy;
    mask is_out = lanes_less(lanes_set(4), lanes_fma(y, y, x * x));
    is_out = mask_or(is_out, words_equal(vector->done, words_set((int64_t)zoom->options.iterations)));
    vector->is_live = mask_but(vector->is_live, is_out);
    mask go = mask_but(vector->is_live, mask_and(is_near, words_aligned(vector->at)));
    mask is_back =
        mask_or(is_back_at(vector->dx, vector->dy, x, y), words_equal(vector->at, words_set(zoom->orbit.end)));
    is_back = mask_and(is_back, go);
    vector->dx = lanes_pick(is_back, x, vector->dx);
    vector->dy = lanes_pick(is_back, y, vector->dy);
    zx = lanes_pick(is_back, lanes_set(0), zx);
    zy = lanes_pick(is_back, lanes_set(0), zy);
    lanes dx = vector->dx, dy = vector->dy;
    product_add(&dx, &dy, x + zx, y + zy, vector->cx, vector->cy);
    vector->dx = lanes_pick(go, dx, vector->dx);
    vector->dy = lanes_pick(go, dy, vector->dy);
    words next = words_pick(is_back, words_set(SW_ZOOM_START + 1), vector->at + words_set(1));
    vector->at = words_pick(go, next, vector->at);
    vector->done = words_pick(go, vector->done + words_set(1), vector->done);
}

/* A vector in eight iterations without those tests; in registers, so without arrays. */
struct run {
    lanes dx, dy, cx, cy;
    words done, from; /* from: index of Z - iterations done */
    mask go, stay;
};

/* Every lane has an address that is right until it turns back, which is seldom. */
struct track {
    const struct sw_zoom_complex *z[LANES_COUNT];
    mask is_end[SW_ZOOM_ROUND], is_wait[SW_ZOOM_ROUND]; /* BOUND: who ends or must wait before the i-th iteration */
};

LANES_INLINE struct run run_begin(const struct course *course, const struct vector *vector, mask is_near,
                                  struct track *track) {
    int64_t at[LANES_COUNT];
    mask stay = mask_and(vector->is_live, mask_and(is_near, words_aligned(vector->at)));
    words_store(at, vector->at);
    for (unsigned lane = 0; lane < LANES_COUNT; lane++) {
        track->z[lane] = course->zoom->orbit.z + at[lane];
    }
    return (struct run){
        .dx = vector->dx,
        .dy = vector->dy,
        .cx = vector->cx,
        .cy = vector->cy,
        .done = vector->done,
        .from = vector->at - vector->done,
        .go = mask_but(vector->is_live, stay),
        .stay = stay,
    };
}

LANES_INLINE void run_bind(const struct course *course, struct run *run, mask is_near, struct track *track) {
    words at = run->from + run->done, end = words_set(course->zoom->orbit.end - SW_ZOOM_ROUND);
    mask is_waiting = mask_and(run->go, is_near);
    if (!mask_any(mask_or(is_waiting, words_less(end, at)))) {
        memset(track->is_end, 0, sizeof track->is_end);
        memset(track->is_wait, 0, sizeof track->is_wait);
        return;
    }
    for (unsigned i = 0; i < SW_ZOOM_ROUND; i++) {
        words then = at + words_set(i);
        track->is_end[i] = words_equal(then, words_set(course->zoom->orbit.end));
        track->is_wait[i] = mask_and(is_waiting, words_aligned(then));
        run->stay = mask_or(run->stay, track->is_wait[i]);
    }
}

LANES_INLINE void track_turn_back(const struct course *course, struct track *track, unsigned is_back, unsigned i) {
    for (; is_back; is_back &= is_back - 1) {
        track->z[__builtin_ctz(is_back)] = course->zoom->orbit.z + SW_ZOOM_START - i;
    }
}

LANES_INLINE void run_step(const struct course *course, struct run *run, struct track *track, unsigned i,
                           enum care care) {
    lanes zx, zy;
    orbit_load(track->z, i, &zx, &zy);
    lanes x = zx + run->dx, y = zy + run->dy;
    if (care != CALM) {
        mask is_back = is_back_at(run->dx, run->dy, x, y);
        if (care == BOUND) {
            run->go = mask_but(run->go, track->is_wait[i]);
            is_back = mask_or(is_back, track->is_end[i]);
        }
        run->go = mask_but(run->go, lanes_less(lanes_set(4), lanes_fma(y, y, x * x)));
        is_back = mask_and(is_back, run->go);
        if (__builtin_expect(mask_any(is_back), 0)) {
            track_turn_back(course, track, mask_bits(is_back), i);
            run->from = words_pick(is_back, words_set(SW_ZOOM_START) - run->done, run->from);
            run->dx = lanes_pick(is_back, x, run->dx);
            run->dy = lanes_pick(is_back, y, run->dy);
            zx = lanes_pick(is_back, lanes_set(0), zx);
            zy = lanes_pick(is_back, lanes_set(0), zy);
        }
    }
    lanes dx = run->dx, dy = run->dy;
    product_add(&dx, &dy, x + zx, y + zy, run->cx, run->cy);
    run->dx = lanes_pick(run->go, dx, run->dx);
    run->dy = lanes_pick(run->go, dy, run->dy);
    run->done = words_pick(run->go, run->done + words_set(1), run->done);
}

LANES_INLINE void run_end(const struct run *run, struct vector *vector) {
    vector->dx = run->dx;
    vector->dy = run->dy;
    vector->done = run->done;
    vector->at = run->from + run->done;
    vector->is_live = mask_or(run->go, run->stay);
}

/* The two vectors take turns: one waits for what the other has. */
LANES_INLINE void vectors_run(const struct course *course, struct vector *vectors, const mask *is_near,
                              enum care care) {
    struct track here, there;
    struct run one = run_begin(course, &vectors[0], is_near[0], &here);
    struct run other = run_begin(course, &vectors[1], is_near[1], &there);
    if (care == BOUND) {
        run_bind(course, &one, is_near[0], &here);
        run_bind(course, &other, is_near[1], &there);
    }
    for (unsigned i = 0; i < SW_ZOOM_ROUND; i++) {
        run_step(course, &one, &here, i, care);
        run_step(course, &other, &there, i, care);
    }
    run_end(&one, &vectors[0]);
    run_end(&other, &vectors[1]);
}

LANES_INLINE void vectors_step_full(const struct course *course, struct vector *vectors, const mask *is_near) {
    struct vector now[VECTORS];
    memcpy(now, vectors, sizeof now);
    for (unsigned i = 0; i < SW_ZOOM_ROUND; i++) {
        for (unsigned v = 0; v < VECTORS; v++) {
            vector_step_full(course, &now[v], is_near[v]);
        }
    }
    memcpy(vectors, now, sizeof now);
}

LANES_INLINE void vectors_step(const struct course *course, struct vector *vectors, const mask *is_near) {
    enum care care = CALM;
    for (unsigned v = 0; v < VECTORS; v++) {
        enum care its = vector_care(course, &vectors[v], is_near[v]);
        care = its > care ? its : care;
    }
    if (care == CALM) {
        vectors_run(course, vectors, is_near, CALM);
    } else if (care == USUAL) {
        vectors_run(course, vectors, is_near, USUAL);
    } else if (care == BOUND) {
        vectors_run(course, vectors, is_near, BOUND);
    } else {
        vectors_step_full(course, vectors, is_near);
    }
}

#endif
