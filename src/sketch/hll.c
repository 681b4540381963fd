/* hll.c - HyperLogLog in three stages: digests in the struct, a digest table, registers. */
#include "sketch/hll.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { STAGE_FEW, STAGE_TABLE, STAGE_DENSE };

enum {
    INDEX_BITS = 14,
    REGISTERS = 1 << INDEX_BITS,
    RANK_MAX = 64 - INDEX_BITS + 1,
    GROUP = 8,                      /* digests in the struct, and in one group of the table */
    DIGEST_BITS = 17,               /* of the hash behind the index */
    DIGEST_FLAG = 1 << DIGEST_BITS, /* those bits are all zero: the digest holds the rank and 11 low bits instead */
    RANK_SHIFT = 11,
    TABLE_LOG2_MIN = 5,
    TABLE_LOG2_MAX = 12, /* 4,096 digests take the 16 KiB that the registers take */
    DIGESTS_MAX = 3072,  /* three quarters of that: the set of digests alone decides between table and registers */
    HEADER_BYTES = 4,
    FORMAT_VERSION = 1,
    PACKED_BYTES = REGISTERS * 6 / 8,
};

/* Never 0, which marks a free slot. */
static inline uint32_t digest_of(uint64_t hash) {
    uint32_t index = (uint32_t)(hash >> (64 - INDEX_BITS));
    uint32_t bits = (uint32_t)(hash >> (64 - INDEX_BITS - DIGEST_BITS)) & (DIGEST_FLAG - 1);
    if (__builtin_expect(bits != 0, 1)) {
        return index << (DIGEST_BITS + 1) | bits;
    }
    uint64_t rest = hash << INDEX_BITS | UINT64_C(1) << (INDEX_BITS - 1);
    uint32_t rank = (uint32_t)__builtin_clzll(rest) + 1;
    return index << (DIGEST_BITS + 1) | DIGEST_FLAG | rank << RANK_SHIFT | (uint32_t)(hash & ((1 << RANK_SHIFT) - 1));
}

static inline uint8_t digest_rank(uint32_t digest) {
    if (digest & DIGEST_FLAG) {
        return (uint8_t)(digest >> RANK_SHIFT & 63);
    }
    return (uint8_t)(__builtin_clz(digest & (DIGEST_FLAG - 1)) - (32 - DIGEST_BITS) + 1);
}

static inline bool digest_is_valid(uint32_t digest) {
    if (!(digest & DIGEST_FLAG)) {
        return (digest & (DIGEST_FLAG - 1)) != 0;
    }
    return digest_rank(digest) > DIGEST_BITS && digest_rank(digest) <= RANK_MAX;
}

static inline void register_raise(uint8_t *registers, uint32_t index, uint8_t rank) {
    if (registers[index] < rank) {
        registers[index] = rank;
    }
}

static inline void registers_add_digest(uint8_t *registers, uint32_t digest) {
    register_raise(registers, digest >> (DIGEST_BITS + 1), digest_rank(digest));
}

static inline size_t block_bytes(unsigned block_log2) {
    return sizeof(uint32_t) << block_log2;
}

typedef uint32_t four_digests __attribute__((vector_size(16)));

/* Looks at all 8 at once: one predictable branch, wherever the digest stands. */
static inline bool group_has(const uint32_t *group, uint32_t digest) {
    four_digests low, high;
    memcpy(&low, group, sizeof(low));
    memcpy(&high, group + 4, sizeof(high));
    four_digests equal = (four_digests)((low == digest) | (high == digest));
    uint64_t halves[2];
    memcpy(halves, &equal, sizeof(halves));
    return (halves[0] | halves[1]) != 0;
}

/* The table is a row of groups that fill from their first slot. A digest lives in the group of its upper bits or, where
 * that is full, in the next with room. The return is the group it is in, else the one to put it in. */
static inline uint32_t *table_group(uint32_t *table, unsigned table_log2, uint32_t digest, bool *has) {
    uint32_t mask = (1u << table_log2) - 1;
    uint32_t at = digest >> (32 - table_log2) & ~(uint32_t)(GROUP - 1);
    for (;; at = (at + GROUP) & mask) {
        *has = group_has(table + at, digest);
        if (*has || table[at + GROUP - 1] == 0) {
            return table + at;
        }
    }
}

static inline void group_put(uint32_t *group, uint32_t digest) {
    while (*group != 0) {
        group++;
    }
    *group = digest;
}

/* Inserts a digest that the table does not hold. */
static void table_put(uint32_t *table, unsigned table_log2, uint32_t digest) {
    bool has;
    group_put(table_group(table, table_log2, digest, &has), digest);
}

