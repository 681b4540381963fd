/* fuzz_influx.c - Any bytes as Influx line protocol: the same rows however they are cut. */
#include "fuzz_decode.c"

static const struct fake_field FIELDS[] = {{"measurement", FAKE_KEY, SW_TIME_NONE},
                                           {"a", FAKE_NUM, SW_TIME_NONE},
                                           {"b", FAKE_TEXT | FAKE_HASH, SW_TIME_NONE},
                                           {"time", FAKE_NUM, SW_TIME_NONE},
                                           {0}};
static const struct fake_field TIMED[] = {{"t", FAKE_TEXT, SW_TIME_RFC3339}, {"a", FAKE_KEY, SW_TIME_NONE}, {0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct sw_decoder_options options = {.format = SW_FORMAT_INFLUX};
    static const struct fake_run run = {.options = &options};
    struct fuzz_choice choice;
    struct sw_str text;
    if (fuzz_choose(data, size, &choice, &text))
        fuzz_agree(choice.kind & 1 ? TIMED : FIELDS, &run, &choice, text);
    return 0;
}
