/* test_decode_jsonl.c - jsonl: values by name, shapes that change, what is not JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../engine/fake_intake.c"

static const struct fake_field ABC[] = {{"a", FAKE_NUM, SW_TIME_NONE},
                                        {"b", FAKE_TEXT, SW_TIME_NONE},
                                        {"c", FAKE_KEY, SW_TIME_NONE},
                                        {0}};
static const struct fake_field NESTED[] = {{"user.id", FAKE_NUM, SW_TIME_NONE},
                                           {"tags.1", FAKE_KEY, SW_TIME_NONE},
                                           {"deep.er.still", FAKE_TEXT, SW_TIME_NONE},
                                           {"items.0.price", FAKE_NUM, SW_TIME_NONE},
                                           {0}};
static const struct fake_field TIMED[] = {{"t", 0, SW_TIME_MS}, {"v", FAKE_NUM, SW_TIME_NONE}, {0}};
static const struct sw_decoder_options JSONL = {.format = SW_FORMAT_JSONL};

struct row {
    const char *name, *input, *log;
};

static const struct row CASES[] = {
    {"plain", "{\"a\":1,\"b\":\"x\",\"c\":\"k\"}\n{\"a\":2,\"b\":\"y\",\"c\":\"l\"}\n",
     " a=1 b\"x\" c'k'\n a=2 b\"y\" c'l'\n"},
    {"no newline, crlf, blank lines", "\r\n{\"a\":1}\r\n\n{\"a\":2}", " a=1 b~ c''\n a=2 b~ c''\n"},
    {"byte order mark", "\xef\xbb\xbf{\"a\":1}\n", " a=1 b~ c''\n"},
    {"blanks", " { \"a\" : 1 , \"b\" : \"x\" } \n { \"a\" : 2 , \"b\" : \"y\" } \n",
     " a=1 b\"x\" c''\n a=2 b\"y\" c''\n"},
    {"order changes", "{\"a\":1,\"c\":\"k\"}\n{\"c\":\"l\",\"a\":2}\n{\"a\":3,\"c\":\"m\"}\n",
     " a=1 b~ c'k'\n a=2 b~ c'l'\n a=3 b~ c'm'\n"},
    {"keys come and go", "{\"a\":1,\"b\":\"x\"}\n{\"a\":2}\n{\"b\":\"z\"}\n{}\n{\"a\":4,\"b\":\"w\",\"d\":0}\n",
     " a=1 b\"x\" c''\n a=2 b~ c''\n a=- b\"z\" c''\n a=- b~ c''\n a=4 b\"w\" c''\n"},
    {"numbers",
     "{\"a\":0}\n{\"a\":-1.5}\n{\"a\":1234567}\n{\"a\":12345678}\n{\"a\":123456789012}\n{\"a\":1e3}\n{\"a\":1.25E-2}\n{\"a\":-0}\n",
     " a=0 b~ c''\n a=-1.5 b~ c''\n a=1234567 b~ c''\n a=12345678 b~ c''\n a=123456789012 b~ c''\n a=1000 b~ c''\n a=0.012500000000000001 b~ c''\n a=-0 b~ c''\n"},
    {"kinds",
     "{\"a\":\"12\",\"b\":1.50,\"c\":7}\n{\"a\":true,\"b\":false,\"c\":true}\n{\"a\":null,\"b\":null,\"c\":null}\n{\"a\":false,\"b\":\"\",\"c\":\"\"}\n",
     " a=12 b\"1.50\" c'7'\n a=1 b\"false\" c'true'\n a=- b~ c''\n a=0 b~ c''\n"},
    {"nested values of a plain name are missing", "{\"a\":[1,{\"a\":2}],\"b\":{\"b\":\"x\"},\"c\":\"k\"}\n",
     " a=- b~ c'k'\n"},
    {"escapes", "{\"a\":1,\"b\":\"x\\n\\u0041\\\"\\\\\\/\\ud83d\\ude00\",\"\\u0063\":\"k\\t\"}\n",
     " a=1 b\"x\nA\"\\/\xf0\x9f\x98\x80\" c'k\t'\n"},
    {"utf-8", "{\"b\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}\n",
     " a=- b\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" c''\n"},
    {"the last of equal keys counts", "{\"a\":1,\"a\":2}\n{\"a\":3,\"a\":4}\n", " a=2 b~ c''\n a=4 b~ c''\n"},
    {"not a number", "{\"a\":\"x\"}\n{\"a\":1}\n{\"a\":\"\"}\n{\"a\":1e999}\n",
     "! number 1 column a is not a number | {\"a\":\"x\"}\n a=1 b~ c''\n a=- b~ c''\n! number 4 column a is not a number | {\"a\":1e999}\n"},
    {"not objects", "1\n[1]\n\"a\"\nnull\n{\"a\":1}\n",
     "! syntax 1 line is not a JSON object | 1\n! syntax 2 line is not a JSON object | [1]\n! syntax 3 line is not a JSON object | \"a\"\n"
     "! syntax 4 line is not a JSON object | null\n a=1 b~ c''\n"},
    {"cut off", "{\"a\":1\n{\"a\":1}\n{\"a\":\n{\"a\n{\"a\":1}}\n{\"a\":1}\n",
     "! syntax 1 text ends in the middle | {\"a\":1\n a=1 b~ c''\n! syntax 3 text ends in the middle | {\"a\":\n"
     "! syntax 4 string is not closed | {\"a\n! syntax 5 text behind the value | {\"a\":1}}\n a=1 b~ c''\n"},
    {"not JSON",
     "{\"a\":01}\n{\"a\":1.}\n{\"a\":.5}\n{\"a\":+1}\n{a:1}\n{\"a\":1,}\n{\"a\":1 \"b\":2}\n{\"a\":True}\n{\"a\":nul}\n{\"a\":0x1}\n{\"a\":1}\n",
     "! syntax 1 not a JSON value | {\"a\":01}\n! syntax 2 not a JSON value | {\"a\":1.}\n! syntax 3 not a JSON value | {\"a\":.5}\n"
     "! syntax 4 not a JSON value | {\"a\":+1}\n! syntax 5 expected a key | {a:1}\n! syntax 6 expected a key | {\"a\":1,}\n"
     "! syntax 7 expected a comma | {\"a\":1 \"b\":2}\n! syntax 8 not a JSON value | {\"a\":True}\n! syntax 9 not a JSON value | {\"a\":nul}\n"
     "! syntax 10 expected a comma | {\"a\":0x1}\n a=1 b~ c''\n"},
    {"bad text",
     "{\"b\":\"\xff\"}\n{\"b\":\"\xc0\xaf\"}\n{\"b\":\"\xed\xa0\x80\"}\n{\"b\":\"\\x\"}\n{\"b\":\"\\ud800\"}\n{\"b\":\"\\udc00\"}\n{\"b\":\"\\u12g4\"}\n{\"b\":\"\t\"}\n{\"x\":\"\xe2\x82\"}\n",
     "! text 1 string is not valid UTF-8 | {\"b\":\"\xff\"}\n! text 2 string is not valid UTF-8 | {\"b\":\"\xc0\xaf\"}\n"
     "! text 3 string is not valid UTF-8 | {\"b\":\"\xed\xa0\x80\"}\n! text 4 bad escape in a string | {\"b\":\"\\x\"}\n"
     "! text 5 bad escape in a string | {\"b\":\"\\ud800\"}\n! text 6 bad escape in a string | {\"b\":\"\\udc00\"}\n"
     "! text 7 bad escape in a string | {\"b\":\"\\u12g4\"}\n! text 8 control character in a string | {\"b\":\"\t\"}\n"
     "! text 9 string is not valid UTF-8 | {\"x\":\"\xe2\x82\"}\n"},
};

static const struct row NESTED_CASES[] = {
    {"by path",
     "{\"user\":{\"id\":5,\"name\":\"n\"},\"tags\":[\"x\",\"y\"],\"deep\":{\"er\":{\"still\":\"s\"}},\"items\":[{\"price\":1.5},{\"price\":2}]}\n"
     "{\"user\":{\"id\":6,\"name\":\"m\"},\"tags\":[\"z\",\"w\"],\"deep\":{\"er\":{\"still\":\"t\"}},\"items\":[{\"price\":2.5},{\"price\":2}]}\n",
     " user.id=5 tags.1'y' deep.er.still\"s\" items.0.price=1.5\n user.id=6 tags.1'w' deep.er.still\"t\" items.0.price=2.5\n"},
    {"arrays of other lengths", "{\"tags\":[1,2]}\n{\"tags\":[1]}\n{\"tags\":[[9,8],7,6]}\n{\"tags\":[]}\n",
     " user.id=- tags.1'2' deep.er.still~ items.0.price=-\n user.id=- tags.1'' deep.er.still~ items.0.price=-\n"
     " user.id=- tags.1'7' deep.er.still~ items.0.price=-\n user.id=- tags.1'' deep.er.still~ items.0.price=-\n"},
    {"a key with a dot", "{\"user.id\":7}\n", " user.id=7 tags.1'' deep.er.still~ items.0.price=-\n"},
};

static const struct row TIMED_CASES[] = {
    {"units", "{\"t\":14400688,\"v\":1}\n{\"t\":14400689,\"v\":2}\n{\"t\":\"1.5\",\"v\":3}\n{\"t\":1.7e12,\"v\":4}\n",
     "t=14400688000000 v=1\nt=14400689000000 v=2\nt=1500000 v=3\nt=1700000000000000000 v=4\n"},
    {"missing", "{\"v\":1}\n{\"t\":null,\"v\":1}\n{\"t\":\"x\",\"v\":1}\n{\"t\":true}\n",
     "! time 1 time column t is missing | {\"v\":1}\n! time 2 time column t is empty | {\"t\":null,\"v\":1}\n"
     "! time 3 time column t cannot be read in its unit | {\"t\":\"x\",\"v\":1}\n! time 4 time column t cannot be read in its unit | {\"t\":true}\n"},
};

static void check(const struct fake_field *fields, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!fake_matches(fields, &JSONL, sw_str_from(rows[i].input), rows[i].log))
            fail_msg("case \"%s\"", rows[i].name);
}

static void test_cases(void **state) {
    (void)state;
    check(ABC, CASES, sizeof CASES / sizeof *CASES);
    check(NESTED, NESTED_CASES, sizeof NESTED_CASES / sizeof *NESTED_CASES);
    check(TIMED, TIMED_CASES, sizeof TIMED_CASES / sizeof *TIMED_CASES);
}

/* After rows of one shape, near misses of it must be judged as if they came first. */
static void test_near_misses(void **state) {
    (void)state;
    static const char good[] = "{\"a\":1,\"b\":\"x\",\"c\":\"k\"}";
    struct sw_intake *alone = fake_intake_new(ABC), *behind = fake_intake_new(ABC);
    const struct fake_run run = {.options = &JSONL};
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char input[3 * sizeof good];
            memcpy(input, good, sizeof good);
            input[sizeof good - 1] = '\n';
            memcpy(input + sizeof good, good, sizeof good - 1);
            input[sizeof good + at] = (char)byte;
            input[2 * sizeof good - 1] = '\n';
            fake_intake_clear(alone);
            fake_intake_clear(behind);
            assert_int_equal(fake_decode(alone, &run, sw_str_make(input + sizeof good, sizeof good), NULL), SW_OK);
            assert_int_equal(fake_decode(behind, &run, sw_str_make(input, 2 * sizeof good), NULL), SW_OK);
            struct sw_str expected = fake_intake_log(alone), got = fake_intake_log(behind);
            got = sw_str_skip(got, sw_str_find(got, '\n') + 1);
            if (byte == '\n' || expected.ptr[0] == '!') /* line numbers differ */
                assert_true(got.ptr[0] == expected.ptr[0] || byte == '\n');
            else
                assert_true(sw_str_eq(got, expected));
        }
    }
    fake_intake_free(alone);
    fake_intake_free(behind);
}

