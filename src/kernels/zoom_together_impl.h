/* zoom_together_impl.h - The common way of all points of a batch, several vectors at once; a part of zoom_lanes_impl.h.
 */
#ifdef LANES_RUN

/* The parts of a jump are in the order of struct sw_zoom_jump. */
LANES_INLINE void jump_apply(lanes *dx, lanes *dy, const lanes *jump, lanes cx, lanes cy) {
    lanes x = *dx * jump[10], y = *dy * jump[10], px = jump[6], py = jump[7];
    product_add(&px, &py, x, y, jump[4], jump[5]);
    product_add(&px, &py, x, y, jump[2], jump[3]);
    product_add(&px, &py, x, y, jump[0], jump[1]);
    x = lanes_fma(jump[8], cx, lanes_fnma(jump[9], cy, lanes_set(0)));
    y = lanes_fma(jump[8], cy, lanes_fma(jump[9], cx, lanes_set(0)));
    product_add(dx, dy, px, py, x, y);
}

struct group {
    lanes dx[TOGETHER], dy[TOGETHER], cx[TOGETHER], cy[TOGETHER];
};

LANES_INLINE void group_step(struct group *group, const struct sw_zoom_complex *z, uint32_t count) {
    struct group now = *group;
    for (uint32_t i = 0; i < count; i++) {
        lanes zx = lanes_set(z[i].re), zy = lanes_set(z[i].im);
        zx = zx + zx;
        zy = zy + zy;
        for (unsigned v = 0; v < TOGETHER; v++) {
            product_add(&now.dx[v], &now.dy[v], zx + now.dx[v], zy + now.dy[v], now.cx[v], now.cy[v]);
        }
    }
    *group = now;
}

LANES_INLINE void group_jump(struct group *group, const struct sw_zoom_jump *jump) {
    const double *parts = &jump->p[0].re;
    lanes set[JUMP_PARTS];
    for (unsigned i = 0; i < JUMP_PARTS; i++) {
        set[i] = lanes_set(parts[i]);
    }
    for (unsigned v = 0; v < TOGETHER; v++) {
        jump_apply(&group->dx[v], &group->dy[v], set, group->cx[v], group->cy[v]);
    }
}

LANES_INLINE void group_rebase(struct group *group, const struct sw_zoom_complex *z) {
    for (unsigned v = 0; v < TOGETHER; v++) {
        group->dx[v] = lanes_set(z->re) + group->dx[v];
        group->dy[v] = lanes_set(z->im) + group->dy[v];
    }
}

LANES_INLINE void group_go(struct group *group, const struct sw_zoom *zoom) {
    const struct sw_zoom_table *table = &zoom->table;
    for (uint32_t i = 0; i < zoom->way.legs; i++) {
        const struct sw_zoom_leg *leg = &zoom->way.leg[i];
        const struct sw_zoom_complex *z = zoom->orbit.z + leg->at;
        if (leg->kind == SW_ZOOM_STEPS) {
            group_step(group, z, leg->count);
        } else if (leg->kind == SW_ZOOM_JUMP) {
            group_jump(group, &table->jump[table->first[leg->count] + ((leg->at - SW_ZOOM_BLOCK) >> leg->count)]);
        } else {
            group_rebase(group, z);
        }
    }
}

/* The common way of all points of the batch. */
LANES_INLINE void batch_go(const struct sw_zoom *zoom, struct sw_zoom_batch *batch) {
    for (size_t i = 0; i < batch->count; i += (size_t)TOGETHER * LANES_COUNT) {
        struct group group;
        for (unsigned v = 0; v < TOGETHER; v++) {
            group.cx[v] = lanes_load(batch->dc_re + i + (size_t)v * LANES_COUNT);
            group.cy[v] = lanes_load(batch->dc_im + i + (size_t)v * LANES_COUNT);
            group.dx[v] = group.dy[v] = lanes_set(0);
        }
        group_go(&group, zoom);
        for (unsigned v = 0; v < TOGETHER; v++) {
            lanes_store(batch->dz_re + i + (size_t)v * LANES_COUNT, group.dx[v]);
            lanes_store(batch->dz_im + i + (size_t)v * LANES_COUNT, group.dy[v]);
        }
    }
    batch->jumps += zoom->way.jumps * (uint64_t)batch->count;
    batch->jumped += zoom->way.jumped * (uint64_t)batch->count;
}

#endif
