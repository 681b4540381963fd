/* expression_run.c - An expression run over arrays, block by block, so that what lies between two instructions stays in
 * the first-level cache.
 *
 * Contiguous operands and `out` are worked on where they are. What is strided, or of the other width, is first brought
 * into a slot of the block's size; so are the last few elements that make no whole granule. A number is repeated over a
 * granule, and its pointer does not move.
 */
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/expression_impl.h"

#define LINE 64u           /* bytes of a cache line */
#define ALIGNED_LEAST 2048 /* elements: less is not worth aligning */
#define BLOCK_MOST 1024
#define SLOT_BYTES (64u << 10)      /* of all slots of a block */
#define UNIT 1024                   /* elements: work is handed to threads in multiples */
#define PIECE_NS 5000               /* about what a piece of work takes */
#define PREFETCH_BYTES (256u << 10) /* of an operand: less is likely to be in the second-level cache */
#define STREAM_BYTES (32u << 20)    /* larger results are stored past the caches */

#define PHASES 32 /* instructions that may prefetch */

/* How an operand comes to the kernels. */
enum way { WAY_NUMBER, WAY_DIRECT, WAY_STAGED };

union granule {
    double f64[SW_GRANULE];
    float f32[SW_GRANULE];
};

struct run {
    const struct sw_expression *expression;
    const sw_kernel *kernels;
    const struct sw_array *operands;
    struct sw_array *out;
    size_t count, block, element; /* elements, elements, bytes of one in the arithmetic */
    size_t lead;                  /* elements before `out` begins a cache line: blocks begin behind them */
    enum sw_dtype dtype;          /* of the arithmetic */
    enum sw_cpu_level level;
    bool is_direct; /* the last instruction writes to `out` itself */
    bool is_streamed;
    bool is_prefetched;
    uint8_t shares[PHASES]; /* how many operands' next blocks the first instructions prefetch */
    enum way ways[SW_EXPRESSION_NAMES];
    uint16_t staged[SW_EXPRESSION_NAMES]; /* slots */
    union granule *numbers;               /* by name */
};

/* The contiguous operands' next blocks, which are prefetched while this one is worked on. */
struct ahead {
    const char *streams[SW_EXPRESSION_NAMES];
    size_t count, next;
};

/* One lane's part of it. */
struct lane {
    const struct run *run;
    const void *at[SW_EXPRESSION_NAMES]; /* where this block's elements are */
    char *slots;
    size_t slot_bytes;
    struct ahead ahead;
    union granule tails[SW_EXPRESSION_NAMES]; /* the last elements, which make no granule */
    _Alignas(64) char memory[SLOT_BYTES];
    _Alignas(64) float gathered[BLOCK_MOST];
};

static void widen(double *to, const float *from, size_t count) {
    for (size_t i = 0; i < count; i++) {
        to[i] = (double)from[i];
    }
}

static void narrow(float *to, const double *from, size_t count) {
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)from[i];
    }
}

static void *slot_at(struct lane *lane, size_t slot) {
    return lane->slots + slot * lane->slot_bytes;
}

/* The elements of a name, of the arithmetic's width; gathered or widened into `slot` unless they lie ready. */
static const void *elements(struct lane *lane, size_t name, size_t first, size_t count, void *slot) {
    const struct sw_array *array = &lane->run->operands[name];
    if (array->dtype == lane->run->dtype) {
        return sw_array_block(array, first, count, slot);
    }
    widen(slot, sw_array_block(array, first, count, lane->gathered), count);
    return slot;
}

static void operand_set(struct lane *lane, uint16_t slot, struct sw_kernel_call *call, unsigned index) {
    const struct run *run = lane->run;
    bool is_f64 = run->dtype == SW_F64;
    call->steps[index] = SW_GRANULE;
    if (slot >= SW_SLOT_CONSTANTS) {
        const struct sw_constant *constant = &run->expression->constants[slot - SW_SLOT_CONSTANTS];
        call->operands[index] = is_f64 ? (const void *)constant->f64 : constant->f32;
        call->steps[index] = 0;
    } else if (slot >= SW_SLOT_REGISTERS) {
        call->operands[index] = slot_at(lane, slot - SW_SLOT_REGISTERS);
    } else {
        call->operands[index] = lane->at[slot];
        call->steps[index] = run->ways[slot] == WAY_NUMBER ? 0 : SW_GRANULE;
    }
}

/* Lets a call prefetch the next block of `count` operands. */
static void ahead_set(struct lane *lane, struct sw_kernel_call *call, size_t count) {
    struct ahead *ahead = &lane->ahead;
    size_t left = ahead->count - ahead->next;
    call->ahead = ahead->streams + ahead->next;
    call->ahead_count = count < left ? count : left;
    ahead->next += call->ahead_count;
}

