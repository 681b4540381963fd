/* fractal_smooth_impl.h - The fraction of a count, by the same operations on one double or a vector of them.
 *
 * The file that includes this one first defines SMOOTH_INLINE and the types `lanes` (doubles) and `words` (int64_t),
 * with lanes_set, words_set, lanes_of_bits and words_of_bits. No library function and no fused multiply-add: all levels
 * are to agree to the last bit.
 */
#ifdef SMOOTH_INLINE

/* 0 ... 2^52 - 1 as a double. */
SMOOTH_INLINE lanes lanes_of_words(words value) {
    return lanes_of_bits(value | words_set(0x4330000000000000)) - lanes_set(0x1p52);
}

/* log2 of a positive number that is neither subnormal nor infinite, to 1e-9. */
SMOOTH_INLINE lanes smooth_log2(lanes value) {
    words bits = words_of_bits(value);
    /* The exponent is changed at sqrt(2), so that the mantissa lies within sqrt(1/2) ... sqrt(2). */
    words shifted = bits + words_set(0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
    words exponent = (shifted >> 52) & words_set(0x7ff);
    lanes mantissa = lanes_of_bits((shifted & words_set(0x000fffffffffffff)) + words_set(0x3fe6a09e667f3bcd));
    lanes whole = lanes_of_words(exponent) - lanes_set(1023.0);
    lanes part = (mantissa - lanes_set(1.0)) / (mantissa + lanes_set(1.0)), square = part * part;
    /* log2((1 + s) / (1 - s)) = 2 / ln 2 * (s + s^3 / 3 + s^5 / 5 + ...), |s| < 0.172 */
    lanes sum = square * lanes_set(0.3205988979753252) + lanes_set(0.4121985831111324);
    sum = sum * square + lanes_set(0.5770780163555853);
    sum = sum * square + lanes_set(0.9617966939259756);
    sum = sum * square + lanes_set(2.8853900817779268);
    return sum * part + whole;
}

/* Of the iterate that is number `number` and whose |z|^2 is `norm`, not below 1: number + 1 - log2(ln|z| / ln 2). */
SMOOTH_INLINE lanes smooth_of(lanes number, lanes norm) {
    lanes log_of_size = lanes_set(0.5) * smooth_log2(norm);
    return number + lanes_set(1.0) - smooth_log2(log_of_size);
}

#endif
