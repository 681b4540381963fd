/* fuzz_jsonl.c - Any bytes as jsonl: the same rows however they are cut, each line the same as if it stood alone. */
#include <string.h>

#include "fuzz_decode.c"

static const struct fake_field FIELDS[] = {{"a", FAKE_NUM, SW_TIME_NONE},
                                           {"b", FAKE_TEXT | FAKE_HASH, SW_TIME_NONE},
                                           {"c.d", FAKE_KEY, SW_TIME_NONE},
                                           {"e.0", FAKE_NUM | FAKE_TEXT, SW_TIME_NONE},
                                           {0}};
static const struct fake_field TIMED[] = {{"a", FAKE_NUM, SW_TIME_US}, {"b", FAKE_KEY, SW_TIME_NONE}, {0}};

static void lines_alone(struct sw_intake *intake, const struct fake_run *run, struct sw_str text) {
    while (text.ptr) {
        struct sw_str line = sw_str_cut(&text, '\n');
        if (fake_decode(intake, run, line, NULL) != SW_OK)
            abort();
    }
}

static bool has_bom(struct sw_str text) {
    return memmem(text.ptr, text.len, "\xef\xbb\xbf", 3) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct sw_decoder_options options = {.format = SW_FORMAT_JSONL};
    static const struct fake_run run = {.options = &options};
    struct fuzz_choice choice;
    struct sw_str text;
    if (!fuzz_choose(data, size, &choice, &text))
        return 0;
    const struct fake_field *fields = choice.kind & 1 ? TIMED : FIELDS;
    fuzz_agree(fields, &run, &choice, text);
    if (has_bom(text))
        return 0; /* means something at the start of a stream only */
    struct sw_intake *together = fuzz_intake(fields, 2), *alone = fuzz_intake(fields, 3);
    fake_intake_hide_lines(together);
    fake_intake_hide_lines(alone);
    if (fake_decode(together, &run, text, NULL) != SW_OK)
        abort();
    lines_alone(alone, &run, text);
    if (!sw_str_eq(fake_intake_log(together), fake_intake_log(alone)))
        abort();
    return 0;
}