/* Copies the digests of a sketch that is not dense; returns how many. */
static size_t collect_digests(const struct sw_hll *hll, uint32_t digests[DIGESTS_MAX]) {
    if (hll->stage == STAGE_FEW) {
        memcpy(digests, hll->few, hll->count * sizeof(uint32_t));
        return hll->count;
    }
    const uint32_t *table = hll->block;
    size_t count = 0;
    for (size_t i = 0; i < (size_t)1 << hll->block_log2 && count < DIGESTS_MAX; i++) {
        if (table[i] != 0) {
            digests[count++] = table[i];
        }
    }
    return count;
}

/* Makes the block a digest table of at least 2^table_log2 slots. Inserting from a table in slot order into a smaller
 * one would pile up in its first part, so merges ask for the source's size here. */
static enum sw_status become_table(struct sw_hll *hll, unsigned table_log2) {
    if (hll->stage == STAGE_TABLE && hll->block_log2 >= table_log2) {
        return SW_OK;
    }
    uint32_t *table = hll->block;
    unsigned log2 = hll->block_log2;
    if (log2 < table_log2) {
        log2 = table_log2;
        table = sw_alloc_zero(block_bytes(log2));
        if (!table) {
            return SW_NOMEM;
        }
    }
    const uint32_t *old = hll->stage == STAGE_FEW ? hll->few : hll->block;
    size_t old_slots = hll->stage == STAGE_FEW ? hll->count : (size_t)1 << hll->block_log2;
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i] != 0) {
            table_put(table, log2, old[i]);
        }
    }
    if (table != hll->block) {
        sw_free(hll->block);
    }
    hll->block = table;
    hll->block_log2 = (uint8_t)log2;
    hll->stage = STAGE_TABLE;
    return SW_OK;
}

/* Goes through the stack, so that a full table becomes registers in the memory it has. */
static enum sw_status become_dense(struct sw_hll *hll) {
    uint32_t digests[DIGESTS_MAX];
    size_t count = collect_digests(hll, digests);
    if (hll->block_log2 == TABLE_LOG2_MAX) {
        memset(hll->block, 0, REGISTERS);
    } else {
        void *block = sw_alloc_zero(REGISTERS);
        if (!block) {
            return SW_NOMEM;
        }
        sw_free(hll->block);
        hll->block = block;
        hll->block_log2 = TABLE_LOG2_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        registers_add_digest(hll->block, digests[i]);
    }
    hll->stage = STAGE_DENSE;
    hll->count = 0;
    return SW_OK;
}

/* Inserts a digest that the table does not hold and has no room for. Rare: kept out of the way of the common path. */
static __attribute__((noinline)) enum sw_status add_to_full_table(struct sw_hll *hll, uint32_t digest) {
    if (hll->block_log2 == TABLE_LOG2_MAX) {
        enum sw_status status = become_dense(hll);
        if (status == SW_OK) {
            registers_add_digest(hll->block, digest);
        }
        return status;
    }
    enum sw_status status = become_table(hll, hll->block_log2 + 1u);
    if (status != SW_OK) {
        return status;
    }
    table_put(hll->block, hll->block_log2, digest);
    hll->count++;
    return SW_OK;
}

static inline enum sw_status add_to_table(struct sw_hll *hll, uint32_t digest) {
    bool has;
    uint32_t *group = table_group(hll->block, hll->block_log2, digest, &has);
    if (__builtin_expect(has, 1)) {
        return SW_OK;
    }
    if (hll->count >= (3u << hll->block_log2) / 4) {
        return add_to_full_table(hll, digest);
    }
    group_put(group, digest);
    hll->count++;
    return SW_OK;
}

static __attribute__((noinline)) enum sw_status add_to_full_few(struct sw_hll *hll, uint32_t digest) {
    enum sw_status status = become_table(hll, TABLE_LOG2_MIN);
    return status == SW_OK ? add_to_table(hll, digest) : status;
}

/* Whether a digest is new cannot be predicted, so room for one is used or left 0 without a branch. Two words are
 * compared one by one: what was just stored as a word is at hand for a load of that word, a wider one waits for it. */
static inline enum sw_status add_to_few(struct sw_hll *hll, uint32_t digest) {
    if (__builtin_expect(hll->count <= 2, 1)) {
        bool has = (hll->few[0] == digest) | (hll->few[1] == digest);
        hll->few[hll->count] = has ? 0 : digest;
        hll->count += !has;
        return SW_OK;
    }
    bool has = group_has(hll->few, digest);
    if (__builtin_expect(hll->count < GROUP, 1)) {
        hll->few[hll->count] = has ? 0 : digest;
        hll->count += !has;
        return SW_OK;
    }
    return has ? SW_OK : add_to_full_few(hll, digest);
}

