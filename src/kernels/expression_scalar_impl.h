/* expression_scalar_impl.h - What one lane of either width needs for vecmath_impl.h. */
#ifdef LANES_TABLE

static inline lanes lanes_set(real value) {
    return value;
}

static inline words words_set(word value) {
    return value;
}

static inline lanes lanes_load(const real *from) {
    return *from;
}

static inline void lanes_store(real *to, lanes value) {
    *to = value;
}

/* No such store here. */
static inline void lanes_stream(real *to, lanes value) {
    lanes_store(to, value);
}

static inline lanes lanes_of(words value) {
    lanes same;
    __builtin_memcpy(&same, &value, sizeof same);
    return same;
}

static inline words words_of(lanes value) {
    words same;
    __builtin_memcpy(&same, &value, sizeof same);
    return same;
}

/* Of a table of 16, by the low 4 bits. */
static inline lanes lanes_lookup(const real *table, words index) {
    return table[index & 15];
}

static inline lanes lanes_min(lanes a, lanes b) {
    return a < b ? a : b;
}

static inline lanes lanes_max(lanes a, lanes b) {
    return a > b ? a : b;
}

static inline mask lanes_less(lanes a, lanes b) {
    return a < b;
}

static inline mask lanes_at_most(lanes a, lanes b) {
    return a <= b;
}

static inline mask lanes_equal(lanes a, lanes b) {
    return a == b;
}

static inline mask mask_and(mask a, mask b) {
    return a && b;
}

static inline bool mask_all(mask a) {
    return a;
}

static inline lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return is_yes ? yes : no;
}

/* 0 elsewhere. */
static inline lanes lanes_keep(mask is_yes, lanes yes) {
    return is_yes ? yes : 0;
}

#endif
