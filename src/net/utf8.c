/* utf8.c - A lead byte sets how many continuation bytes follow and the range of the first; ASCII goes by eights. */
#include "net/utf8.h"

#include <string.h>

static bool set_lead(struct sw_utf8 *utf8, unsigned char byte) {
    utf8->low = 0x80;
    utf8->high = 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf) {
        utf8->need = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        utf8->need = 2;
        utf8->low = byte == 0xe0 ? 0xa0 : 0x80;  /* below: overlong */
        utf8->high = byte == 0xed ? 0x9f : 0xbf; /* above: surrogates */
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        utf8->need = 3;
        utf8->low = byte == 0xf0 ? 0x90 : 0x80;  /* below: overlong */
        utf8->high = byte == 0xf4 ? 0x8f : 0xbf; /* above: beyond U+10FFFF */
    } else {
        return false;
    }
    return true;
}

static size_t ascii_len(const char *ptr, size_t len) {
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        uint64_t word;
        memcpy(&word, ptr + at, 8);
        if (word & UINT64_C(0x8080808080808080)) {
            break;
        }
    }
    while (at < len && (unsigned char)ptr[at] < 0x80) {
        at++;
    }
    return at;
}

bool sw_utf8_feed(struct sw_utf8 *utf8, struct sw_str text) {
    size_t at = 0;
    while (at < text.len) {
        if (utf8->need == 0) {
            at += ascii_len(text.ptr + at, text.len - at);
            if (at < text.len && !set_lead(utf8, (unsigned char)text.ptr[at++])) {
                return false;
            }
            continue;
        }
        unsigned char byte = (unsigned char)text.ptr[at++];
        if (byte < utf8->low || byte > utf8->high) {
            return false;
        }
        utf8->need--;
        utf8->low = 0x80;
        utf8->high = 0xbf;
    }
    return true;
}

bool sw_utf8_is_complete(const struct sw_utf8 *utf8) {
    return utf8->need == 0;
}

bool sw_utf8_is_valid(struct sw_str text) {
    struct sw_utf8 utf8 = {0};
    return sw_utf8_feed(&utf8, text) && sw_utf8_is_complete(&utf8);
}