static inline enum sw_status add_digest(struct sw_hll *hll, uint32_t digest) {
    if (hll->stage == STAGE_FEW) {
        return add_to_few(hll, digest);
    }
    if (hll->stage == STAGE_TABLE) {
        return add_to_table(hll, digest);
    }
    registers_add_digest(hll->block, digest);
    return SW_OK;
}

static inline void add_dense(uint8_t *registers, uint64_t hash) {
    uint64_t rest = hash << INDEX_BITS | UINT64_C(1) << (INDEX_BITS - 1);
    register_raise(registers, (uint32_t)(hash >> (64 - INDEX_BITS)), (uint8_t)(__builtin_clzll(rest) + 1));
}

static enum sw_status merge_dense(struct sw_hll *into, const struct sw_hll *from) {
    if (into->stage != STAGE_DENSE) {
        enum sw_status status = become_dense(into);
        if (status != SW_OK) {
            return status;
        }
    }
    uint8_t *registers = into->block;
    const uint8_t *other = from->block;
    for (int i = 0; i < REGISTERS; i++) {
        registers[i] = registers[i] > other[i] ? registers[i] : other[i];
    }
    return SW_OK;
}

/* Ertl's sigma and tau: the corrections for registers that are still 0 and for those at the maximum. */
static double sigma(double x) {
    if (x == 1.0) {
        return INFINITY;
    }
    double sum = x, last, weight = 1.0;
    do {
        x *= x;
        last = sum;
        sum += x * weight;
        weight += weight;
    } while (sum != last);
    return sum;
}

static double tau(double x) {
    if (x == 0.0 || x == 1.0) {
        return 0.0;
    }
    double sum = 1.0 - x, last, weight = 1.0;
    do {
        x = sqrt(x);
        last = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
    } while (sum != last);
    return sum / 3.0;
}

static double estimate_dense(const uint8_t *registers) {
    uint32_t counts[4][64] = {{0}}; /* four lanes: neighbours often hold the same rank */
    for (size_t i = 0; i < REGISTERS; i += 4) {
        for (size_t lane = 0; lane < 4; lane++) {
            counts[lane][registers[i + lane]]++;
        }
    }
    double rank_count[RANK_MAX + 1];
    for (int rank = 0; rank <= RANK_MAX; rank++) {
        rank_count[rank] = counts[0][rank] + counts[1][rank] + counts[2][rank] + counts[3][rank];
    }
    const double m = REGISTERS;
    double z = m * tau(1.0 - rank_count[RANK_MAX] / m);
    for (int rank = RANK_MAX - 1; rank >= 1; rank--) {
        z = 0.5 * (z + rank_count[rank]);
    }
    z += m * sigma(rank_count[0] / m);
    return m * m / (2.0 * M_LN2 * z);
}

