/* fuzz_decode.c - Decoding in two ways; see fuzz_decode.h. */
#include "fuzz_decode.h"

#include <stdlib.h>

#include "../engine/fake_intake.c"

bool fuzz_choose(const uint8_t *data, size_t size, struct fuzz_choice *choice, struct sw_str *text) {
    if (size < 6)
        return false;
    *text = sw_str_make((const char *)data + 6, size - 6);
    choice->kind = data[0];
    choice->piece = data[1];
    choice->cut = text->len ? (data[2] | (size_t)data[3] << 8) % text->len : 0;
    choice->rows_per_batch = data[4];
    choice->drop_every = data[5];
    return true;
}

struct sw_intake *fuzz_intake(const struct fake_field *fields, unsigned which) {
    static struct {
        const struct fake_field *fields;
        unsigned which;
        struct sw_intake *intake;
    } kept[8];
    size_t i = 0;
    while (kept[i].intake && (kept[i].fields != fields || kept[i].which != which))
        if (++i == sizeof kept / sizeof *kept)
            abort();
    if (!kept[i].intake) {
        kept[i].fields = fields;
        kept[i].which = which;
        kept[i].intake = fake_intake_new(fields);
    }
    fake_intake_clear(kept[i].intake);
    return kept[i].intake;
}

void fuzz_agree(const struct fake_field *fields, const struct fake_run *run, const struct fuzz_choice *choice,
                struct sw_str text) {
    struct sw_intake *whole = fuzz_intake(fields, 0), *parts = fuzz_intake(fields, 1);
    struct sw_error err = {0}, other_err = {0};
    const struct fake_run in_parts = {.options = run->options, .cut = choice->cut, .piece = choice->piece};
    fake_intake_disturb(parts, choice->rows_per_batch, choice->drop_every);
    enum sw_status status = fake_decode(whole, run, text, &err);
    if (fake_decode(parts, &in_parts, text, &other_err) != status)
        abort();
    struct sw_str a = fake_intake_log(whole), b = fake_intake_log(parts);
    if (!sw_str_eq(a, b) || !sw_str_eq(sw_str_from(err.text), sw_str_from(other_err.text))) {
        fprintf(stderr, "whole: %s\n%.*s\nin parts: %s\n%.*s\n", err.text, (int)a.len, a.ptr, other_err.text,
                (int)b.len, b.ptr);
        abort();
    }
}