/* All instructions on `count` elements; the last writes to `out`, or to its register if that is NULL. Returns where. */
static void *instructions_run(struct lane *lane, void *out, size_t count) {
    const struct sw_expression *expression = lane->run->expression;
    struct sw_kernel_call call = {.granules = (count + SW_GRANULE - 1) / SW_GRANULE, .count = count};
    for (size_t i = 0; i < expression->instruction_count; i++) {
        const struct sw_instruction *instruction = &expression->instructions[i];
        unsigned arity = sw_operator_arity((enum sw_operator)instruction->op);
        for (unsigned j = 0; j < arity; j++) {
            operand_set(lane, instruction->operands[j], &call, j);
        }
        bool is_last = i + 1 == expression->instruction_count;
        call.is_streamed = is_last && out && lane->run->is_streamed;
        call.out = is_last && out ? out : slot_at(lane, instruction->out - (size_t)SW_SLOT_REGISTERS);
        ahead_set(lane, &call, i < PHASES ? lane->run->shares[i] : 0);
        lane->run->kernels[instruction->op](&call);
    }
    return call.out;
}

static void result_store(const struct run *run, char *to, const void *from, size_t count) {
    if (run->out->dtype != run->dtype) {
        narrow((float *)(void *)to, from, count);
    } else {
        memcpy(to, from, count * run->element);
    }
}

/* Whole granules; `next` elements follow. */
static void block_run(struct lane *lane, size_t first, size_t count, size_t next) {
    const struct run *run = lane->run;
    lane->ahead.count = lane->ahead.next = 0;
    for (size_t i = 0; i < run->expression->name_count; i++) {
        if (run->ways[i] == WAY_DIRECT) {
            const char *from = run->operands[i].data + first * run->element;
            lane->at[i] = from;
            if (run->is_prefetched && next > 0) {
                lane->ahead.streams[lane->ahead.count++] = from + count * run->element;
            }
        } else if (run->ways[i] == WAY_STAGED) {
            lane->at[i] = elements(lane, i, first, count, slot_at(lane, run->staged[i]));
        }
    }
    char *out = run->out->data + first * sw_dtype_size(run->out->dtype);
    void *result = instructions_run(lane, run->is_direct ? out : NULL, count);
    if (!run->is_direct) {
        result_store(run, out, result, count);
    }
}

static void tail_fill(union granule *tail, size_t count, enum sw_dtype dtype) {
    for (size_t i = count; i < SW_GRANULE; i++) {
        if (dtype == SW_F64) {
            tail->f64[i] = tail->f64[count - 1];
        } else {
            tail->f32[i] = tail->f32[count - 1];
        }
    }
}

/* Less than a granule: filled up with copies of its last element. */
static void tail_run(struct lane *lane, size_t first, size_t count) {
    const struct run *run = lane->run;
    for (size_t i = 0; i < run->expression->name_count; i++) {
        if (run->ways[i] == WAY_NUMBER) {
            continue;
        }
        char *tail = (char *)&lane->tails[i];
        const void *from = elements(lane, i, first, count, tail);
        if (from != tail) {
            memcpy(tail, from, count * run->element);
        }
        tail_fill(&lane->tails[i], count, run->dtype);
        lane->at[i] = tail;
    }
    lane->ahead.count = lane->ahead.next = 0;
    void *result = instructions_run(lane, NULL, count);
    result_store(run, run->out->data + first * sw_dtype_size(run->out->dtype), result, count);
}

static void body(void *context, size_t first_unit, size_t last_unit, unsigned lane_index) {
    const struct run *run = context;
    size_t first = first_unit > 0 ? run->lead + first_unit * UNIT : 0, last = run->lead + last_unit * UNIT;
    last = last < run->count ? last : run->count;
    struct lane lane;
    lane.run = run;
    lane.slots = lane.memory;
    lane.slot_bytes = run->block * run->element;
    for (size_t i = 0; i < run->expression->name_count; i++) {
        lane.at[i] = &run->numbers[i];
    }
    while (first < last) {
        size_t count = first < run->lead ? run->lead - first : run->block;
        count = count < last - first ? count : last - first;
        size_t whole = count - count % SW_GRANULE;
        if (whole > 0) {
            block_run(&lane, first, whole, last - first - whole);
        } else {
            tail_run(&lane, first, count);
        }
        first += whole > 0 ? whole : count;
    }
#if defined(__x86_64__)
    if (run->is_streamed) {
        _mm_sfence();
    }
#endif
}

/* A number is the same for every element: no dimension has a stride. */
static bool is_number(const struct sw_array *array) {
    for (unsigned d = 0; d < array->dims; d++) {
        if (array->strides[d] != 0) {
            return false;
        }
    }
    return true;
}

