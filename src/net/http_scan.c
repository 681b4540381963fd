/* http_scan.c - The byte classes of HTTP heads as bit masks: scalar, SSE and AVX2. */
#include "net/http_scan.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { TOKEN = 1, TARGET = 2, VALUE = 4, ALL = 7 };

static const unsigned char byte_class[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = ALL,
    ['"'] = VALUE,
    ['#'] = TOKEN | VALUE,
    ['$' ... '\''] = ALL,
    ['('] = TARGET | VALUE,
    [')'] = TARGET | VALUE,
    ['*'] = ALL,
    ['+'] = ALL,
    [','] = TARGET | VALUE,
    ['-'] = ALL,
    ['.'] = ALL,
    ['/'] = TARGET | VALUE,
    ['0' ... '9'] = ALL,
    [':'] = TARGET | VALUE,
    [';'] = TARGET | VALUE,
    ['<'] = VALUE,
    ['='] = TARGET | VALUE,
    ['>'] = VALUE,
    ['?'] = TARGET | VALUE,
    ['@'] = TARGET | VALUE,
    ['A' ... 'Z'] = ALL,
    ['['] = TARGET | VALUE,
    ['\\'] = TARGET | VALUE,
    [']'] = TARGET | VALUE,
    ['^'] = ALL,
    ['_'] = TARGET | VALUE,
    ['`'] = ALL,
    ['a' ... 'z'] = ALL,
    ['{'] = TARGET | VALUE,
    ['|'] = ALL,
    ['}'] = TARGET | VALUE,
    ['~'] = ALL,
    [0x80 ... 0xff] = VALUE,
};

static void scan_scalar(const char *ptr, size_t len, struct sw_http_masks *masks) {
    uint64_t token = 0;
    uint64_t target = 0;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t class = byte_class[(unsigned char)ptr[i]];
        token |= (class & 1) << i;
        target |= (class >> 1 & 1) << i;
        value |= (class >> 2) << i;
    }
    *masks = (struct sw_http_masks){~token, ~target, ~value};
}

#if defined(__x86_64__)

#define SSE __attribute__((target("sse4.2"), always_inline)) static inline
#define AVX2 __attribute__((target("avx2,bmi,bmi2,fma"), always_inline)) static inline

/* Entry l has bit h set where byte h << 4 | l is in the class: one shuffle by the byte (0 for bytes >= 0x80) and
 * one by its high nibble decide membership of any ASCII set. */
static const unsigned char token_low[16] = {0xe8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc,
                                            0xf8, 0xf8, 0xf4, 0x54, 0xd0, 0x54, 0xf4, 0x50};
static const unsigned char target_low[16] = {0xf8, 0xfc, 0xf8, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc,
                                             0xfc, 0xfc, 0xfc, 0xfc, 0xf4, 0xfc, 0xf4, 0x7c};
static const unsigned char high_bit[16] = {1, 2, 4, 8, 16, 32, 64, 128};

/* The low 16 bits of each mask hold bytes that belong to the class. */
SSE void classify16(__m128i bytes, struct sw_http_masks *in) {
    __m128i zero = _mm_setzero_si128();
    __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(0x0f));
    __m128i bit = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)high_bit), high);
    __m128i token = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)token_low), bytes);
    __m128i target = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)target_low), bytes);
    __m128i low = _mm_set1_epi8(0x1f);
    __m128i control = _mm_cmpeq_epi8(_mm_max_epu8(bytes, low), low);
    control = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t')), control);
    control = _mm_or_si128(control, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
    in->non_token = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(token, bit), zero));
    in->non_target = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(target, bit), zero));
    in->non_value = (unsigned)_mm_movemask_epi8(control);
}

SSE void merge(struct sw_http_masks *masks, const struct sw_http_masks *part, size_t shift) {
    masks->non_token |= part->non_token << shift;
    masks->non_target |= part->non_target << shift;
    masks->non_value |= part->non_value << shift;
}

