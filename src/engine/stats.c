/* stats.c - Figures about the engine itself: for the dashboard's engine tab and for Prometheus. */
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/serve_impl.h"

#define LATENCY_PART_NS (5 * SW_NS_PER_S)

static const char *const stage_names[SW_STAGE_COUNT] = {"decode", "aggregate", "merge", "sink", "serve"};

struct thread_ref {
    const char *role;
    unsigned index;
    const struct sw_thread *thread; /* NULL: the calling one */
};

/* Every thread of the engine, in a fixed order. */
static unsigned threads_list(const struct sw_serve *serve, struct thread_ref list[SW_SERVE_THREADS_MAX]) {
    const struct sw_engine *engine = serve->engine;
    unsigned count = 0;
    for (unsigned i = 0; i < engine->source_count; i++)
        if (engine->sources[i].kind != SW_SOURCE_INGEST)
            list[count++] = (struct thread_ref){"reader", i, &engine->sources[i].thread};
    for (unsigned i = 0; i < engine->worker_count; i++)
        list[count++] = (struct thread_ref){"worker", i, &engine->workers[i].thread};
    list[count++] = (struct thread_ref){"merger", 0, &engine->merger.thread};
    list[count++] = (struct thread_ref){"server", 0, NULL};
    return count;
}

/* 0 for a thread that has ended. */
static int64_t thread_cpu_ns(const struct sw_thread *thread) {
    clockid_t clock;
    struct timespec used;
    if (!thread)
        return sw_clock_thread_cpu_ns();
    if (!thread->is_started || pthread_getcpuclockid(thread->handle, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (int64_t)used.tv_sec * SW_NS_PER_S + used.tv_nsec;
}

static void threads_take(struct sw_serve *serve, double seconds) {
    struct thread_ref list[SW_SERVE_THREADS_MAX];
    unsigned count = threads_list(serve, list);
    for (unsigned i = 0; i < count; i++) {
        int64_t now_ns = thread_cpu_ns(list[i].thread);
        int64_t used_ns = now_ns - serve->stats.thread_cpu_ns[i];
        serve->stats.thread_cpu_percent[i] =
            serve->stats.thread_cpu_ns[i] && used_ns >= 0 ? (double)used_ns / seconds / 1e7 : NAN;
        serve->stats.thread_cpu_ns[i] = now_ns;
    }
}

/* Adds one stage's new samples and time to the interval's. */
struct interval {
    uint32_t counts[SW_STAGE_BUCKETS];
    uint64_t total_ns;
};

static void interval_add(struct interval *interval, const struct sw_stage *stage, struct sw_stage_seen *seen) {
    sw_stage_since(stage, seen, interval->counts);
    interval->total_ns += atomic_load_explicit(&stage->total_ns, memory_order_relaxed);
}

static void stages_take(struct sw_serve *serve, double seconds) {
    struct interval intervals[SW_STAGE_COUNT] = {0};
    struct sw_engine *engine = serve->engine;
    struct sw_serve_stats *stats = &serve->stats;
    struct sw_stage_seen *seen = stats->seen;
    for (unsigned i = 0; i < engine->source_count; i++)
        interval_add(&intervals[SW_STAGE_DECODE], &engine->sources[i].decode, seen++);
    for (unsigned i = 0; i < engine->worker_count; i++)
        interval_add(&intervals[SW_STAGE_AGGREGATE], &engine->workers[i].counters.aggregate, seen++);
    interval_add(&intervals[SW_STAGE_MERGE], &engine->merger.merge, seen++);
    interval_add(&intervals[SW_STAGE_SINK], &engine->merger.sink, seen++);
    interval_add(&intervals[SW_STAGE_SERVE], &stats->serve, seen++);
    for (unsigned i = 0; i < SW_STAGE_COUNT; i++) {
        stats->stage_p50_ns[i] = sw_stage_quantile(intervals[i].counts, 0.5);
        stats->stage_p99_ns[i] = sw_stage_quantile(intervals[i].counts, 0.99);
        stats->stage_share_percent[i] = (double)(intervals[i].total_ns - stats->stage_total_ns[i]) / seconds / 1e7;
        stats->stage_total_ns[i] = intervals[i].total_ns;
    }
}

void sw_stats_take(struct sw_serve *serve) {
    struct sw_serve_stats *stats = &serve->stats;
    struct sw_totals before = stats->totals;
    int64_t now_ns = sw_clock_mono_ns();
    double seconds = (double)(now_ns - stats->taken_mono_ns) / 1e9;
    sw_engine_totals(serve->engine, &stats->totals);
    stats->rows_per_s = (double)(stats->totals.rows - before.rows) / seconds;
    stats->bytes_per_s = (double)(stats->totals.bytes - before.bytes) / seconds;
    stats->batches_per_s = (double)(stats->totals.batches - before.batches) / seconds;
    stats->taken_mono_ns = now_ns;
    threads_take(serve, seconds);
    stages_take(serve, seconds);
    if (now_ns >= stats->latency_turn_ns) {
        stats->latency_part ^= 1;
        sw_histogram_clear(&stats->latency[stats->latency_part]);
        stats->latency_turn_ns = now_ns + LATENCY_PART_NS;
    }
}

void sw_stats_latency(struct sw_serve *serve, int64_t latency_ns) {
    sw_histogram_add(&serve->stats.latency[serve->stats.latency_part], latency_ns > 0 ? (uint64_t)latency_ns : 0);
}

/* In ms; NaN without samples. `merged` is scratch of the caller. */
static void latency_quantiles(const struct sw_serve *serve, double *p50_ms, double *p99_ms) {
    const struct sw_histogram *parts = serve->stats.latency;
    struct sw_histogram merged = parts[0];
    sw_histogram_merge(&merged, &parts[1]);
    *p50_ms = merged.total ? (double)sw_histogram_quantile(&merged, 0.5) / 1e6 : NAN;
    *p99_ms = merged.total ? (double)sw_histogram_quantile(&merged, 0.99) / 1e6 : NAN;
}

static double rss_bytes(void) {
    unsigned long long total = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return NAN;
    int found = fscanf(file, "%llu %llu", &total, &resident);
    fclose(file);
    return found == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : NAN;
}

/* Event time that is closed everywhere; NaN before the first window. */
static double watermark_ms(const struct sw_serve *serve) {
    int64_t least_ns = INT64_MAX;
    for (unsigned i = 0; i < serve->engine->job.stream_count; i++) {
        int64_t closed_ns = atomic_load_explicit(&serve->engine->closed_before_ns[i], memory_order_relaxed);
        if (closed_ns != INT64_MIN && closed_ns < least_ns)
            least_ns = closed_ns;
    }
    return least_ns == INT64_MAX ? NAN : (double)least_ns / 1e6;
}

static void member_u64(struct sw_json *json, const char *name, uint64_t value) {
    sw_json_key(json, sw_str_from(name));
    sw_json_u64(json, value);
}

static void member_f64(struct sw_json *json, const char *name, double value) {
    sw_json_key(json, sw_str_from(name));
    sw_json_f64(json, isnan(value) ? value : round(value * 1000) / 1000);
}

static void member_name(struct sw_json *json, const char *role, unsigned index) {
    char name[32];
    snprintf(name, sizeof name, "%s %u", role, index);
    sw_json_key(json, SW_STR("name"));
    sw_json_str(json, sw_str_from(name));
}

static void threads_write(struct sw_serve *serve, struct sw_json *json) {
    struct thread_ref list[SW_SERVE_THREADS_MAX];
    unsigned count = threads_list(serve, list);
    sw_json_key(json, SW_STR("threads"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i < count; i++) {
        sw_json_object_begin(json);
        member_name(json, list[i].role, list[i].index);
        sw_json_key(json, SW_STR("role"));
        sw_json_str(json, sw_str_from(list[i].role));
        member_f64(json, "cpu_percent", serve->stats.thread_cpu_percent[i]);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

/* The ring of each worker, all its readers together, and those to the merger and to here. */
static void rings_write(struct sw_serve *serve, struct sw_json *json) {
    const struct sw_engine *engine = serve->engine;
    sw_json_key(json, SW_STR("rings"));
    sw_json_array_begin(json);
    for (unsigned w = 0; w < engine->worker_count; w++) {
        size_t depth = 0;
        size_t capacity = 0;
        for (unsigned i = 0; i < engine->intake_count; i++) {
            depth += sw_ring_depth(&engine->intakes[i]->outlets[w].ring);
            capacity += sw_ring_capacity(&engine->intakes[i]->outlets[w].ring);
        }
        sw_json_object_begin(json);
        member_name(json, "readers to worker", w);
        member_u64(json, "depth", depth);
        member_u64(json, "capacity", capacity);
        sw_json_object_end(json);
        sw_json_object_begin(json);
        member_name(json, "merger from worker", w);
        member_u64(json, "depth", sw_ring_depth(&engine->workers[w].output));
        member_u64(json, "capacity", sw_ring_capacity(&engine->workers[w].output));
        sw_json_object_end(json);
    }
    sw_json_object_begin(json);
    member_name(json, "server from merger", 0);
    member_u64(json, "depth", sw_ring_depth(&serve->view.feed));
    member_u64(json, "capacity", sw_ring_capacity(&serve->view.feed));
    sw_json_object_end(json);
    sw_json_array_end(json);
}

static void stages_write(struct sw_serve *serve, struct sw_json *json) {
    sw_json_key(json, SW_STR("stages"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i < SW_STAGE_COUNT; i++) {
        sw_json_object_begin(json);
        sw_json_key(json, SW_STR("name"));
        sw_json_str(json, sw_str_from(stage_names[i]));
        member_f64(json, "p50_us", serve->stats.stage_p50_ns[i] ? (double)serve->stats.stage_p50_ns[i] / 1e3 : NAN);
        member_f64(json, "p99_us", serve->stats.stage_p99_ns[i] ? (double)serve->stats.stage_p99_ns[i] / 1e3 : NAN);
        member_f64(json, "share_percent", serve->stats.stage_share_percent[i]);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

/* Lag means something only for streams whose time is that of the clock. */
void sw_stats_write(struct sw_serve *serve, struct sw_json *json) {
    const struct sw_serve_stats *stats = &serve->stats;
    double p50_ms, p99_ms;
    double now_ms = (double)sw_clock_epoch_ns() / 1e6;
    latency_quantiles(serve, &p50_ms, &p99_ms);
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("type"));
    sw_json_str(json, SW_STR("stats"));
    member_f64(json, "now_ms", now_ms);
    member_u64(json, "events_total", stats->totals.rows);
    member_f64(json, "events_per_s", stats->rows_per_s);
    member_f64(json, "bytes_per_s", stats->bytes_per_s);
    member_f64(json, "watermark_ms", watermark_ms(serve));
    member_f64(json, "watermark_lag_ms", now_ms - watermark_ms(serve));
    member_u64(json, "late", stats->totals.late);
    member_u64(json, "malformed", stats->totals.rejected - stats->totals.rejected_by_kind[SW_REJECT_KEYS]);
    member_u64(json, "rejected", stats->totals.rejected);
    member_f64(json, "latency_p50_ms", p50_ms);
    member_f64(json, "latency_p99_ms", p99_ms);
    member_f64(json, "batches_per_s", stats->batches_per_s);
    member_u64(json, "windows_closed", stats->totals.windows);
    member_u64(json, "keys", stats->totals.groups);
    member_u64(json, "clients", serve->session_count);
    member_u64(json, "views_dropped", atomic_load_explicit(&serve->view.dropped, memory_order_relaxed));
    member_f64(json, "rss_bytes", rss_bytes());
    member_u64(json, "anomalies", stats->totals.anomalies);
    threads_write(serve, json);
    rings_write(serve, json);
    stages_write(serve, json);
    sw_json_object_end(json);
}

static enum sw_status metric(struct sw_buf *out, const char *name, const char *type, const char *help, double value) {
    return isnan(value)
               ? SW_OK
               : sw_buf_append_format(out, "# HELP sidewinder_%s %s\n# TYPE sidewinder_%s %s\nsidewinder_%s %.17g\n",
                                      name, help, name, type, name, value);
}

static enum sw_status rejected_metric(struct sw_buf *out, const struct sw_totals *totals) {
    enum sw_status status =
        sw_buf_append(out, SW_STR("# HELP sidewinder_rejected_rows_total Rows that were not taken, by reason.\n"
                                  "# TYPE sidewinder_rejected_rows_total counter\n"));
    for (unsigned i = 0; i < SW_REJECT_COUNT && status == SW_OK; i++)
        status =
            sw_buf_append_format(out, "sidewinder_rejected_rows_total{reason=\"%s\"} %llu\n",
                                 sw_reject_name((enum sw_reject)i), (unsigned long long)totals->rejected_by_kind[i]);
    return status;
}

enum sw_status sw_metrics_write(struct sw_serve *serve, struct sw_buf *out) {
    struct sw_totals totals;
    double p50_ms, p99_ms;
    sw_engine_totals(serve->engine, &totals);
    latency_quantiles(serve, &p50_ms, &p99_ms);
    const struct {
        const char *name, *type, *help;
        double value;
    } metrics[] = {
        {"rows_total", "counter", "Rows taken in.", (double)totals.rows},
        {"bytes_total", "counter", "Bytes read from the sources.", (double)totals.bytes},
        {"batches_total", "counter", "Batches handed to the workers.", (double)totals.batches},
        {"late_rows_total", "counter", "Rows that came after their window had closed.", (double)totals.late},
        {"windows_closed_total", "counter", "Windows closed.", (double)totals.windows},
        {"rows_out_total", "counter", "Result rows.", (double)totals.rows_out},
        {"anomalies_total", "counter", "Result values marked as anomalies.", (double)totals.anomalies},
        {"views_dropped_total", "counter", "Windows the dashboard's feed had no room for.",
         (double)atomic_load_explicit(&serve->view.dropped, memory_order_relaxed)},
        {"keys", "gauge", "Distinct keys known.", (double)totals.groups},
        {"clients", "gauge", "Live connections.", (double)serve->session_count},
        {"watermark_seconds", "gauge", "Event time up to which all windows are closed.", watermark_ms(serve) / 1e3},
        {"view_latency_p99_seconds", "gauge", "From the arrival of a row to its view, 99th percentile.", p99_ms / 1e3},
        {"resident_bytes", "gauge", "Memory of this process.", rss_bytes()},
        {"uptime_seconds", "gauge", "Since the engine started.",
         (double)(sw_clock_mono_ns() - serve->engine->started_mono_ns) / 1e9},
    };
    enum sw_status status = rejected_metric(out, &totals);
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0] && status == SW_OK; i++)
        status = metric(out, metrics[i].name, metrics[i].type, metrics[i].help, metrics[i].value);
    return status;
}

enum sw_status sw_stats_open(struct sw_serve *serve) {
    struct sw_serve_stats *stats = &serve->stats;
    stats->seen =
        sw_alloc_array_zero(serve->engine->source_count + serve->engine->worker_count + 3, sizeof *stats->seen);
    stats->latency = sw_alloc_array_zero(SW_LATENCY_PARTS, sizeof *stats->latency);
    stats->taken_mono_ns = sw_clock_mono_ns();
    return stats->seen && stats->latency ? SW_OK : SW_NOMEM;
}

void sw_stats_close(struct sw_serve *serve) {
    sw_free(serve->stats.seen);
    sw_free(serve->stats.latency);
}
