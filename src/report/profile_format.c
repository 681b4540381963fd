/* profile_format.c - The formats by name and by a path's ending, and the way to their writers and readers. */
#include "report/profile_format_impl.h"

#include "base/mem.h"

static const struct {
    const char *name;
    enum sw_profile_format format;
    bool has_tracks; /* threads are told apart by the format itself, so it wants no headings */
    enum sw_status (*write)(const struct sw_profile *profile, struct sw_buf *out);
} formats[] = {
    {"svg", SW_PROFILE_SVG, false, sw_profile_write_svg},
    {"html", SW_PROFILE_HTML, false, sw_profile_write_html},
    {"speedscope", SW_PROFILE_SPEEDSCOPE, true, sw_profile_write_speedscope},
    {"pprof", SW_PROFILE_PPROF, false, sw_profile_write_pprof},
    {"collapsed", SW_PROFILE_COLLAPSED, false, sw_profile_write_collapsed},
    {"chrome", SW_PROFILE_CHROME, true, sw_profile_write_chrome},
    {"json", SW_PROFILE_JSON, true, sw_profile_write_json},
};

#define FORMAT_COUNT (sizeof formats / sizeof formats[0])

/* The longer of two that fit stands first, and the one that a format is written with before its others. */
static const struct {
    const char *ending;
    enum sw_profile_format format;
} endings[] = {
    {".speedscope.json", SW_PROFILE_SPEEDSCOPE},
    {".speedscope", SW_PROFILE_SPEEDSCOPE},
    {".trace.json", SW_PROFILE_CHROME},
    {".chrome.json", SW_PROFILE_CHROME},
    {".json", SW_PROFILE_JSON},
    {".svg", SW_PROFILE_SVG},
    {".html", SW_PROFILE_HTML},
    {".pb.gz", SW_PROFILE_PPROF},
    {".pprof", SW_PROFILE_PPROF},
    {".collapsed", SW_PROFILE_COLLAPSED},
    {".folded", SW_PROFILE_COLLAPSED},
    {".txt", SW_PROFILE_COLLAPSED},
};

const char *sw_profile_format_ending(enum sw_profile_format format) {
    size_t i = 0;
    while (endings[i].format != format)
        i++;
    return endings[i].ending;
}

bool sw_profile_has_time(const struct sw_profile *profile) {
    for (size_t i = 0; i < profile->total_count; i++)
        if (profile->totals[i].weight_ns > 0)
            return true;
    return false;
}

uint32_t sw_profile_height(const struct sw_profile *profile) {
    uint32_t height = 0;
    for (size_t i = 0; i < profile->node_count; i++)
        height = profile->nodes[i].depth > height ? profile->nodes[i].depth : height;
    return height;
}

enum sw_status sw_profile_format_by_name(struct sw_str name, enum sw_profile_format *format, struct sw_error *err) {
    for (size_t i = 0; i < FORMAT_COUNT; i++)
        if (sw_str_eq(name, sw_str_from(formats[i].name))) {
            *format = formats[i].format;
            return SW_OK;
        }
    return sw_fail(err, SW_INVALID,
                   "unknown format '%.*s'; the formats are svg, html, speedscope, pprof, collapsed, chrome and json",
                   SW_STR_ARG(name));
}

enum sw_status sw_profile_format_by_path(struct sw_str path, enum sw_profile_format *format, struct sw_error *err) {
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (sw_str_ends(path, sw_str_from(endings[i].ending))) {
            *format = endings[i].format;
            return SW_OK;
        }
    return sw_fail(
        err, SW_INVALID,
        "the ending of '%.*s' names no format; end it with .svg, .html, .speedscope.json, .pb.gz, .collapsed, "
        ".trace.json or .json, or give --format",
        SW_STR_ARG(path));
}

bool sw_profile_format_needs_samples(enum sw_profile_format format) {
    return format == SW_PROFILE_CHROME;
}

enum sw_status sw_profile_write(const struct sw_profile *profile, enum sw_profile_format format,
                                const struct sw_profile_view *view, struct sw_buf *out) {
    size_t at = 0;
    while (at < FORMAT_COUNT && formats[at].format != format)
        at++;
    if (at == FORMAT_COUNT)
        return SW_INVALID;
    if (sw_profile_format_needs_samples(format) && profile->total_count > 0 && profile->sample_count == 0)
        return SW_INVALID;
    struct sw_profile shown = {.keeps_samples = profile->keeps_samples};
    struct sw_profile_view wanted = view ? *view : (struct sw_profile_view){0};
    wanted.by_thread = wanted.by_thread && !formats[at].has_tracks;
    size_t len = out->len;
    enum sw_status status = sw_profile_view_add(&shown, profile, &wanted, NULL);
    if (status == SW_OK)
        status = formats[at].write(&shown, out);
    if (status != SW_OK)
        out->len = len;
    sw_profile_release(&shown);
    return status;
}

enum sw_status sw_profile_read(struct sw_profile *profile, struct sw_str text, struct sw_error *err) {
    struct sw_profile made = {0};
    bool is_json = text.len > 0 && text.ptr[0] == '{';
    enum sw_status status =
        is_json ? sw_profile_read_json(&made, text, err) : sw_profile_read_collapsed(&made, text, err);
    if (status == SW_OK)
        *profile = made;
    else
        sw_profile_release(&made);
    return status;
}