SSE void mark_end(struct sw_http_masks *masks, size_t len) {
    uint64_t beyond = UINT64_MAX << len; /* len < 64 */
    masks->non_token |= beyond;
    masks->non_target |= beyond;
    masks->non_value |= beyond;
}

/* Fewer than 16 bytes: gathered in a register from two overlapping loads, so that nothing outside is touched. */
SSE __m128i load_short(const char *ptr, size_t len) {
    if (len >= 8) {
        uint64_t first;
        uint64_t last;
        memcpy(&first, ptr, 8);
        memcpy(&last, ptr + len - 8, 8);
        last = len == 8 ? 0 : last >> (8 * (16 - len));
        return _mm_set_epi64x((long long)last, (long long)first);
    }
    uint64_t all = 0;
    if (len >= 4) {
        uint32_t first;
        uint32_t last;
        memcpy(&first, ptr, 4);
        memcpy(&last, ptr + len - 4, 4);
        all = first | (uint64_t)last << (8 * (len - 4));
    } else {
        for (size_t i = 0; i < len; i++) {
            all |= (uint64_t)(unsigned char)ptr[i] << (8 * i);
        }
    }
    return _mm_set_epi64x(0, (long long)all);
}

__attribute__((target("sse4.2"))) static void scan_sse42(const char *ptr, size_t len, struct sw_http_masks *masks) {
    struct sw_http_masks part;
    struct sw_http_masks all = {0, 0, 0};
    size_t at = 0;
    for (; at + 16 <= len; at += 16) {
        classify16(_mm_loadu_si128((const __m128i *)(ptr + at)), &part);
        merge(&all, &part, at);
    }
    if (at < len) {
        if (len >= 16) {
            classify16(_mm_loadu_si128((const __m128i *)(ptr + len - 16)), &part);
            merge(&all, &part, len - 16);
        } else {
            classify16(load_short(ptr, len), &part);
            merge(&all, &part, 0);
        }
    }
    if (len < SW_HTTP_SCAN_BYTES) {
        mark_end(&all, len);
    }
    *masks = all;
}

AVX2 void classify32(__m256i bytes, struct sw_http_masks *in) {
    __m256i zero = _mm256_setzero_si256();
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
    __m256i bits = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)high_bit));
    __m256i tokens = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)token_low));
    __m256i targets = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)target_low));
    __m256i bit = _mm256_shuffle_epi8(bits, high);
    __m256i token = _mm256_and_si256(_mm256_shuffle_epi8(tokens, bytes), bit);
    __m256i target = _mm256_and_si256(_mm256_shuffle_epi8(targets, bytes), bit);
    __m256i low = _mm256_set1_epi8(0x1f);
    __m256i control = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, low), low);
    control = _mm256_andnot_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\t')), control);
    control = _mm256_or_si256(control, _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f)));
    in->non_token = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(token, zero));
    in->non_target = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(target, zero));
    in->non_value = (unsigned)_mm256_movemask_epi8(control);
}

__attribute__((target("avx2,bmi,bmi2,fma"))) static void scan_avx2(const char *ptr, size_t len,
                                                                   struct sw_http_masks *masks) {
    if (len < 32) {
        scan_sse42(ptr, len, masks);
        return;
    }
    struct sw_http_masks first;
    struct sw_http_masks last;
    classify32(_mm256_loadu_si256((const __m256i *)ptr), &first);
    classify32(_mm256_loadu_si256((const __m256i *)(ptr + len - 32)), &last);
    size_t shift = len - 32;
    masks->non_token = first.non_token | last.non_token << shift;
    masks->non_target = first.non_target | last.non_target << shift;
    masks->non_value = first.non_value | last.non_value << shift;
    if (len < SW_HTTP_SCAN_BYTES) {
        mark_end(masks, len);
    }
}

#endif

sw_http_scan sw_http_scan_for(enum sw_cpu_level level) {
#if defined(__x86_64__)
    if (level >= SW_CPU_AVX2) {
        return scan_avx2;
    }
    if (level >= SW_CPU_SSE42) {
        return scan_sse42;
    }
#endif
    return scan_scalar;
}
