/* vecmath_tables.c - The tables of exp and log. */
#include "kernels/vecmath_tables_impl.h"

#define TABLE __attribute__((aligned(64)))

TABLE const double sw_exp_heads_f64[SW_VECMATH_TABLE] = {
    0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
    0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0,
    0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
    0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0,
};

TABLE const double sw_exp_tails_f64[SW_VECMATH_TABLE] = {
    0x0.0p+0,
    0x1.8a62e4adc610bp-54,
    -0x1.19041b9d78a76p-55,
    0x1.9b07eb6c70573p-54,
    0x1.6f46ad23182e4p-55,
    0x1.ada0911f09ebcp-55,
    0x1.d4397afec42e2p-56,
    0x1.6324c054647adp-54,
    -0x1.bdd3413b26456p-54,
    -0x1.41577ee04992fp-55,
    0x1.6e9f156864b27p-54,
    0x1.c7c46b071f2bep-56,
    0x1.7a1cd345dcc81p-54,
    0x1.11065895048ddp-55,
    0x1.2ed02d75b3707p-55,
    -0x1.e9c23179c2893p-54,
};

TABLE const float sw_exp_heads_f32[SW_VECMATH_TABLE] = {
    0x1.000000p+0f, 0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fe0p+0f, 0x1.3dea64p+0f,
    0x1.4bfdaep+0f, 0x1.5ab07ep+0f, 0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f,
    0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f, 0x1.ea4afap+0f,
};

TABLE const float sw_exp_tails_f32[SW_VECMATH_TABLE] = {
    0x0.0p+0f,        0x1.9f3122p-25f,  -0x1.c15742p-27f, 0x1.ceac48p-25f,  0x1.4636e2p-25f, 0x1.824684p-25f,
    -0x1.593abcp-25f, -0x1.5bd5ecp-27f, 0x1.9fcef4p-26f,  -0x1.829fd0p-25f, 0x1.15506ep-27f, 0x1.51f848p-27f,
    -0x1.a94b14p-26f, -0x1.3d56b2p-27f, -0x1.822dbcp-27f, 0x1.52486cp-27f,
};

TABLE const double sw_log_inverses_f64[SW_VECMATH_TABLE] = {
    0x1.68p0, 0x1.58p0, 0x1.48p0,  0x1.40p0,  0x1.30p0,  0x1.28p0,  0x1.20p0,  0x1.10p0,
    0x1.08p0, 0x1.00p0, 0x1.e8p-1, 0x1.c8p-1, 0x1.b0p-1, 0x1.a0p-1, 0x1.88p-1, 0x1.78p-1,
};

TABLE const float sw_log_inverses_f32[SW_VECMATH_TABLE] = {
    0x1.68p0f, 0x1.58p0f, 0x1.48p0f,  0x1.40p0f,  0x1.30p0f,  0x1.28p0f,  0x1.20p0f,  0x1.10p0f,
    0x1.08p0f, 0x1.00p0f, 0x1.e8p-1f, 0x1.c8p-1f, 0x1.b0p-1f, 0x1.a0p-1f, 0x1.88p-1f, 0x1.78p-1f,
};

TABLE const double sw_log_heads_f64[SW_VECMATH_TABLE] = {
    -0x1.62b71a5f26474p+9, -0x1.62b148a91d596p+9, -0x1.62ab2ffc14f56p+9, -0x1.62a806db6f31cp+9,
    -0x1.62a17614183ecp+9, -0x1.629e0c369fb72p+9, -0x1.629a8a675eacap+9, -0x1.6293396fd79b8p+9,
    -0x1.628f673709662p+9, -0x1.628b76e3a7972p+9, -0x1.628551b9226f4p+9, -0x1.627ca34ff5d5p+9,
    -0x1.6275b7a33c42ep+9, -0x1.6270e2f66b0c4p+9, -0x1.626947c6a3476p+9, -0x1.6263f23eb930cp+9,
};

TABLE const double sw_log_tails_f64[SW_VECMATH_TABLE] = {
    -0x1.edf2f5efd9245p-35, -0x1.ee5fbf63c085bp-35, -0x1.ee9c54b37bc92p-35, -0x1.ee5bc6a084e45p-35,
    -0x1.edf6e8656583p-35,  -0x1.ee0be09e85297p-35, -0x1.ee50db2d7ba26p-35, -0x1.ee4445641a882p-35,
    -0x1.ef1fac78195a8p-35, -0x1.eeb9abde27626p-35, -0x1.edec9f09c816bp-35, -0x1.ee84995de8143p-35,
    -0x1.eede8c25fe339p-35, -0x1.ef1b74eb68baep-35, -0x1.ee2a3017b5fa2p-35, -0x1.ee893534bb54ep-35,
};

TABLE const float sw_log_heads_f32[SW_VECMATH_TABLE] = {
    -0x1.617b54p+6f, -0x1.614cc6p+6f, -0x1.611cp+6f,   -0x1.6102b8p+6f, -0x1.60ce32p+6f, -0x1.60b2e2p+6f,
    -0x1.6096d4p+6f, -0x1.605c4cp+6f, -0x1.603dbap+6f, -0x1.601e38p+6f, -0x1.5fed0ep+6f, -0x1.5fa79cp+6f,
    -0x1.5f703ep+6f, -0x1.5f4998p+6f, -0x1.5f0ccp+6f,  -0x1.5ee212p+6f,
};

TABLE const float sw_log_tails_f32[SW_VECMATH_TABLE] = {
    -0x1.7b5ebp-13f,  -0x1.7ddc74p-13f, -0x1.829a5cp-13f, -0x1.7a70eap-13f, -0x1.789b2ep-13f, -0x1.813d0cp-13f,
    -0x1.7d6ccap-13f, -0x1.7f8b06p-13f, -0x1.815778p-13f, -0x1.7c7f04p-13f, -0x1.81ddbap-13f, -0x1.779294p-13f,
    -0x1.7c642ep-13f, -0x1.812fe2p-13f, -0x1.753dfp-13f,  -0x1.83436ap-13f,
};
