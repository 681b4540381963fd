/* fuzz_csv.c - Any bytes as csv: each level of instructions gives the rows of the careful way, however they are cut. */
#include <string.h>

#include "fuzz_decode.c"

static const struct fake_field FIELDS[] = {{"a", FAKE_NUM, SW_TIME_NONE},
                                           {"b", FAKE_TEXT | FAKE_HASH, SW_TIME_NONE},
                                           {"c", FAKE_KEY, SW_TIME_MS},
                                           {"d", FAKE_NUM | FAKE_HASH, SW_TIME_NONE},
                                           {0}};
static const struct fake_field ONE[] = {{"a", FAKE_NUM | FAKE_KEY, SW_TIME_NONE}, {0}};

/* Behind the input, so that the fast way sees all of it. */
static const char TAIL[] =
    "\n1,2,3,4,5\n1,2,3,4,5\n1,2,3,4,5\n1,2,3,4,5\n1,2,3,4,5\n1,2,3,4,5\n1,2,3,4,5\n1,2,3,4,5\n1,2,3,4,5\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct sw_str columns[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"x", 1}, {"d", 1}};
    struct fuzz_choice choice;
    struct sw_str text;
    if (!fuzz_choose(data, size, &choice, &text))
        return 0;
    bool is_one = choice.kind & 1, has_columns = choice.kind & 2;
    struct sw_decoder_options options = {.format = SW_FORMAT_CSV, .delimiter = choice.kind & 4 ? ';' : 0};
    if (has_columns) {
        options.columns = columns;
        options.column_count = is_one ? 1 : 5;
    }
    struct sw_buf input = {0};
    if (!has_columns && (choice.kind & 8) && sw_buf_append_format(&input, "a,b,c,x,d\n") != SW_OK)
        abort();
    if (sw_buf_append(&input, text) != SW_OK || sw_buf_append(&input, SW_STR(TAIL)) != SW_OK)
        abort();
    if (choice.piece == 0)
        choice.piece = 64; /* up to there the fast way has no part in it */
    for (int level = 0; level <= (int)sw_cpu_level(); level++) {
        const struct fake_run run = {.options = &options, .has_level = true, .level = (enum sw_cpu_level)level};
        fuzz_agree(is_one ? ONE : FIELDS, &run, &choice, sw_buf_view(&input));
    }
    sw_buf_release(&input);
    return 0;
}
