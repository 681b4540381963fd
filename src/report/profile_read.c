/* profile_read.c - Reads a profile in the project's own JSON form, strictly; docs/profile-json.md. */
#include "base/json_read.h"
#include "base/mem.h"
#include "base/num.h"
#include "report/profile_format_impl.h"
#include "report/profile_impl.h"

#define FIELDS_MAX 4u /* numbers in a row of nodes, totals or samples */

/* Numbers of the file to numbers of the profile, where equal frames and tracks are one. */
struct places {
    uint32_t *at;
    size_t count, cap;
};

struct scan {
    struct sw_profile *profile;
    struct sw_json_reader reader;
    struct sw_json_token token;
    const char *start;
    const char *section; /* for messages */
    struct sw_buf scratch;
    struct places frames, nodes, tracks;
    bool has_format;
    struct sw_error *err;
};

typedef enum sw_status (*item_fn)(struct scan *scan);

static enum sw_status scan_fail(struct scan *scan, const char *reason) {
    return sw_fail(scan->err, SW_MALFORMED, "the profile is damaged at byte %zu (%s): %s",
                   (size_t)(scan->reader.ptr - scan->start), scan->section, reason);
}

static enum sw_status scan_nomem(struct scan *scan) {
    return sw_fail(scan->err, SW_NOMEM, "cannot read the profile (%s): out of memory", scan->section);
}

static enum sw_status next(struct scan *scan) {
    enum sw_status status = sw_json_read(&scan->reader, &scan->token);
    return status == SW_OK ? SW_OK : scan_fail(scan, scan->reader.reason);
}

static enum sw_status next_is(struct scan *scan, enum sw_json_kind kind, const char *reason) {
    enum sw_status status = next(scan);
    return status != SW_OK || scan->token.kind == kind ? status : scan_fail(scan, reason);
}

static bool key_is(const struct scan *scan, const char *name) {
    return sw_str_eq(scan->token.text, sw_str_from(name));
}

static enum sw_status value_skip(struct scan *scan) {
    enum sw_status status = next(scan);
    if (status == SW_OK && sw_json_skip(&scan->reader, &scan->token) != SW_OK)
        status = scan_fail(scan, scan->reader.reason);
    return status;
}

static enum sw_status text_read(struct scan *scan, struct sw_str *text) {
    enum sw_status status = next_is(scan, SW_JSON_STRING, "a string is wanted here");
    if (status != SW_OK)
        return status;
    struct sw_str plain = scan->token.text;
    if (scan->token.has_escape) {
        sw_buf_clear(&scan->scratch);
        if (sw_json_unescape(plain, &scan->scratch) != SW_OK)
            return scan_nomem(scan);
        plain = sw_buf_view(&scan->scratch);
    }
    /* A copy, since the next string overwrites the scratch. */
    struct sw_str copy = sw_arena_copy(&scan->profile->text, plain);
    if (!copy.ptr)
        return scan_nomem(scan);
    *text = copy;
    return SW_OK;
}

static enum sw_status number_here(struct scan *scan, int64_t *value) {
    if (scan->token.kind != SW_JSON_NUMBER || sw_str_to_i64(scan->token.text, value) != SW_OK)
        return scan_fail(scan, "an integer of 64 bits is wanted here");
    return SW_OK;
}

static enum sw_status number_read(struct scan *scan, int64_t *value) {
    enum sw_status status = next(scan);
    return status == SW_OK ? number_here(scan, value) : status;
}

static enum sw_status small_read(struct scan *scan, int32_t *value) {
    int64_t wide;
    enum sw_status status = number_read(scan, &wide);
    if (status == SW_OK && (wide < INT32_MIN || wide > INT32_MAX))
        status = scan_fail(scan, "an integer of 32 bits is wanted here");
    if (status == SW_OK)
        *value = (int32_t)wide;
    return status;
}

static enum sw_status count_read(struct scan *scan, uint64_t *value) {
    int64_t wide;
    enum sw_status status = number_read(scan, &wide);
    if (status == SW_OK && wide < 0)
        status = scan_fail(scan, "a count is negative");
    if (status == SW_OK)
        *value = (uint64_t)wide;
    return status;
}

