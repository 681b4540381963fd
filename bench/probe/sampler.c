/* sampler.c - Drives the stack reader and the code cache for tests and benchmarks; results as JSON on stdout.
 *
 *     bench_probe_sampler stacks PID SAMPLES [RATE_HZ [SECONDS]]   aggregated stacks and what they cost; rate 0: no pause
 *     bench_probe_sampler codes PID                                addresses on stdin; the line of every code unit
 *     bench_probe_sampler timer COUNT RATE_HZ                      what waking up costs, without looking at anything
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "probe/stack.h"

enum { OPEN_TRIES = 2000, OPEN_PAUSE_MS = 5, STACKS_MAX = 200000 };

static const char *const quality_names[] = {[SW_STACK_EXACT] = "exact",
                                            [SW_STACK_PARTIAL] = "partial",
                                            [SW_STACK_FAILED] = "failed",
                                            [SW_STACK_EMPTY] = "empty"};

/* Stacks seen, each once. */
struct tally {
    struct sw_map index; /* key -> position in items */
    struct item *items;
    size_t count, cap;
};

struct item {
    uint64_t count;
    enum sw_stack_quality quality;
    int32_t tid;
    size_t omitted;
    struct sw_frame *frames;
    size_t frame_count;
};

struct cost {
    int64_t cpu_ns, wall_ns;
    uint64_t rounds, late;
};

static int fail(const char *what, enum sw_status status) {
    fprintf(stderr, "bench_probe_sampler: %s: %s\n", what, sw_status_text(status));
    return 1;
}

static enum sw_status add_item(struct tally *tally, const struct sw_stack *stack) {
    if (tally->count == tally->cap) {
        size_t cap = tally->cap ? tally->cap * 2 : 64;
        struct item *items = sw_realloc_array(tally->items, cap, sizeof(*items));
        if (!items) {
            return SW_NOMEM;
        }
        tally->items = items;
        tally->cap = cap;
    }
    struct sw_frame *frames = sw_alloc_array(stack->frame_count + 1, sizeof(*frames));
    if (!frames) {
        return SW_NOMEM;
    }
    if (stack->frame_count > 0) {
        memcpy(frames, stack->frames, stack->frame_count * sizeof(*frames));
    }
    tally->items[tally->count++] =
        (struct item){1, stack->quality, stack->thread.tid, stack->omitted, frames, stack->frame_count};
    return SW_OK;
}

static enum sw_status count_stack(struct tally *tally, const struct sw_stack *stack) {
    uint64_t key[2] = {stack->frame_count ? stack->fingerprint : 0,
                       (uint64_t)stack->quality << 32 | (uint32_t)stack->thread.tid};
    struct sw_str bytes = sw_str_make((const char *)key, sizeof(key));
    uint64_t at = 0;
    if (sw_map_get(&tally->index, bytes, &at)) {
        tally->items[at].count++;
        return SW_OK;
    }
    if (tally->count == STACKS_MAX) {
        return SW_LIMIT;
    }
    enum sw_status status = add_item(tally, stack);
    return status == SW_OK ? sw_map_put(&tally->index, bytes, tally->count - 1) : status;
}

static void write_frames(struct sw_json *json, const struct item *item) {
    sw_json_key(json, SW_STR("frames"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < item->frame_count; i++) {
        const struct sw_frame *frame = &item->frames[i];
        sw_json_array_begin(json);
        sw_json_str(json, frame->code ? frame->code->name : SW_STR(""));
        sw_json_str(json, frame->code ? frame->code->file : SW_STR(""));
        sw_json_i64(json, frame->line);
        sw_json_i64(json, frame->offset);
        sw_json_array_end(json);
    }
    sw_json_array_end(json);
}

static void write_counts(struct sw_json *json, const struct sw_stack_counts *counts, const struct cost *cost) {
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"exact", counts->exact},           {"partial", counts->partial},
        {"failed", counts->failed},         {"empty", counts->empty},
        {"tries", counts->tries},           {"system_calls", counts->system_calls},
        {"rounds", cost->rounds},           {"late", cost->late},
        {"cpu_ns", (uint64_t)cost->cpu_ns}, {"wall_ns", (uint64_t)cost->wall_ns},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sw_json_key(json, sw_str_from(rows[i].name));
        sw_json_u64(json, rows[i].value);
    }
}

