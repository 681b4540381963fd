/* fuzz_statsd.c - Any bytes as StatsD lines: the same rows however they are cut. */
#include "fuzz_decode.c"

static const struct fake_field FIELDS[] = {{"metric", FAKE_KEY, SW_TIME_NONE},
                                           {"value", FAKE_NUM | FAKE_TEXT, SW_TIME_NONE},
                                           {"type", FAKE_HASH, SW_TIME_NONE},
                                           {"rate", FAKE_NUM, SW_TIME_NONE},
                                           {"a", FAKE_NUM, SW_TIME_NONE},
                                           {"time", FAKE_TEXT, SW_TIME_NONE},
                                           {0}};
static const struct fake_field TIMED[] = {{"t", FAKE_TEXT, SW_TIME_S}, {"value", FAKE_NUM, SW_TIME_NONE}, {0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct sw_decoder_options options = {.format = SW_FORMAT_STATSD};
    static const struct fake_run run = {.options = &options};
    struct fuzz_choice choice;
    struct sw_str text;
    if (fuzz_choose(data, size, &choice, &text))
        fuzz_agree(choice.kind & 1 ? TIMED : FIELDS, &run, &choice, text);
    return 0;
}