/* "[1,2,3]" into `row`, whose `*count` fields are set; at most FIELDS_MAX. The opening bracket has been read. */
static enum sw_status row_read(struct scan *scan, int64_t row[FIELDS_MAX], unsigned *count) {
    if (scan->token.kind != SW_JSON_ARRAY)
        return scan_fail(scan, "an array of integers is wanted here");
    unsigned fields = 0;
    enum sw_status status = next(scan);
    while (status == SW_OK && scan->token.kind != SW_JSON_ARRAY_END) {
        if (fields == FIELDS_MAX)
            return scan_fail(scan, "a row has too many fields");
        status = number_here(scan, &row[fields++]);
        if (status == SW_OK)
            status = next(scan);
    }
    *count = fields;
    return status;
}

static enum sw_status place_add(struct scan *scan, struct places *places, uint32_t place) {
    if (places->count == places->cap) {
        size_t cap = places->cap ? places->cap * 2 : 64;
        uint32_t *grown = sw_realloc_array(places->at, cap, sizeof *grown);
        if (!grown)
            return scan_nomem(scan);
        places->at = grown;
        places->cap = cap;
    }
    places->at[places->count++] = place;
    return SW_OK;
}

static enum sw_status place_find(struct scan *scan, const struct places *places, int64_t number, uint32_t *place) {
    if (number < 0 || (uint64_t)number >= places->count)
        return scan_fail(scan, "a number refers to nothing that came before it");
    *place = places->at[number];
    return SW_OK;
}

static enum sw_status about_read(struct scan *scan) {
    struct sw_profile_about *about = &scan->profile->about;
    enum sw_status status = next_is(scan, SW_JSON_OBJECT, "an object is wanted here");
    if (status == SW_OK)
        status = next(scan);
    while (status == SW_OK && scan->token.kind == SW_JSON_KEY) {
        if (key_is(scan, "start_epoch_ns"))
            status = number_read(scan, &about->start_epoch_ns);
        else if (key_is(scan, "duration_ns"))
            status = number_read(scan, &about->duration_ns);
        else if (key_is(scan, "exact"))
            status = count_read(scan, &about->exact);
        else if (key_is(scan, "partial"))
            status = count_read(scan, &about->partial);
        else if (key_is(scan, "failed"))
            status = count_read(scan, &about->failed);
        else if (key_is(scan, "what"))
            status = text_read(scan, &about->what);
        else if (key_is(scan, "command"))
            status = text_read(scan, &about->command);
        else if (key_is(scan, "reason"))
            status = text_read(scan, &about->reason);
        else if (key_is(scan, "rate_hz")) {
            status = next_is(scan, SW_JSON_NUMBER, "a number is wanted here");
            if (status == SW_OK)
                sw_num_parse_f64(scan->token.text.ptr, scan->token.text.ptr + scan->token.text.len, &about->rate_hz);
        } else
            status = value_skip(scan);
        if (status == SW_OK)
            status = next(scan);
    }
    if (status == SW_OK && (about->duration_ns < 0 || about->start_epoch_ns < 0))
        status = scan_fail(scan, "a time is negative");
    return status;
}

static enum sw_status kind_read(struct scan *scan, enum sw_profile_frame_kind *kind) {
    static const char *const kinds[] = {"python", "native", "mark"};
    enum sw_status status = next_is(scan, SW_JSON_STRING, "a string is wanted here");
    for (unsigned i = 0; i < 3 && status == SW_OK; i++)
        if (key_is(scan, kinds[i])) {
            *kind = (enum sw_profile_frame_kind)i;
            return SW_OK;
        }
    return status == SW_OK ? scan_fail(scan, "the kind of a frame is python, native or mark") : status;
}