static int write_out(struct sw_buf *out, const struct sw_json *json) {
    if (sw_json_status(json) != SW_OK) {
        return fail("writing", sw_json_status(json));
    }
    return fwrite(out->ptr, 1, out->len, stdout) == out->len && putchar('\n') == '\n' && fflush(stdout) == 0 ? 0 : 1;
}

static int write_tally(const struct tally *tally, const struct sw_runtime *runtime,
                       const struct sw_stack_counts *counts, const struct cost *cost) {
    struct sw_buf out = {0};
    struct sw_json json;
    sw_json_init(&json, &out);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("version"));
    sw_json_str(&json, sw_str_from(runtime->version_text));
    write_counts(&json, counts, cost);
    sw_json_key(&json, SW_STR("stacks"));
    sw_json_array_begin(&json);
    for (size_t i = 0; i < tally->count; i++) {
        sw_json_object_begin(&json);
        sw_json_key(&json, SW_STR("count"));
        sw_json_u64(&json, tally->items[i].count);
        sw_json_key(&json, SW_STR("tid"));
        sw_json_i64(&json, tally->items[i].tid);
        sw_json_key(&json, SW_STR("omitted"));
        sw_json_u64(&json, tally->items[i].omitted);
        sw_json_key(&json, SW_STR("quality"));
        sw_json_str(&json, sw_str_from(quality_names[tally->items[i].quality]));
        write_frames(&json, &tally->items[i]);
        sw_json_object_end(&json);
    }
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    int code = write_out(&out, &json);
    sw_buf_release(&out);
    return code;
}

static void wait_until(int64_t due_ns) {
    struct timespec due = {.tv_sec = due_ns / SW_NS_PER_S, .tv_nsec = due_ns % SW_NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0) {
    }
}

/* *taken is true while the process lives. */
static enum sw_status sample(struct sw_stack_reader *reader, struct tally *tally, bool *is_alive) {
    const struct sw_stack *stacks = NULL;
    size_t count = 0;
    enum sw_status status = sw_stack_read(reader, NULL, 0, &stacks, &count);
    *is_alive = status != SW_CLOSED;
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        status = count_stack(tally, &stacks[i]);
    }
    return status == SW_CLOSED || status == SW_AGAIN ? SW_OK : status;
}

struct wish {
    uint64_t samples;
    double rate_hz, seconds;
};

static enum sw_status run(struct sw_stack_reader *reader, struct tally *tally, const struct wish *wish,
                          struct cost *cost) {
    int64_t start_ns = sw_clock_mono_ns();
    int64_t cpu_ns = sw_clock_thread_cpu_ns();
    int64_t period_ns = wish->rate_hz > 0 ? (int64_t)(1e9 / wish->rate_hz) : 0;
    int64_t end_ns = wish->seconds > 0 ? start_ns + (int64_t)(wish->seconds * 1e9) : INT64_MAX;
    int64_t due_ns = start_ns;
    enum sw_status status = SW_OK;
    for (bool is_alive = true; status == SW_OK && is_alive && cost->rounds < wish->samples; cost->rounds++) {
        int64_t now_ns = period_ns > 0 || wish->seconds > 0 ? sw_clock_mono_ns() : 0;
        if (now_ns >= end_ns) {
            break;
        }
        if (period_ns > 0 && due_ns > now_ns) {
            wait_until(due_ns);
        } else if (period_ns > 0 && now_ns > due_ns + period_ns) {
            cost->late += (uint64_t)((now_ns - due_ns) / period_ns);
            due_ns = now_ns;
        }
        due_ns += period_ns;
        status = sample(reader, tally, &is_alive);
    }
    cost->cpu_ns = sw_clock_thread_cpu_ns() - cpu_ns;
    cost->wall_ns = sw_clock_mono_ns() - start_ns;
    return status;
}

static int stacks_main(const struct sw_runtime *runtime, const struct wish *wish) {
    struct sw_stack_reader *reader = NULL;
    struct tally tally = {0};
    struct cost cost = {0};
    enum sw_status status = sw_stack_reader_new(&reader, runtime, NULL);
    if (status == SW_OK) {
        status = run(reader, &tally, wish, &cost);
    }
    int code = 1;
    if (status == SW_OK) {
        struct sw_stack_counts counts = sw_stack_counts(reader);
        code = write_tally(&tally, runtime, &counts, &cost);
    } else {
        fail("reading stacks", status);
    }
    sw_stack_reader_free(reader);
    for (size_t i = 0; i < tally.count; i++) {
        sw_free(tally.items[i].frames);
    }
    sw_free(tally.items);
    sw_map_release(&tally.index);
    return code;
}

