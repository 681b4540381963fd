/* deflate.c - Makes a finished raw deflate stream one that goes on; see deflate.h.
 *
 * The last block of a stream says so in its first bit, which lies anywhere: the blocks before it have to be walked, symbol
 * by symbol, though nothing is written. That takes about a twentieth of the time the compression took.
 */
#include "report/deflate.h"

#include <stdbool.h>
#include <stdint.h>

#define CODE_BITS_MAX 15
#define FAST_BITS 10
#define FAST_SIZE (1u << FAST_BITS)
#define SYMBOLS_MAX 288
#define LENGTHS_MAX 320 /* of both codes of a block */
#define END_OF_BLOCK 256

/* Bits in the order of the stream; reading past the end gives zeros and is noticed by `is_over`. */
struct bits {
    const uint8_t *bytes;
    size_t size, at; /* bytes; `at` is the next to load */
    uint64_t hold;
    unsigned count; /* bits in `hold` */
    bool is_over;
};

/* A prefix code: short words by table, long ones by their numbers (canonical order). */
struct code {
    uint16_t fast[FAST_SIZE]; /* symbol << 4 | length of the word; 0: longer than FAST_BITS, or none */
    uint16_t count[CODE_BITS_MAX + 1];
    uint16_t symbols[SYMBOLS_MAX];
};

struct walk {
    struct bits bits;
    struct code literals, distances;
};

static void bits_fill(struct bits *bits) {
    while (bits->count <= 56 && bits->at < bits->size) {
        bits->hold |= (uint64_t)bits->bytes[bits->at++] << bits->count;
        bits->count += 8;
    }
}

static uint32_t bits_take(struct bits *bits, unsigned count) {
    if (bits->count < count)
        bits_fill(bits);
    if (bits->count < count) {
        bits->is_over = true;
        return 0;
    }
    uint32_t value = (uint32_t)(bits->hold & ((UINT64_C(1) << count) - 1));
    bits->hold >>= count;
    bits->count -= count;
    return value;
}

static size_t bits_position(const struct bits *bits) {
    return bits->at * 8 - bits->count;
}

static uint32_t reversed(uint32_t word, unsigned length) {
    uint32_t result = 0;
    for (unsigned i = 0; i < length; i++)
        result |= (word >> i & 1) << (length - 1 - i);
    return result;
}

static bool code_make(struct code *code, const uint8_t *lengths, unsigned count) {
    uint32_t next[CODE_BITS_MAX + 2] = {0}, slot[CODE_BITS_MAX + 2] = {0};
    memset(code, 0, sizeof *code);
    for (unsigned i = 0; i < count; i++)
        code->count[lengths[i]]++;
    code->count[0] = 0;
    for (unsigned length = 1; length <= CODE_BITS_MAX; length++) {
        next[length + 1] = (next[length] + code->count[length]) << 1;
        slot[length + 1] = slot[length] + code->count[length];
        if (next[length] + code->count[length] > 1u << length)
            return false; /* more words than there can be */
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned length = lengths[i];
        if (length == 0)
            continue;
        code->symbols[slot[length]++] = (uint16_t)i;
        uint32_t word = reversed(next[length]++, length);
        for (; length <= FAST_BITS && word < FAST_SIZE; word += 1u << length)
            code->fast[word] = (uint16_t)(i << 4 | length);
    }
    return true;
}

/* The next symbol, or UINT32_MAX. */
static uint32_t code_read(const struct code *code, struct bits *bits) {
    if (bits->count < CODE_BITS_MAX)
        bits_fill(bits);
    uint32_t entry = code->fast[bits->hold & (FAST_SIZE - 1)];
    if (entry) {
        (void)bits_take(bits, entry & 15);
        return entry >> 4;
    }
    uint32_t word = 0, first = 0, index = 0;
    for (unsigned length = 1; length <= CODE_BITS_MAX && !bits->is_over; length++) {
        word |= bits_take(bits, 1);
        if (word - first < code->count[length])
            return code->symbols[index + word - first];
        index += code->count[length];
        first = (first + code->count[length]) << 1;
        word <<= 1;
    }
    return UINT32_MAX;
}