static enum sw_status frame_read(struct scan *scan) {
    struct sw_profile_frame frame = {.kind = SW_PROFILE_PYTHON};
    enum sw_status status = scan->token.kind == SW_JSON_OBJECT ? next(scan) : scan_fail(scan, "a frame is an object");
    while (status == SW_OK && scan->token.kind == SW_JSON_KEY) {
        if (key_is(scan, "name"))
            status = text_read(scan, &frame.name);
        else if (key_is(scan, "file"))
            status = text_read(scan, &frame.file);
        else if (key_is(scan, "line"))
            status = small_read(scan, &frame.line);
        else if (key_is(scan, "kind"))
            status = kind_read(scan, &frame.kind);
        else
            status = value_skip(scan);
        if (status == SW_OK)
            status = next(scan);
    }
    uint32_t place;
    if (status == SW_OK && sw_profile_add_frame(scan->profile, &frame, &place) != SW_OK)
        status = scan_nomem(scan);
    return status == SW_OK ? place_add(scan, &scan->frames, place) : status;
}

static enum sw_status node_read(struct scan *scan) {
    int64_t row[FIELDS_MAX] = {0};
    unsigned count;
    uint32_t parent = 0, frame = 0, place;
    enum sw_status status = row_read(scan, row, &count);
    if (status == SW_OK && count != 2)
        status = scan_fail(scan, "a node is [parent, frame]");
    if (status == SW_OK && scan->nodes.count == 0)
        status = place_add(scan, &scan->nodes, SW_PROFILE_ROOT);
    if (status == SW_OK)
        status = place_find(scan, &scan->nodes, row[0], &parent);
    if (status == SW_OK)
        status = place_find(scan, &scan->frames, row[1], &frame);
    if (status == SW_OK && sw_profile_add_node(scan->profile, parent, frame, &place) != SW_OK)
        status = scan_nomem(scan);
    return status == SW_OK ? place_add(scan, &scan->nodes, place) : status;
}

static enum sw_status track_read(struct scan *scan) {
    struct sw_profile_track track = {0};
    enum sw_status status = scan->token.kind == SW_JSON_OBJECT ? next(scan) : scan_fail(scan, "a track is an object");
    while (status == SW_OK && scan->token.kind == SW_JSON_KEY) {
        if (key_is(scan, "pid"))
            status = small_read(scan, &track.pid);
        else if (key_is(scan, "tid"))
            status = small_read(scan, &track.tid);
        else if (key_is(scan, "process"))
            status = text_read(scan, &track.process);
        else if (key_is(scan, "thread"))
            status = text_read(scan, &track.thread);
        else
            status = value_skip(scan);
        if (status == SW_OK)
            status = next(scan);
    }
    uint32_t place;
    if (status == SW_OK && sw_profile_add_track(scan->profile, &track, &place) != SW_OK)
        status = scan_nomem(scan);
    return status == SW_OK ? place_add(scan, &scan->tracks, place) : status;
}

static enum sw_status stack_find(struct scan *scan, int64_t number, uint32_t *node) {
    *node = SW_PROFILE_ROOT;
    return number == 0 ? SW_OK : place_find(scan, &scan->nodes, number, node);
}

static enum sw_status total_read(struct scan *scan) {
    int64_t row[FIELDS_MAX] = {0};
    unsigned count;
    struct sw_profile_total total = {0};
    enum sw_status status = row_read(scan, row, &count);
    if (status == SW_OK && (count < 3 || row[2] < 0 || row[3] < 0))
        status = scan_fail(scan, "a total is [track, node, count, weight_ns], none negative");
    if (status == SW_OK)
        status = place_find(scan, &scan->tracks, row[0], &total.track);
    if (status == SW_OK)
        status = stack_find(scan, row[1], &total.node);
    total.count = (uint64_t)row[2];
    total.weight_ns = row[3];
    if (status == SW_OK && sw_profile_add_total(scan->profile, &total) != SW_OK)
        status = scan_nomem(scan);
    return status;
}