static int write_code(const struct sw_code *code, uint32_t size_bytes) {
    struct sw_buf out = {0};
    struct sw_json json;
    sw_json_init(&json, &out);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("name"));
    sw_json_str(&json, code->name);
    sw_json_key(&json, SW_STR("file"));
    sw_json_str(&json, code->file);
    sw_json_key(&json, SW_STR("lines"));
    sw_json_array_begin(&json);
    for (uint32_t offset = 0; offset < size_bytes; offset += 2) {
        sw_json_i64(&json, sw_code_line(code, (int32_t)offset));
    }
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    int result = write_out(&out, &json);
    sw_buf_release(&out);
    return result;
}

/* Lines of "ADDRESS SIZE_BYTES", in decimal. */
static int codes_main(const struct sw_runtime *runtime) {
    struct sw_code_cache *cache = NULL;
    enum sw_status status = sw_code_cache_new(&cache, runtime);
    int code = status == SW_OK ? 0 : fail("code cache", status);
    char line[64];
    while (code == 0 && fgets(line, sizeof(line), stdin)) {
        char *rest = NULL;
        uint64_t address = strtoull(line, &rest, 10);
        uint32_t size_bytes = (uint32_t)strtoul(rest, NULL, 10);
        const struct sw_code *found = NULL;
        status = sw_code_get(cache, address, &found);
        code = status == SW_OK ? write_code(found, size_bytes) : fail("reading a code object", status);
    }
    sw_code_cache_free(cache);
    return code;
}

static int timer_main(long count, double rate_hz) {
    int64_t cpu_ns = sw_clock_thread_cpu_ns();
    int64_t due_ns = sw_clock_mono_ns();
    for (long i = 0; i < count; i++) {
        due_ns += (int64_t)(1e9 / rate_hz);
        wait_until(due_ns);
    }
    return printf("{\"cpu_ns\": %lld}\n", (long long)(sw_clock_thread_cpu_ns() - cpu_ns)) > 0 ? 0 : 1;
}

static enum sw_status open_runtime(struct sw_runtime *runtime, struct sw_target *target, int32_t pid) {
    struct sw_error err = {0};
    enum sw_status status = sw_target_open(target, pid, &err);
    if (status == SW_OK) {
        status = sw_runtime_open(runtime, target, &err);
    }
    for (int i = 0; i < OPEN_TRIES && status == SW_NOTFOUND; i++) { /* still starting */
        sw_clock_sleep_ns(OPEN_PAUSE_MS * SW_NS_PER_MS);
        status = sw_runtime_open(runtime, target, &err);
    }
    if (status != SW_OK) {
        fprintf(stderr, "bench_probe_sampler: %s\n", err.text);
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "timer") == 0) {
        return timer_main(strtol(argv[2], NULL, 10), strtod(argv[3], NULL));
    }
    bool is_codes = argc == 3 && strcmp(argv[1], "codes") == 0;
    bool is_stacks = argc >= 4 && strcmp(argv[1], "stacks") == 0;
    if (!is_codes && !is_stacks) {
        fputs("usage: bench_probe_sampler stacks PID SAMPLES [RATE_HZ [SECONDS]] | codes PID | timer COUNT RATE\n",
              stderr);
        return 2;
    }
    struct sw_target target = {0};
    struct sw_runtime runtime = {0};
    if (open_runtime(&runtime, &target, (int32_t)strtol(argv[2], NULL, 10)) != SW_OK) {
        sw_target_close(&target);
        return 1;
    }
    struct wish wish = {0};
    if (is_stacks) {
        wish.samples = strtoull(argv[3], NULL, 10);
        wish.rate_hz = argc > 4 ? strtod(argv[4], NULL) : 0;
        wish.seconds = argc > 5 ? strtod(argv[5], NULL) : 0;
    }
    int code = is_codes ? codes_main(&runtime) : stacks_main(&runtime, &wish);
    sw_runtime_close(&runtime);
    sw_target_close(&target);
    return code;
}