static bool has_shape(const struct sw_array *array, const struct sw_array *other) {
    return array->dims == other->dims && memcmp(array->shape, other->shape, array->dims * sizeof *array->shape) == 0;
}

static void number_set(struct run *run, size_t index) {
    const struct sw_array *array = &run->operands[index];
    double value = array->dtype == SW_F64 ? *(const double *)(const void *)array->data
                                          : (double)*(const float *)(const void *)array->data;
    for (unsigned i = 0; i < SW_GRANULE; i++) {
        if (run->dtype == SW_F64) {
            run->numbers[index].f64[i] = value;
        } else {
            run->numbers[index].f32[i] = (float)value;
        }
    }
}

/* Shares the prefetching out: what takes long gets most, so that memory and arithmetic are busy at the same time. */
static void shares_set(struct run *run, size_t streams) {
    const struct sw_expression *expression = run->expression;
    size_t phases = expression->instruction_count < PHASES ? expression->instruction_count : PHASES;
    for (; streams > 0; streams--) {
        uint8_t *best = NULL;
        unsigned most = 0;
        for (size_t i = 0; i < phases; i++) {
            unsigned cost = sw_operator_cost((enum sw_operator)expression->instructions[i].op) / (run->shares[i] + 1u);
            if (!best || cost > most) {
                most = cost;
                best = &run->shares[i];
            }
        }
        ++*best;
    }
}

/* How every operand is read, and how large blocks may be. */
static void run_plan(struct run *run) {
    size_t slots = run->expression->register_count, streams = 0;
    for (size_t i = 0; i < run->expression->name_count; i++) {
        const struct sw_array *array = &run->operands[i];
        if (is_number(array)) {
            run->ways[i] = WAY_NUMBER;
            number_set(run, i);
        } else if (array->dtype == run->dtype && sw_array_is_contiguous(array)) {
            run->ways[i] = WAY_DIRECT;
            streams++;
        } else {
            run->ways[i] = WAY_STAGED;
            run->staged[i] = (uint16_t)slots++;
        }
        if (sw_array_overlaps(array, run->out)) {
            run->is_streamed = false; /* what was just read is in the cache */
        }
    }
    shares_set(run, run->is_prefetched ? streams : 0);
    size_t beyond = (uintptr_t)run->out->data % LINE;
    run->lead = run->count >= ALIGNED_LEAST ? (LINE - beyond) % LINE / sw_dtype_size(run->out->dtype) : 0;
    size_t most = SLOT_BYTES / (slots * run->element);
    run->block = most < BLOCK_MOST ? most - most % SW_GRANULE : BLOCK_MOST;
}

enum sw_status sw_expression_run_at(const struct sw_expression *expression, const struct sw_array *operands,
                                    struct sw_array *out, struct sw_parallel *parallel, enum sw_cpu_level level) {
    struct run run = {.expression = expression, .operands = operands, .out = out, .level = level, .dtype = out->dtype};
    union granule numbers[SW_EXPRESSION_NAMES]; /* not part of `run`, which is zeroed */
    run.numbers = numbers;
    run.count = sw_array_count(out);
    if (!sw_array_is_contiguous(out)) {
        return SW_INVALID;
    }
    for (size_t i = 0; i < expression->name_count; i++) {
        if (operands[i].dtype == SW_F64) {
            run.dtype = SW_F64;
        }
        if (operands[i].dims > 0 && !has_shape(&operands[i], out)) {
            return SW_INVALID;
        }
    }
    if (run.count == 0) {
        return SW_OK;
    }
    run.kernels = *sw_kernels_at(level, run.dtype);
    run.element = sw_dtype_size(run.dtype);
    run.is_prefetched = run.count * run.element >= PREFETCH_BYTES && expression->instruction_count > 1;
    run.is_streamed = run.dtype == out->dtype && run.count * run.element >= STREAM_BYTES;
    run_plan(&run);
    run.is_direct = run.dtype == out->dtype;
    size_t unit_ns = UNIT * (expression->cost + 10 * expression->name_count) / 100 + 1,
           grain = unit_ns < PIECE_NS ? PIECE_NS / unit_ns : 1;
    struct sw_parallel_loop loop = {.count = (run.count - run.lead + UNIT - 1) / UNIT,
                                    .grain = grain,
                                    .body = body,
                                    .context = &run};
    sw_parallel_run(parallel, &loop);
    return SW_OK;
}

enum sw_status sw_expression_run(const struct sw_expression *expression, const struct sw_array *operands,
                                 struct sw_array *out, struct sw_parallel *parallel) {
    return sw_expression_run_at(expression, operands, out, parallel, sw_cpu_level());
}
