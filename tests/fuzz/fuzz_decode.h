/* fuzz_decode.h - What the fuzz targets of the decoders share: decode in two ways, insist on the same rows. */
#ifndef SW_TESTS_FUZZ_DECODE_H
#define SW_TESTS_FUZZ_DECODE_H

#include "../engine/fake_intake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first bytes of an input choose how it is fed; *text is the rest. */
struct fuzz_choice {
    size_t cut, piece;
    uint32_t rows_per_batch, drop_every;
    unsigned kind;
};

/* False when the input is too short. */
bool fuzz_choose(const uint8_t *data, size_t size, struct fuzz_choice *choice, struct sw_str *text);

/* An empty intake for `fields`, which must be static: it is made once and kept. `which` tells apart those used at the
 * same time. */
struct sw_intake *fuzz_intake(const struct fake_field *fields, unsigned which);

/* Aborts unless `text` fed whole and fed as chosen give the same log. */
void fuzz_agree(const struct fake_field *fields, const struct fake_run *run, const struct fuzz_choice *choice,
                struct sw_str text);

#endif
