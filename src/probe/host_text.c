/* host_text.c - Reading the kernel's text files and scanning their lines. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/host_impl.h"

#define FIRST_READ_BYTES 16384
#define MAX_TEXT_BYTES (8u << 20) /* /proc/stat of 4096 cores stays under 1 MiB */
#define MAX_CHUNKS 4096

int sw_host_open_at(int dir_fd, const char *path) {
    return openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

ptrdiff_t sw_host_read_small(int fd, char *out, size_t cap) {
    ssize_t got;
    do {
        got = pread(fd, out, cap, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* A file of many records comes a page at a time, so a short read does not mean the end; only 0 does. */
struct sw_str sw_host_read_text(int fd, struct sw_buf *text) {
    sw_buf_clear(text);
    if (fd < 0) {
        return (struct sw_str){NULL, 0};
    }
    for (int chunk = 0; chunk < MAX_CHUNKS && text->len < MAX_TEXT_BYTES; chunk++) {
        if (text->cap - text->len < FIRST_READ_BYTES / 2 && sw_buf_reserve(text, FIRST_READ_BYTES + text->len)) {
            return (struct sw_str){NULL, 0};
        }
        ssize_t got = pread(fd, text->ptr + text->len, text->cap - text->len, (off_t)text->len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return (struct sw_str){NULL, 0};
        }
        if (got == 0) {
            break;
        }
        text->len += (size_t)got;
    }
    return sw_buf_view(text);
}

bool sw_host_next_line(struct sw_str *rest, struct sw_str *line) {
    const char *newline = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    if (!newline) {
        return false;
    }
    *line = sw_str_make(rest->ptr, (size_t)(newline - rest->ptr));
    *rest = sw_str_skip(*rest, line->len + 1);
    return true;
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

static void skip_blanks(struct sw_str *line) {
    while (line->len > 0 && is_blank(*line->ptr)) {
        line->ptr++;
        line->len--;
    }
}

struct sw_str sw_host_next_word(struct sw_str *line) {
    skip_blanks(line);
    struct sw_str word = {line->ptr, 0};
    while (line->len > 0 && !is_blank(*line->ptr)) {
        line->ptr++;
        line->len--;
        word.len++;
    }
    return word;
}

uint64_t sw_host_next_u64(struct sw_str *line, bool *is_ok) {
    skip_blanks(line);
    const char *start = line->ptr;
    uint64_t value = 0;
    while (line->len > 0 && *line->ptr >= '0' && *line->ptr <= '9') {
        uint64_t digit = (uint64_t)(*line->ptr - '0');
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, digit, &value)) {
            *is_ok = false;
            value = 0;
        }
        line->ptr++;
        line->len--;
    }
    if (line->ptr == start) {
        *is_ok = false;
    }
    return value;
}

double sw_host_next_number(struct sw_str *line) {
    bool is_ok = true;
    uint64_t value = sw_host_next_u64(line, &is_ok);
    return is_ok ? (double)value : (double)NAN;
}

void sw_host_copy_name(char out[SW_HOST_NAME_MAX], struct sw_str name) {
    size_t len = name.len < SW_HOST_NAME_MAX - 1 ? name.len : SW_HOST_NAME_MAX - 1;
    if (len > 0) {
        memcpy(out, name.ptr, len);
    }
    out[len] = '\0';
}

void sw_host_parse_keys(struct sw_str text, const struct sw_str *keys, size_t count, double *values) {
    for (size_t i = 0; i < count; i++) {
        values[i] = NAN;
    }
    struct sw_str line;
    size_t missing = count;
    while (missing > 0 && sw_host_next_line(&text, &line)) {
        struct sw_str key = sw_host_next_word(&line);
        if (key.len > 0 && key.ptr[key.len - 1] == ':') {
            key.len--;
        }
        for (size_t i = 0; i < count; i++) {
            if (isnan(values[i]) && key.len == keys[i].len && memcmp(key.ptr, keys[i].ptr, key.len) == 0) {
                values[i] = sw_host_next_number(&line);
                missing -= isnan(values[i]) ? 0 : 1;
                break;
            }
        }
    }
}

double sw_host_rate(double before, double now, double elapsed_s) {
    return elapsed_s > 0 && now >= before ? (now - before) / elapsed_s : (double)NAN;
}

double sw_host_elapsed_s(int64_t before_ns, int64_t now_ns) {
    return before_ns == 0 ? (double)NAN : (double)(now_ns - before_ns) / 1e9;
}

void *sw_host_grown(void *items, size_t needed, size_t *cap, size_t item_bytes) {
    if (needed <= *cap && items) {
        return items;
    }
    size_t wanted = *cap < 8 ? 8 : *cap;
    while (wanted < needed) {
        wanted *= 2;
    }
    void *grown = sw_realloc_array(items, wanted, item_bytes);
    if (grown) {
        *cap = wanted;
    }
    return grown;
}