static void repeat(struct sw_buf *out, const char *text, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_int_equal(sw_buf_append(out, sw_str_from(text)), SW_OK);
}

static void test_limits(void **state) {
    (void)state;
    struct sw_buf input = {0};
    repeat(&input, "{\"a\":", 1);
    repeat(&input, "[", 63);
    repeat(&input, "]", 63);
    repeat(&input, "}\n{\"a\":", 1);
    repeat(&input, "[", 64);
    repeat(&input, "]", 64);
    repeat(&input, "}\n{\"x\":\"", 1);
    repeat(&input, "0123456789abcdef", SW_LINE_MAX / 16);
    repeat(&input, "\",\"a\":1}\n{\"a\":2", 1);
    for (int i = 0; i < 100; i++) /* more values than a shape holds */
        assert_int_equal(sw_buf_append_format(&input, ",\"k%d\":%d", i, i), SW_OK);
    repeat(&input, "}\n", 1);
    struct sw_intake *intake = fake_intake_new(ABC);
    const size_t pieces[] = {0, 1000, 65536};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const struct fake_run run = {.options = &JSONL, .piece = pieces[i]};
        fake_intake_clear(intake);
        assert_int_equal(fake_decode(intake, &run, sw_buf_view(&input), NULL), SW_OK);
        struct sw_str log = fake_intake_log(intake);
        assert_true(sw_str_starts(log, SW_STR(" a=- b~ c''\n! syntax 2 nested too deep | {\"a\":[[[")));
        log = sw_str_skip(log, sw_str_find(log, '\n') + 1);
        log = sw_str_skip(log, sw_str_find(log, '\n') + 1);
        assert_true(sw_str_starts(log, SW_STR("! length 3 line is longer than 1 MiB | {\"x\":\"0123")));
        assert_true(sw_str_ends(log, SW_STR("\n a=2 b~ c''\n")));
    }
    fake_intake_free(intake);
    sw_buf_release(&input);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(
        fake_survives_no_memory(ABC, &JSONL, SW_STR("{\"a\":1,\"b\":\"x\\n\"}\n{\"c\":[{\"d\":1}],\"b\":\"y\"}\n")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_near_misses),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
