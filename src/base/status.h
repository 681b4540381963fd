/* status.h - Every status the library returns, and the one-line error that explains it.
 *
 * Fallible functions return `enum sw_status`; results leave through out-parameters, written only on success. Functions
 * that meet the outside world take a last `struct sw_error *err` (may be NULL) and fail in one line that says what was
 * being done, to what, and why. The library never prints, exits or aborts.
 */
#ifndef SW_BASE_STATUS_H
#define SW_BASE_STATUS_H

#define SW_MUST_USE __attribute__((warn_unused_result))
#define SW_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

/* code, text */
#define SW_STATUS_LIST(X) \
    X(OK, "ok") \
    X(NOMEM, "out of memory") \
    X(INVALID, "invalid argument") \
    X(MALFORMED, "malformed input") \
    X(UNSUPPORTED, "not supported") \
    X(LIMIT, "limit reached") \
    X(NOTFOUND, "not found") \
    X(EXISTS, "already exists") \
    X(PERM, "permission denied") \
    X(IO, "input/output error") \
    X(AGAIN, "try again later") \
    X(TIMEOUT, "timed out") \
    X(CLOSED, "closed") \
    X(INTERRUPTED, "interrupted")

enum sw_status {
#define SW_STATUS_ENUMERATOR(code, text) SW_##code,
    SW_STATUS_LIST(SW_STATUS_ENUMERATOR)
#undef SW_STATUS_ENUMERATOR
};

struct sw_error {
    enum sw_status status;
    char text[320]; /* one line, NUL-terminated, truncated if longer */
};

const char *sw_status_text(enum sw_status status);

/* Fills `err` (if not NULL) and returns `status`, so that callers can `return sw_fail(...)`. */
enum sw_status sw_fail(struct sw_error *err, enum sw_status status, const char *format, ...) SW_PRINTF(3, 4);

/* The status that fits an errno value: ENOENT is SW_NOTFOUND, EACCES and EPERM SW_PERM, ... else SW_IO. */
enum sw_status sw_status_from_errno(int error_number);

/* As sw_fail, with ": " and the text of `error_number` appended and the status derived from it. */
enum sw_status sw_fail_errno(struct sw_error *err, int error_number, const char *format, ...) SW_PRINTF(3, 4);

#endif
