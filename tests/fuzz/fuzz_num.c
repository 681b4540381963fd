/* fuzz_num.c - Whatever the bytes, numbers and times are read as the C library reads them, and read back as written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int is_right) {
    if (!is_right) {
        abort();
    }
}

/* The longest prefix that strtod may see: it also knows signs, spaces, hexadecimal and names, which are none here. */
static void check_double(const char *text, size_t len) {
    double value = 4711;
    const char *after = sw_num_parse_f64(text, text + len, &value);
    if (!after) {
        check(value == 4711);
        return;
    }
    size_t used = (size_t)(after - text);
    check(used > 0 && used <= len);
    char *copy = malloc(used + 1);
    check(copy != NULL);
    memcpy(copy, text, used);
    copy[used] = '\0';
    char *end;
    double expected = strtod(copy, &end);
    check(end == copy + used && memcmp(&value, &expected, sizeof(value)) == 0);
    free(copy);
}

static void check_format(double value) {
    char out[SW_NUM_F64_MAX];
    size_t len = sw_num_format_f64(value, out);
    double back;
    check(len <= sizeof(out));
    if (isfinite(value)) {
        check(sw_num_parse_f64(out, out + len, &back) == out + len && memcmp(&back, &value, sizeof(value)) == 0);
    } else {
        check(len == 4 && memcmp(out, "null", 4) == 0);
    }
}

static void check_time(struct sw_str text) {
    int64_t epoch_ns;
    int64_t back;
    char out[40];
    if (sw_clock_parse_rfc3339(text, &epoch_ns) == SW_OK) {
        size_t len = sw_clock_format_rfc3339(epoch_ns, out);
        /* An offset may lead a day beyond the years that can be read. */
        enum sw_status status = sw_clock_parse_rfc3339(sw_str_make(out, len), &back);
        check(status == SW_LIMIT || (status == SW_OK && back == epoch_ns));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    int64_t integer;
    check_double(text, size);
    check_time(sw_str_make(text, size));
    const char *after = sw_num_parse_i64(text, text + size, &integer);
    check(!after || (after > text && after <= text + size));
    if (size >= sizeof(double)) {
        double value;
        memcpy(&value, data, sizeof(value));
        check_format(value);
    }
    return 0;
}
