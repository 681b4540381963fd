/* fuzz_profile.c - Any bytes as a recording: what is accepted is written in any format and reads back the same. */
#include <stdlib.h>

#include "report/profile_diff.h"

#define WRITTEN_MAX ((size_t)1 << 14) /* stacks of a deep chain make collapsed lines of quadratic length */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One format of each kind a run, by the length of the input, for speed. */
static void write_some(const struct sw_profile *profile, size_t choice) {
    struct sw_buf out = {0};
    enum sw_profile_format format = (enum sw_profile_format)(choice % (SW_PROFILE_JSON + 1));
    struct sw_profile_view view = {choice & 1, choice & 2};
    bool has_what_it_needs = !sw_profile_format_needs_samples(format) || profile->sample_count || !profile->total_count;
    if (sw_profile_write(profile, format, &view, &out) != (has_what_it_needs ? SW_OK : SW_INVALID))
        abort();
    struct sw_profile_diff_options options = {.view = {.by_function = choice & 1}};
    options.format = (enum sw_profile_diff_format)(choice % (SW_PROFILE_DIFF_COLLAPSED + 1));
    sw_buf_clear(&out);
    if (sw_profile_diff_write(profile, profile, &options, &out) != SW_OK)
        abort();
    sw_buf_release(&out);
}

static void json_again(struct sw_str text, struct sw_buf *out) {
    struct sw_profile profile = {0};
    struct sw_error err;
    if (sw_profile_read(&profile, text, &err) != SW_OK ||
        sw_profile_write(&profile, SW_PROFILE_JSON, NULL, out) != SW_OK)
        abort();
    sw_profile_release(&profile);
}

/* The JSON form reads back as the same JSON, once names that are no UTF-8 have become what JSON can hold. */
static void json_thrice(const struct sw_profile *profile) {
    struct sw_buf once = {0}, twice = {0}, thrice = {0};
    if (sw_profile_write(profile, SW_PROFILE_JSON, NULL, &once) != SW_OK)
        abort();
    json_again(sw_buf_view(&once), &twice);
    json_again(sw_buf_view(&twice), &thrice);
    if (!sw_str_eq(sw_buf_view(&twice), sw_buf_view(&thrice)))
        abort();
    sw_buf_release(&once);
    sw_buf_release(&twice);
    sw_buf_release(&thrice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sw_profile profile = {0};
    struct sw_error err;
    if (sw_profile_read(&profile, sw_str_make((const char *)data, size), &err) != SW_OK) {
        if (profile.node_count || !err.text[0])
            abort();
        return 0;
    }
    if (size <= WRITTEN_MAX) {
        write_some(&profile, size);
        json_thrice(&profile);
    }
    sw_profile_release(&profile);
    return 0;
}
