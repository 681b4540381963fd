/* test_http_corpus.c - The recorded requests: all invalid ones are refused, the valid ones accepted or excused.
 *
 * Skipped where the data is absent.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "guard_page.h"
#include "net/http_chunked.h"
#include "net/http_parser.h"

enum { HEADERS_MAX = 100 };

static struct sw_http_header headers[HEADERS_MAX];

enum corpus_outcome { CORPUS_OK = 200, CORPUS_INCOMPLETE = 0 };

/* Undoes the corpus's notation: newlines are layout, escapes are bytes. */
static void decode(const char *raw, size_t len, struct sw_buf *out) {
    static const char names[] = "rn0t";
    static const char bytes[] = "\r\n\0\t";
    for (size_t i = 0; i < len; i++) {
        char byte = raw[i];
        if (byte == '\n') {
            continue;
        }
        const char *name = byte == '\\' && i + 1 < len && raw[i + 1] ? strchr(names, raw[i + 1]) : NULL;
        if (name) {
            byte = bytes[name - names];
            i++;
        } else if (byte == '\\' && i + 3 < len && raw[i + 1] == 'x') {
            char hex[3] = {raw[i + 2], raw[i + 3], '\0'};
            byte = (char)strtol(hex, NULL, 16);
            i += 3;
        }
        assert_int_equal(sw_buf_append_byte(out, byte), SW_OK);
    }
}

/* Serves the bytes as a connection would: heads and bodies until they end or the connection does. */
static int serve(struct sw_str bytes, const struct sw_http_limits *limits, size_t header_cap) {
    struct sw_http_parser parser;
    bool is_open;
    sw_http_parser_init(&parser, headers, header_cap, limits);
    do {
        enum sw_status status = sw_http_parser_feed(&parser, bytes);
        if (status != SW_OK) {
            return status == SW_AGAIN ? CORPUS_INCOMPLETE : parser.http_status;
        }
        bytes = sw_str_skip(bytes, parser.head.size_bytes);
        if (parser.head.is_chunked) {
            struct sw_http_chunked chunked = {0};
            struct sw_str data;
            do {
                if (sw_http_chunked_feed(&chunked, &bytes, &data) != SW_OK) {
                    return chunked.http_status;
                }
            } while (data.len > 0);
            if (!chunked.is_done) {
                return CORPUS_INCOMPLETE;
            }
        } else if (parser.head.content_length > bytes.len) {
            return CORPUS_INCOMPLETE;
        } else {
            bytes = sw_str_skip(bytes, (size_t)parser.head.content_length);
        }
        is_open = parser.head.is_keep_alive;
        sw_http_parser_reset(&parser);
    } while (is_open && bytes.len > 0);
    return CORPUS_OK;
}

/* The folder of the corpus: below SIDEWINDER_DATA, else beside the repository. */
static void corpus_folder(const char *name, struct sw_buf *path) {
    const char *data = getenv("SIDEWINDER_DATA");
    const char *slash = strrchr(__FILE__, '/');
    int here = slash ? (int)(slash - __FILE__) : 0;
    sw_buf_clear(path);
    enum sw_status status =
        data ? sw_buf_append_format(path, "%s/http/%s/", data, name)
             : sw_buf_append_format(path, "%.*s/../../../shared/data/http/%s/", here, __FILE__, name);
    assert_int_equal(status, SW_OK);
}

static void read_case(const char *folder, const char *name, struct sw_buf *out) {
    static char raw[1 << 18];
    struct sw_buf path = {0};
    corpus_folder(folder, &path);
    assert_int_equal(sw_buf_append(&path, sw_str_from(name)), SW_OK);
    assert_int_equal(sw_buf_append_byte(&path, '\0'), SW_OK);
    FILE *file = fopen(path.ptr, "rb");
    assert_non_null(file);
    size_t len = fread(raw, 1, sizeof(raw), file);
    assert_true(len < sizeof(raw));
    fclose(file);
    sw_buf_release(&path);
    sw_buf_clear(out);
    decode(raw, len, out);
}