/* The totals hold the sums of the samples already. */
static enum sw_status sample_read(struct scan *scan) {
    int64_t row[FIELDS_MAX];
    unsigned count;
    struct sw_profile *profile = scan->profile;
    struct sw_profile_sample sample = {0};
    enum sw_status status = row_read(scan, row, &count);
    if (status == SW_OK && (count != 4 || row[0] < 0 || row[1] < 0))
        status = scan_fail(scan, "a sample is [epoch_ns, weight_ns, track, node]");
    if (status == SW_OK && profile->sample_count && row[0] < profile->samples[profile->sample_count - 1].epoch_ns)
        status = scan_fail(scan, "the samples are not in order of time");
    if (status == SW_OK)
        status = place_find(scan, &scan->tracks, row[2], &sample.track);
    if (status == SW_OK)
        status = stack_find(scan, row[3], &sample.node);
    if (status == SW_OK && sw_profile_reserve(profile, 0, 1) != SW_OK)
        status = scan_nomem(scan);
    if (status == SW_OK) {
        sample.epoch_ns = row[0];
        sample.weight_ns = row[1];
        profile->samples[profile->sample_count++] = sample;
        profile->keeps_samples = true;
    }
    return status;
}

static enum sw_status items_read(struct scan *scan, item_fn item) {
    enum sw_status status = next_is(scan, SW_JSON_ARRAY, "an array is wanted here");
    if (status == SW_OK)
        status = next(scan);
    while (status == SW_OK && scan->token.kind != SW_JSON_ARRAY_END) {
        status = item(scan);
        if (status == SW_OK)
            status = next(scan);
    }
    return status;
}

static enum sw_status version_read(struct scan *scan) {
    int64_t version;
    enum sw_status status = number_read(scan, &version);
    if (status == SW_OK && version != 1)
        status =
            sw_fail(scan->err, SW_UNSUPPORTED,
                    "the profile has version %lld of its form, this program reads version 1; use a newer sidewinder",
                    (long long)version);
    return status;
}

static enum sw_status format_read(struct scan *scan) {
    enum sw_status status = next_is(scan, SW_JSON_STRING, "a string is wanted here");
    if (status == SW_OK && !key_is(scan, "sidewinder-profile"))
        status = scan_fail(scan, "this JSON file is of another format than sidewinder's own (record --format json)");
    scan->has_format = status == SW_OK;
    return status;
}

static enum sw_status section_read(struct scan *scan) {
    static const struct {
        const char *name;
        item_fn item;
    } sections[] = {{"frames", frame_read},
                    {"nodes", node_read},
                    {"tracks", track_read},
                    {"totals", total_read},
                    {"samples", sample_read}};
    if (key_is(scan, "format"))
        return format_read(scan);
    if (!scan->has_format)
        return scan_fail(scan,
                         "it does not begin with \"format\":\"sidewinder-profile\", as record --format json writes");
    if (key_is(scan, "version"))
        return version_read(scan);
    if (key_is(scan, "about")) {
        scan->section = "about";
        return about_read(scan);
    }
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if (key_is(scan, sections[i].name)) {
            scan->section = sections[i].name;
            return items_read(scan, sections[i].item);
        }
    return value_skip(scan);
}

enum sw_status sw_profile_read_json(struct sw_profile *profile, struct sw_str text, struct sw_error *err) {
    struct scan scan = {.profile = profile, .start = text.ptr, .section = "heading", .err = err};
    sw_json_reader_init(&scan.reader, text);
    enum sw_status status = next_is(&scan, SW_JSON_OBJECT, "an object is wanted here");
    if (status == SW_OK)
        status = next(&scan);
    while (status == SW_OK && scan.token.kind == SW_JSON_KEY) {
        status = section_read(&scan);
        if (status == SW_OK)
            status = next(&scan);
    }
    if (status == SW_OK)
        status = next_is(&scan, SW_JSON_END, "something follows the profile");
    if (status == SW_OK && !scan.has_format)
        status = scan_fail(&scan, "it is not a profile of sidewinder");
    sw_buf_release(&scan.scratch);
    sw_free(scan.frames.at);
    sw_free(scan.nodes.at);
    sw_free(scan.tracks.at);
    return status;
}
