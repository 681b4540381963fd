/* stencil_step_impl.h - One diffusion step on some rows, for one element type and one level of vector instructions.
 *
 * The file that includes this one first defines TARGET (an attribute), VECTOR_BYTES, REAL and STEP, the name of the
 * function. The operations and their order are the contract: all levels agree to the last bit, so nothing is fused.
 */
#ifdef STEP

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

TARGET void STEP(const struct sw_stencil_step *step) {
    typedef REAL vector __attribute__((vector_size(VECTOR_BYTES)));
    typedef REAL loose __attribute__((vector_size(VECTOR_BYTES), aligned(__alignof__(REAL)), may_alias));
    const REAL rate = (REAL)step->rate, four = 4;
    if (step->rows == SW_STENCIL_ROWS) {
        const REAL *in0 = step->in[0], *in1 = step->in[1], *in2 = step->in[2];
        const REAL *in3 = step->in[3], *in4 = step->in[4], *in5 = step->in[5];
        REAL *out0 = step->out[0], *out1 = step->out[1], *out2 = step->out[2], *out3 = step->out[3];
        for (size_t j = 0; j < step->count; j += VECTOR_BYTES / sizeof(REAL)) {
#define AT(from) (*(const vector *)(const void *)((from) + j))
#define BESIDE(from) (*(const loose *)((from) + j - 1) + *(const loose *)((from) + j + 1))
#define NEXT(up, here, down, sides) ((here) + rate * ((sides) + (up) + (down)-four * (here)))
            vector row0 = AT(in0), row1 = AT(in1), row2 = AT(in2), row3 = AT(in3), row4 = AT(in4), row5 = AT(in5);
            vector sides1 = BESIDE(in1), sides2 = BESIDE(in2), sides3 = BESIDE(in3), sides4 = BESIDE(in4);
            *(vector *)(void *)(out0 + j) = NEXT(row0, row1, row2, sides1);
            *(vector *)(void *)(out1 + j) = NEXT(row1, row2, row3, sides2);
            *(vector *)(void *)(out2 + j) = NEXT(row2, row3, row4, sides3);
            *(vector *)(void *)(out3 + j) = NEXT(row3, row4, row5, sides4);
        }
        return;
    }
    for (size_t i = 0; i < step->rows; i++) {
        const REAL *above = step->in[i], *here = step->in[i + 1], *below = step->in[i + 2];
        REAL *out = step->out[i];
        for (size_t j = 0; j < step->count; j += VECTOR_BYTES / sizeof(REAL))
            *(vector *)(void *)(out + j) = NEXT(AT(above), AT(here), AT(below), BESIDE(here));
    }
#undef AT
#undef BESIDE
#undef NEXT
}

#endif