typedef void (*corpus_check)(const char *name, struct sw_buf *text);

static void each_case(const char *folder, size_t least, corpus_check check) {
    struct sw_buf path = {0};
    struct sw_buf text = {0};
    size_t count = 0;
    corpus_folder(folder, &path);
    assert_int_equal(sw_buf_append_byte(&path, '\0'), SW_OK);
    DIR *dir = opendir(path.ptr);
    sw_buf_release(&path);
    if (!dir) {
        skip();
    }
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            read_case(folder, entry->d_name, &text);
            check(entry->d_name, &text);
            count++;
        }
    }
    closedir(dir);
    sw_buf_release(&text);
    assert_true(count >= least);
}

/* How a valid case that is refused by default becomes acceptable. */
enum remedy { NONE, ADD_HOST, RAISE_LIMITS, NO_REMEDY_NEEDED };

struct exception {
    const char *file;
    int outcome;
    enum remedy remedy;
    const char *why;
};

#define NO_HOST(file) \
    { file, 400, ADD_HOST, "HTTP/1.1 without Host" }

static const struct exception valid_exceptions[] = {
    NO_HOST("004.http"),
    NO_HOST("006.http"),
    NO_HOST("007.http"),
    NO_HOST("010.http"),
    NO_HOST("011.http"),
    NO_HOST("012.http"),
    NO_HOST("013.http"),
    NO_HOST("018.http"),
    NO_HOST("021.http"),
    NO_HOST("022.http"),
    NO_HOST("023.http"),
    NO_HOST("100.http"),
    {"005.http", 400, NONE, "fragment in the target"},
    {"009.http", 400, NONE, "fragment in the target; Transfer-Encoding with Content-Length"},
    {"014.http", 400, NONE, "quotes in the target"},
    {"027.http", 400, NONE, "bytes above 0x7f in the target"},
    {"024.http", 414, RAISE_LIMITS, "request line above the default limit"},
    {"026.http", 431, RAISE_LIMITS, "header field above the default limit"},
    {"025.http", 400, NONE, "no Host; Transfer-Encoding other than chunked"},
    {"025_line.http", 400, NONE, "no Host; Transfer-Encoding other than chunked"},
    {"029.http", 400, NONE, "no Host; Transfer-Encoding other than chunked"},
    {"030.http", 400, NONE, "no Host; Transfer-Encoding other than chunked"},
    {"rfc9112_smuggle_gzip_chunked_01.http", 501, NONE, "Transfer-Encoding other than chunked"},
    {"rfc9112_smuggle_te_identity_chunked_01.http", 501, NONE, "Transfer-Encoding other than chunked"},
    {"028.http", 400, NONE, "white space before a colon"},
    {"031.http", 501, NONE, "odd method name"},
    {"031compat.http", 501, NONE, "odd method name"},
    {"031compat2.http", 501, NONE, "odd method name"},
    {"040.http", 400, NONE, "underscore in a header name"},
    {"040_compat.http", 400, NONE, "underscore in a header name"},
    {"099.http", CORPUS_INCOMPLETE, NONE, "the recording holds half of its body"},
    {"compat_obs_fold.http", 400, NONE, "obsolete line folding"},
    {"compat_obs_fold_huge.http", 400, NONE, "obsolete line folding"},
    {"pp_01.http", 400, NONE, "PROXY protocol"},
    {"pp_02.http", 400, NONE, "PROXY protocol"},
    {"pp_04.http", 400, NONE, "PROXY protocol"},
    {"pp_05.http", 400, NONE, "PROXY protocol"},
    {"rfc9112_target_absolute_userinfo_01.http", 400, NONE, "user information in the target"},
    {"rfc9112_target_authority_connect_01.http", 501, NONE, "CONNECT"},
    {"rfc9112_target_authority_ipv6_01.http", 501, NONE, "CONNECT"},
};