/* The lengths of `wanted` words, themselves coded by `code`. */
static bool lengths_read(struct walk *walk, const struct code *code, uint8_t *lengths, unsigned wanted) {
    unsigned count = 0;
    while (count < wanted) {
        uint32_t symbol = code_read(code, &walk->bits);
        unsigned times = 1;
        uint8_t length = (uint8_t)symbol;
        if (symbol > 18 || (symbol == 16 && count == 0) || walk->bits.is_over)
            return false;
        if (symbol == 16) {
            length = lengths[count - 1];
            times = 3 + bits_take(&walk->bits, 2);
        } else if (symbol > 16) {
            length = 0;
            times = symbol == 17 ? 3 + bits_take(&walk->bits, 3) : 11 + bits_take(&walk->bits, 7);
        }
        if (times > wanted - count)
            return false;
        memset(lengths + count, length, times);
        count += times;
    }
    return true;
}

static bool dynamic_codes(struct walk *walk) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[LENGTHS_MAX] = {0};
    unsigned literals = 257 + bits_take(&walk->bits, 5), distances = 1 + bits_take(&walk->bits, 5);
    unsigned known = 4 + bits_take(&walk->bits, 4);
    for (unsigned i = 0; i < known; i++)
        lengths[order[i]] = (uint8_t)bits_take(&walk->bits, 3);
    if (literals > SYMBOLS_MAX - 2 || !code_make(&walk->literals, lengths, 19))
        return false;
    if (!lengths_read(walk, &walk->literals, lengths, literals + distances))
        return false;
    return code_make(&walk->literals, lengths, literals) && code_make(&walk->distances, lengths + literals, distances);
}

static bool fixed_codes(struct walk *walk) {
    uint8_t lengths[LENGTHS_MAX];
    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    memset(lengths + SYMBOLS_MAX, 5, 30);
    return code_make(&walk->literals, lengths, SYMBOLS_MAX) && code_make(&walk->distances, lengths + SYMBOLS_MAX, 30);
}

static bool stored_skip(struct bits *bits) {
    (void)bits_take(bits, bits->count % 8);
    uint32_t length = bits_take(bits, 16);
    uint32_t check = bits_take(bits, 16);
    size_t at = bits_position(bits) / 8;
    if (bits->is_over || (length ^ check) != 0xffff || length > bits->size - at)
        return false;
    bits->at = at + length;
    bits->hold = bits->count = 0;
    return true;
}

static bool symbols_skip(struct walk *walk) {
    struct bits *bits = &walk->bits;
    while (!bits->is_over) {
        uint32_t symbol = code_read(&walk->literals, bits);
        if (symbol < END_OF_BLOCK)
            continue;
        if (symbol == END_OF_BLOCK)
            return !bits->is_over;
        if (symbol > 285)
            return false;
        if (symbol >= 265 && symbol < 285)
            (void)bits_take(bits, (symbol - 261) / 4);
        uint32_t distance = code_read(&walk->distances, bits);
        if (distance > 29)
            return false;
        if (distance >= 4)
            (void)bits_take(bits, distance / 2 - 1);
    }
    return false;
}

static bool block_skip(struct walk *walk, uint32_t kind) {
    switch (kind) {
    case 0:
        return stored_skip(&walk->bits);
    case 1:
        return fixed_codes(walk) && symbols_skip(walk);
    case 2:
        return dynamic_codes(walk) && symbols_skip(walk);
    default:
        return false;
    }
}

enum sw_status sw_deflate_reopen(struct sw_buf *stream, size_t first) {
    if (stream->len == first)
        return SW_MALFORMED;
    struct walk walk = {.bits = {.bytes = (const uint8_t *)stream->ptr + first, .size = stream->len - first}};
    size_t last_block;
    bool is_last;
    do { /* each block takes at least three bits of the stream */
        last_block = bits_position(&walk.bits);
        is_last = bits_take(&walk.bits, 1);
        if (!block_skip(&walk, bits_take(&walk.bits, 2)) || walk.bits.is_over)
            return SW_MALFORMED;
    } while (!is_last);
    size_t end = bits_position(&walk.bits);
    if ((end + 7) / 8 != walk.bits.size)
        return SW_MALFORMED;
    /* The three bits of the empty block's head are zeros, as is what pads them: those of the last byte, if enough. */
    static const char empty[] = {0, 0, 0, (char)0xff, (char)0xff};
    bool has_room = end % 8 != 0 && 8 - end % 8 >= 3;
    enum sw_status status = sw_buf_append(stream, sw_str_make(empty + has_room, sizeof empty - has_room));
    if (status)
        return status;
    char *byte = stream->ptr + first + last_block / 8;
    *byte = (char)(*byte & ~(1 << last_block % 8));
    return SW_OK;
}
