/* clock.c - Clocks in nanoseconds, and RFC 3339 by calendar arithmetic. */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#define SECONDS_PER_DAY 86400

static int64_t read_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * SW_NS_PER_S + now.tv_nsec;
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar. Years begin in March, so that the leap day is the last and
 * month lengths follow (153 * m + 2) / 5. For years above 0. */
static int64_t days_from_civil(unsigned year, unsigned month, unsigned day) {
    year -= month <= 2;
    unsigned month_from_march = (month + 9) % 12;
    unsigned day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return (int64_t)(365 * year + year / 4 - year / 100 + year / 400 + day_of_year) - 719468;
}

struct civil {
    unsigned year;
    unsigned month;
    unsigned day;
};

/* The inverse, for days after 0000-03-01. */
static struct civil civil_from_days(int64_t days_from_1970) {
    unsigned days = (unsigned)(days_from_1970 + 719468);
    unsigned era = days / 146097; /* 400 years */
    unsigned day_of_era = days % 146097;
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static unsigned days_in_month(unsigned year, unsigned month) {
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && is_leap ? 29 : days[month - 1];
}

static inline bool is_digit(char byte) {
    return (unsigned char)(byte - '0') <= 9;
}

/* Two digits as a number, or more than 99 where they are none. */
static inline unsigned two_digits(const char *at) {
    unsigned tens = (unsigned char)(at[0] - '0');
    unsigned ones = (unsigned char)(at[1] - '0');
    return tens <= 9 && ones <= 9 ? tens * 10 + ones : 100;
}

/* "", "Z", "+hh:mm" or "+hhmm", and nothing behind. */
static bool read_offset(struct sw_str text, int64_t *offset_s) {
    *offset_s = 0;
    if (text.len == 0 || (text.len == 1 && (text.ptr[0] | 0x20) == 'z')) {
        return true;
    }
    size_t minutes_at = text.len == 6 && text.ptr[3] == ':' ? 4 : 3;
    if ((text.ptr[0] != '+' && text.ptr[0] != '-') || text.len != minutes_at + 2) {
        return false;
    }
    unsigned hours = two_digits(text.ptr + 1);
    unsigned minutes = two_digits(text.ptr + minutes_at);
    if (hours > 23 || minutes > 59) {
        return false;
    }
    *offset_s = (int64_t)(hours * 3600 + minutes * 60) * (text.ptr[0] == '-' ? -1 : 1);
    return true;
}

/* ".123" with any number of digits, those behind the ninth cut off; what is not a fraction leaves `text` as it is. */
static bool read_fraction(struct sw_str *text, int64_t *ns) {
    *ns = 0;
    if (text->len == 0 || (text->ptr[0] != '.' && text->ptr[0] != ',')) {
        return true;
    }
    size_t at = 1;
    int64_t unit = SW_NS_PER_S;
    for (; at < text->len && is_digit(text->ptr[at]); at++) {
        unit /= 10;
        *ns += (text->ptr[at] - '0') * unit;
    }
    *text = sw_str_skip(*text, at);
    return at > 1;
}

static char *put_two(char *out, unsigned value) {
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
    return out + 2;
}

static char *put_three(char *out, unsigned value) {
    out[0] = (char)('0' + value / 100);
    return put_two(out + 1, value % 100);
}

int64_t sw_clock_mono_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t sw_clock_epoch_ns(void) {
    return read_clock(CLOCK_REALTIME);
}

int64_t sw_clock_thread_cpu_ns(void) {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void sw_clock_sleep_ns(int64_t duration_ns) {
    if (duration_ns > 0) {
        struct timespec duration = {
            .tv_sec = (time_t)(duration_ns / SW_NS_PER_S),
            .tv_nsec = (long)(duration_ns % SW_NS_PER_S),
        };
        nanosleep(&duration, NULL);
    }
}

enum sw_status sw_clock_parse_rfc3339(struct sw_str text, int64_t *epoch_ns) {
    const char *at = text.ptr;
    if (text.len < 19 || at[4] != '-' || at[7] != '-' || at[13] != ':' || at[16] != ':' ||
        (at[10] != 'T' && at[10] != 't' && at[10] != ' ')) {
        return SW_MALFORMED;
    }
    unsigned century = two_digits(at);
    unsigned year = century * 100 + two_digits(at + 2);
    unsigned month = two_digits(at + 5);
    unsigned day = two_digits(at + 8);
    unsigned hour = two_digits(at + 11);
    unsigned minute = two_digits(at + 14);
    unsigned second = two_digits(at + 17);
    /* Second 60 is a leap second; it counts as the first of the next minute. */
    if (century > 99 || two_digits(at + 2) > 99 || month - 1 > 11 || day - 1 >= days_in_month(year, month) ||
        hour > 23 || minute > 59 || second > 60) {
        return SW_MALFORMED;
    }
    struct sw_str rest = sw_str_skip(text, 19);
    int64_t ns;
    int64_t offset_s;
    if (!read_fraction(&rest, &ns) || !read_offset(rest, &offset_s)) {
        return SW_MALFORMED;
    }
    if (year < 1678 || year > 2261) {
        return SW_LIMIT;
    }
    int64_t seconds =
        days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset_s;
    *epoch_ns = seconds * SW_NS_PER_S + ns;
    return SW_OK;
}

size_t sw_clock_format_rfc3339(int64_t epoch_ns, char out[40]) {
    int64_t seconds = epoch_ns / SW_NS_PER_S;
    int64_t ns = epoch_ns % SW_NS_PER_S;
    if (ns < 0) {
        ns += SW_NS_PER_S;
        seconds--;
    }
    int64_t days = seconds / SECONDS_PER_DAY;
    int64_t second_of_day = seconds % SECONDS_PER_DAY;
    if (second_of_day < 0) {
        second_of_day += SECONDS_PER_DAY;
        days--;
    }
    struct civil date = civil_from_days(days);
    unsigned time = (unsigned)second_of_day;
    unsigned fraction = (unsigned)ns;

    char *at = put_two(out, date.year / 100);
    at = put_two(at, date.year % 100);
    *at++ = '-';
    at = put_two(at, date.month);
    *at++ = '-';
    at = put_two(at, date.day);
    *at++ = 'T';
    at = put_two(at, time / 3600);
    *at++ = ':';
    at = put_two(at, time / 60 % 60);
    *at++ = ':';
    at = put_two(at, time % 60);
    if (fraction) {
        *at++ = '.';
        at = put_three(at, fraction / 1000000);
        if (fraction % 1000000) {
            at = put_three(at, fraction / 1000 % 1000);
        }
        if (fraction % 1000) {
            at = put_three(at, fraction % 1000);
        }
    }
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - out);
}