static int compare_digests(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void put_u32(unsigned char *to, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        to[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint32_t get_u32(const unsigned char *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static void pack_registers(const uint8_t *registers, unsigned char *out) {
    for (size_t i = 0; i < REGISTERS; i += 4, out += 3) {
        uint32_t bits = registers[i] | (uint32_t)registers[i + 1] << 6 | (uint32_t)registers[i + 2] << 12 |
                        (uint32_t)registers[i + 3] << 18;
        out[0] = (unsigned char)bits;
        out[1] = (unsigned char)(bits >> 8);
        out[2] = (unsigned char)(bits >> 16);
    }
}

static enum sw_status decode_registers(struct sw_hll *hll, const unsigned char *in, size_t size_bytes) {
    if (size_bytes != PACKED_BYTES) {
        return SW_MALFORMED;
    }
    enum sw_status status = become_dense(hll);
    if (status != SW_OK) {
        return status;
    }
    uint8_t *registers = hll->block;
    for (size_t i = 0; i < REGISTERS; i++) {
        size_t bit = i * 6;
        uint32_t pair = (uint32_t)in[bit / 8] | (bit / 8 + 1 < PACKED_BYTES ? (uint32_t)in[bit / 8 + 1] << 8 : 0);
        registers[i] = (uint8_t)(pair >> (bit % 8) & 63);
        if (registers[i] > RANK_MAX) {
            return SW_MALFORMED;
        }
    }
    return SW_OK;
}

static enum sw_status decode_digests(struct sw_hll *hll, const unsigned char *in, size_t size_bytes) {
    if (size_bytes % 4 != 0 || size_bytes / 4 > DIGESTS_MAX) {
        return SW_MALFORMED;
    }
    uint32_t last = 0;
    for (size_t i = 0; i < size_bytes; i += 4) {
        uint32_t digest = get_u32(in + i);
        if (digest <= last || !digest_is_valid(digest)) {
            return SW_MALFORMED;
        }
        last = digest;
        enum sw_status status = add_digest(hll, digest);
        if (status != SW_OK) {
            return status;
        }
    }
    return SW_OK;
}

void sw_hll_release(struct sw_hll *hll) {
    sw_free(hll->block);
    *hll = (struct sw_hll){0};
}

void sw_hll_clear(struct sw_hll *hll) {
    /* A table that was hardly used is not worth wiping at every turn. */
    if (hll->stage == STAGE_TABLE && hll->count < (1u << hll->block_log2) / 16) {
        sw_hll_release(hll);
        return;
    }
    if (hll->stage != STAGE_FEW) {
        memset(hll->block, 0, block_bytes(hll->block_log2));
    }
    memset(hll->few, 0, sizeof(hll->few));
    hll->count = 0;
    hll->stage = STAGE_FEW;
}

enum sw_status sw_hll_add(struct sw_hll *hll, uint64_t hash) {
    if (hll->stage != STAGE_DENSE) {
        return add_digest(hll, digest_of(hash));
    }
    add_dense(hll->block, hash);
    return SW_OK;
}

enum sw_status sw_hll_add_many(struct sw_hll *hll, const uint64_t *hashes, size_t count) {
    size_t i = 0;
    for (; i < count && hll->stage != STAGE_DENSE; i++) {
        enum sw_status status = add_digest(hll, digest_of(hashes[i]));
        if (status != SW_OK) {
            return status;
        }
    }
    for (; i < count; i++) {
        add_dense(hll->block, hashes[i]);
    }
    return SW_OK;
}

enum sw_status sw_hll_merge(struct sw_hll *into, const struct sw_hll *from) {
    if (into == from || (from->stage != STAGE_DENSE && from->count == 0)) {
        return SW_OK;
    }
    if (from->stage == STAGE_DENSE) {
        return merge_dense(into, from);
    }
    if (from->stage == STAGE_TABLE && into->stage != STAGE_DENSE) {
        enum sw_status status = become_table(into, from->block_log2);
        if (status != SW_OK) {
            return status;
        }
    }
    const uint32_t *digests = from->stage == STAGE_FEW ? from->few : from->block;
    size_t slots = from->stage == STAGE_FEW ? from->count : (size_t)1 << from->block_log2;
    for (size_t i = 0; i < slots; i++) {
        enum sw_status status = digests[i] != 0 ? add_digest(into, digests[i]) : SW_OK;
        if (status != SW_OK) {
            return status;
        }
    }
    return SW_OK;
}

uint64_t sw_hll_count(const struct sw_hll *hll) {
    return hll->stage == STAGE_DENSE ? (uint64_t)llround(estimate_dense(hll->block)) : hll->count;
}

enum sw_status sw_hll_encode(const struct sw_hll *hll, struct sw_buf *out) {
    bool is_dense = hll->stage == STAGE_DENSE;
    size_t size_bytes = HEADER_BYTES + (is_dense ? PACKED_BYTES : hll->count * sizeof(uint32_t));
    enum sw_status status = sw_buf_reserve(out, size_bytes);
    if (status != SW_OK) {
        return status;
    }
    unsigned char *to = (unsigned char *)out->ptr + out->len;
    to[0] = 'H';
    to[1] = 'L';
    to[2] = FORMAT_VERSION;
    to[3] = is_dense;
    to += HEADER_BYTES;
    if (is_dense) {
        pack_registers(hll->block, to);
    } else {
        uint32_t digests[DIGESTS_MAX];
        size_t count = collect_digests(hll, digests);
        qsort(digests, count, sizeof(uint32_t), compare_digests);
        for (size_t i = 0; i < count; i++) {
            put_u32(to + 4 * i, digests[i]);
        }
    }
    out->len += size_bytes;
    return SW_OK;
}

enum sw_status sw_hll_decode(struct sw_hll *hll, struct sw_str bytes) {
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    if (bytes.len < HEADER_BYTES || in[0] != 'H' || in[1] != 'L' || in[3] > 1) {
        return SW_MALFORMED;
    }
    if (in[2] != FORMAT_VERSION) {
        return SW_UNSUPPORTED;
    }
    struct sw_hll decoded = {0};
    enum sw_status status = in[3] ? decode_registers(&decoded, in + HEADER_BYTES, bytes.len - HEADER_BYTES)
                                  : decode_digests(&decoded, in + HEADER_BYTES, bytes.len - HEADER_BYTES);
    if (status != SW_OK) {
        sw_hll_release(&decoded);
        return status;
    }
    sw_hll_release(hll);
    *hll = decoded;
    return SW_OK;
}
