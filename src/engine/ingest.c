/* ingest.c - POST /ingest/NAME: rows in an HTTP body. Decoded on the server's thread as the body arrives.
 *
 * The answer says how many rows were accepted and how many rejected. While the workers are behind, a body is refused whole with 429, so
 * that a client can send the same again; nothing is taken in part.
 */
#include "base/clock.h"
#include "engine/serve_impl.h"

#define BODY_BYTES_MAX (16u << 20)

static uint64_t rejected_count(const struct sw_intake *intake) {
    uint64_t count = 0;
    for (unsigned i = 0; i < SW_REJECT_COUNT; i++)
        count += atomic_load_explicit(&intake->counters.rejected[i], memory_order_relaxed);
    return count;
}

static uint64_t accepted_count(const struct sw_intake *intake) {
    return atomic_load_explicit(&intake->counters.rows, memory_order_relaxed) + intake->batch->rows;
}

static uint64_t late_count(const struct sw_intake *intake) {
    return atomic_load_explicit(&intake->counters.late, memory_order_relaxed);
}

/* Decodes a whole body: its own header line, if the format has one. */
static enum sw_status body_decode(struct sw_source *source, struct sw_str body, struct sw_error *err) {
    struct sw_intake *intake = source->intakes[0];
    struct sw_decoder *decoder = NULL;
    int64_t begin_ns = sw_clock_thread_cpu_ns();
    sw_intake_arrive(intake, body.len);
    enum sw_status status = sw_decoder_new(&decoder, &source->spec->decoder, intake, err);
    if (status == SW_OK)
        status = sw_decoder_feed(decoder, body, err);
    if (status == SW_OK)
        status = sw_decoder_finish(decoder, err);
    sw_decoder_free(decoder);
    sw_intake_flush(intake);
    sw_stage_add(&source->decode, sw_clock_thread_cpu_ns() - begin_ns);
    return status;
}

static void body_answer(struct sw_source *source, struct sw_http_ref ref, struct sw_str body) {
    struct sw_intake *intake = source->intakes[0];
    struct sw_error err = {0};
    if (intake->is_ended) {
        sw_serve_reply(ref, 503, "application/json",
                       SW_STR("{\"accepted\":0,\"rejected\":0,\"error\":\"the job is ending\"}\n"));
        return;
    }
    if (!sw_intake_has_room(intake)) {
        static const struct sw_http_header retry = {{"Retry-After", 11}, {"1", 1}};
        struct sw_http_response busy = {
            .status = 429,
            .content_type = SW_STR("application/json"),
            .headers = &retry,
            .header_count = 1,
            .body = SW_STR("{\"accepted\":0,\"rejected\":0,\"error\":\"the engine is behind, send it again\"}\n")};
        if (sw_http_respond(ref, &busy) != SW_OK)
            sw_http_abort(ref);
        return;
    }
    uint64_t accepted = accepted_count(intake);
    uint64_t rejected = rejected_count(intake);
    uint64_t late = late_count(intake);
    enum sw_status status = body_decode(source, body, &err);
    accepted = accepted_count(intake) - accepted;
    rejected = rejected_count(intake) - rejected;
    late = late_count(intake) - late;
    struct sw_buf out = {0};
    struct sw_json json;
    sw_json_init(&json, &out);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("accepted"));
    sw_json_u64(&json, accepted);
    sw_json_key(&json, SW_STR("rejected"));
    sw_json_u64(&json, rejected);
    sw_json_key(&json, SW_STR("late"));
    sw_json_u64(&json, late);
    if (status != SW_OK) {
        sw_json_key(&json, SW_STR("error"));
        sw_json_str(&json, sw_str_from(err.text));
    }
    sw_json_object_end(&json);
    unsigned code = status == SW_OK ? 202 : status == SW_NOMEM ? 503 : 400;
    if (sw_json_status(&json) == SW_OK)
        sw_serve_reply(ref, code, "application/json", sw_buf_view(&out));
    else
        sw_serve_reply(ref, 503, NULL, SW_STR("out of memory\n"));
    sw_buf_release(&out);
}

static void on_end(void *context, struct sw_http_ref ref, enum sw_status status, struct sw_str body) {
    if (status == SW_OK)
        body_answer(context, ref, body);
}

void sw_ingest_call(struct sw_serve *serve, const struct sw_http_call *call, struct sw_str name) {
    struct sw_source *source = sw_engine_ingest(serve->engine, name);
    struct sw_http_body body = {.bytes_max = BODY_BYTES_MAX, .on_end = on_end, .context = source};
    if (!source)
        sw_serve_reply(call->ref, 404, NULL,
                       SW_STR("no such stream takes rows here; start with --source ingest://NAME\n"));
    else if (call->head->method != SW_HTTP_POST)
        sw_serve_reply(call->ref, 405, NULL, SW_STR("rows come by POST\n"));
    else if (sw_http_read_body(call->ref, &body) != SW_OK)
        sw_http_abort(call->ref);
}

void sw_ingest_tick(struct sw_serve *serve) {
    for (unsigned i = 0; i < serve->engine->source_count; i++) {
        const struct sw_source *source = &serve->engine->sources[i];
        if (source->kind == SW_SOURCE_INGEST && !source->intakes[0]->is_ended)
            sw_intake_tick(source->intakes[0]);
    }
}