/* Gives every HTTP/1.1 request line a Host to follow it. */
static void add_host(struct sw_buf *text, struct sw_buf *out) {
    struct sw_str rest = sw_buf_view(text);
    struct sw_str mark = SW_STR(" HTTP/1.1\r\n");
    for (;;) {
        const char *found = memmem(rest.ptr, rest.len, mark.ptr, mark.len);
        size_t len = found ? (size_t)(found - rest.ptr) + mark.len : rest.len;
        assert_int_equal(sw_buf_append(out, sw_str_make(rest.ptr, len)), SW_OK);
        rest = sw_str_skip(rest, len);
        if (!found) {
            return;
        }
        assert_int_equal(sw_buf_append(out, SW_STR("Host: x\r\n")), SW_OK);
    }
}

static void check_valid(const char *name, struct sw_buf *text) {
    static const struct sw_http_limits raised = {.line_bytes = 16384, .field_bytes = 16384, .head_bytes = 32768};
    struct exception expected = {name, CORPUS_OK, NO_REMEDY_NEEDED, "accepted"};
    for (size_t i = 0; i < sizeof(valid_exceptions) / sizeof(valid_exceptions[0]); i++) {
        if (strcmp(valid_exceptions[i].file, name) == 0) {
            expected = valid_exceptions[i];
        }
    }
    print_message("valid/%s: %d, %s\n", name, expected.outcome, expected.why);
    assert_int_equal(serve(guard_place(sw_buf_view(text)), NULL, HEADERS_MAX), expected.outcome);
    if (expected.remedy == ADD_HOST) {
        struct sw_buf with_host = {0};
        add_host(text, &with_host);
        assert_int_equal(serve(guard_place(sw_buf_view(&with_host)), NULL, HEADERS_MAX), CORPUS_OK);
        sw_buf_release(&with_host);
    } else if (expected.remedy == RAISE_LIMITS) {
        assert_int_equal(serve(guard_place(sw_buf_view(text)), &raised, HEADERS_MAX), CORPUS_OK);
    }
}

static void test_corpus_valid(void **state) {
    each_case("valid", 60, check_valid);
}

struct restriction {
    const char *file;
    struct sw_http_limits limits;
    size_t header_cap;
};

/* The corpus runs these under lower limits. */
static const struct restriction restrictions[] = {
    {"006.http", {.line_bytes = 4094}, HEADERS_MAX},
    {"011.http", {0}, 2},
    {"012.http", {.field_bytes = 96}, HEADERS_MAX}, /* with its CRLF 98, as the corpus counts */
};

/* Refused as sent; and, unless the missing Host was all that a default server minds, with a Host too. */
static void check_invalid(const char *name, struct sw_buf *text) {
    static const char *const sound_but_for_host[] = {"006.http", "010.http", "019.http"};
    struct restriction with = {name, {0}, HEADERS_MAX};
    struct sw_buf with_host = {0};
    bool is_sound = false;
    for (size_t i = 0; i < sizeof(restrictions) / sizeof(restrictions[0]); i++) {
        if (strcmp(restrictions[i].file, name) == 0) {
            with = restrictions[i];
        }
    }
    for (size_t i = 0; i < sizeof(sound_but_for_host) / sizeof(sound_but_for_host[0]); i++) {
        is_sound = is_sound || strcmp(sound_but_for_host[i], name) == 0;
    }
    print_message("invalid/%s\n", name);
    assert_int_not_equal(serve(guard_place(sw_buf_view(text)), &with.limits, with.header_cap), CORPUS_OK);
    add_host(text, &with_host);
    if (!is_sound) {
        assert_int_not_equal(serve(guard_place(sw_buf_view(&with_host)), &with.limits, with.header_cap), CORPUS_OK);
    }
    sw_buf_release(&with_host);
}

static void test_corpus_invalid(void **state) {
    each_case("invalid", 70, check_invalid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus_valid),
        cmocka_unit_test(test_corpus_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
