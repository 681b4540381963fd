/* terminal_text.c - Characters and their cells; see terminal_text.h. */
#include "cli/terminal_text.h"

#include <stdint.h>

#define BROKEN UINT32_MAX
#define MARK_CELLS 2 /* of ".." */

struct range {
    uint32_t first, last;
};

/* Unicode 15: marks that combine, and what has no width. The common scripts; the rest is taken as one cell. */
static const struct range zero_wide[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
    {0x0670, 0x0670}, {0x06d6, 0x06dc}, {0x06df, 0x06e4}, {0x0900, 0x0902}, {0x093c, 0x093c},
    {0x0941, 0x0948}, {0x094d, 0x094d}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e},
    {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2064},
    {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xe0100, 0xe01ef},
};
/* East Asian wide and full width, and the pictures that terminals draw two cells wide. */
static const struct range two_wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},   {0x25fd, 0x25fe},
    {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26a1, 0x26a1},   {0x26bd, 0x26be},   {0x2705, 0x2705},
    {0x270a, 0x270b},   {0x2728, 0x2728},   {0x274c, 0x274c},   {0x2753, 0x2755},   {0x2795, 0x2797},
    {0x2b1b, 0x2b1c},   {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
    {0xa000, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
    {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f7e0, 0x1f7eb},
    {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

static bool is_in(const struct range *ranges, size_t count, uint32_t point) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (point > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && point >= ranges[low].first;
}

static size_t point_cells(uint32_t point) {
    if (point < 0x300)
        return 1;
    if (is_in(zero_wide, sizeof zero_wide / sizeof *zero_wide, point))
        return 0;
    return is_in(two_wide, sizeof two_wide / sizeof *two_wide, point) ? 2 : 1;
}

/* The first character and its bytes; BROKEN, one byte, where there is none. `text` is not empty. */
static uint32_t point_at(struct sw_str text, size_t *len) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text.ptr[0];
    size_t bytes = first < 0x80 ? 1 : first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
    uint32_t point = bytes == 1 ? first : bytes ? first & (0xffu >> (bytes + 1)) : BROKEN;
    *len = 1;
    if (first >= 0xf8 || bytes == 0 || bytes > text.len)
        return BROKEN;
    for (size_t i = 1; i < bytes; i++) {
        if (((unsigned char)text.ptr[i] & 0xc0) != 0x80)
            return BROKEN;
        point = point << 6 | ((unsigned char)text.ptr[i] & 0x3f);
    }
    if (point < least[bytes] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return BROKEN;
    *len = bytes;
    return point;
}

/* Directions (U+202A..E, U+2066..9) would turn the rest of the line around. */
static bool is_printable(uint32_t point, bool is_utf8) {
    if (point == BROKEN || point < 0x20 || (point >= 0x7f && point < 0xa0))
        return false;
    if ((point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069))
        return false;
    return point < 0x80 || is_utf8;
}

/* The longest beginning of at most `cells` cells. */
static struct sw_str head_of(struct sw_str text, size_t cells) {
    size_t used = 0, at = 0, len;
    while (at < text.len) {
        used += point_cells(point_at(sw_str_skip(text, at), &len));
        if (used > cells)
            break;
        at += len;
    }
    return sw_str_make(text.ptr, at);
}

/* The longest end of at most `cells` cells. */
static struct sw_str tail_of(struct sw_str text, size_t cells) {
    size_t left = sw_text_cells(text), len;
    while (text.len && left > cells) {
        left -= point_cells(point_at(text, &len));
        text = sw_str_skip(text, len);
    }
    return text;
}

static enum sw_status spaces_put(struct sw_buf *out, size_t count) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < count && status == SW_OK; i++)
        status = sw_buf_append_byte(out, ' ');
    return status;
}

/* Two parts with a mark between, either of which may be empty. */
static enum sw_status clipped_put(struct sw_buf *out, const struct sw_text_field *field, struct sw_str text) {
    size_t room = field->cells > MARK_CELLS ? field->cells - MARK_CELLS : 0;
    size_t ahead = field->clip == SW_TEXT_CLIP_END ? room : field->clip == SW_TEXT_CLIP_MIDDLE ? (room + 1) / 2 : 0;
    struct sw_str head = head_of(text, room ? ahead : field->cells);
    struct sw_str tail = room > ahead ? tail_of(text, room - ahead) : sw_str_make(text.ptr, 0);
    size_t used = sw_text_cells(head) + sw_text_cells(tail) + (room ? MARK_CELLS : 0);
    enum sw_status status = sw_buf_append(out, head);
    if (status == SW_OK && room)
        status = sw_buf_append(out, SW_STR(".."));
    if (status == SW_OK)
        status = sw_buf_append(out, tail);
    return status == SW_OK && used < field->cells ? spaces_put(out, field->cells - used) : status;
}

size_t sw_text_cells(struct sw_str text) {
    size_t cells = 0, len;
    for (; text.len; text = sw_str_skip(text, len))
        cells += point_cells(point_at(text, &len));
    return cells;
}

enum sw_status sw_text_clean(struct sw_buf *out, struct sw_str text, bool is_utf8) {
    enum sw_status status = SW_OK;
    size_t len;
    for (; text.len && status == SW_OK; text = sw_str_skip(text, len)) {
        uint32_t point = point_at(text, &len);
        status = is_printable(point, is_utf8) ? sw_buf_append(out, sw_str_make(text.ptr, len))
                                              : sw_buf_append_byte(out, '?');
    }
    return status;
}

enum sw_status sw_text_put(struct sw_buf *out, const struct sw_text_field *field, struct sw_str text) {
    struct sw_buf clean = {0};
    enum sw_status status = sw_text_clean(&clean, text, field->is_utf8);
    struct sw_str shown = sw_buf_view(&clean);
    size_t cells = sw_text_cells(shown);
    if (status == SW_OK && cells > field->cells) {
        status = clipped_put(out, field, shown);
    } else if (status == SW_OK) {
        size_t space = field->cells - cells;
        status = spaces_put(out, field->align == SW_TEXT_RIGHT ? space : 0);
        if (status == SW_OK)
            status = sw_buf_append(out, shown);
        if (status == SW_OK)
            status = spaces_put(out, field->align == SW_TEXT_RIGHT ? 0 : space);
    }
    sw_buf_release(&clean);
    return status;
}
