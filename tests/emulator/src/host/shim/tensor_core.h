// The tensor-core instructions that the kernels use, with the fragment layouts of the PTX ISA. The last lane to arrive
// computes the whole product on the other lanes' registers, whose frames still exist because these lanes wait.
#pragma once

// Round to nearest, ties away from zero; the result is the bits of a float.
inline unsigned emu_cvt_rna_tf32(float value) {
    const unsigned bits = __float_as_uint(value);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
}

struct EmuFragments {
    float* d;
    const unsigned *a, *b;
};

// D (16 x 8) += A (16 x 8) B (8 x 8). Tensor cores read the upper 19 bits of their operands.
EMU_UNCHECKED inline void emu_mma_m16n8k8_tf32_warp(void** lanes) {
    const auto tf32 = [](unsigned bits) { return __uint_as_float(bits & 0xffffe000u); };
    float a[16][8], b[8][8];
    for (int lane = 0; lane < 32; ++lane) {
        const auto& own = *(const EmuFragments*)lanes[lane];
        const int group = lane / 4, thread = lane % 4;
        for (int i = 0; i < 4; ++i) a[group + i % 2 * 8][thread + i / 2 * 4] = tf32(own.a[i]);
        for (int i = 0; i < 2; ++i) b[thread + i * 4][group] = tf32(own.b[i]);
    }
    for (int lane = 0; lane < 32; ++lane) {
        const auto& own = *(const EmuFragments*)lanes[lane];
        for (int i = 0; i < 4; ++i) {
            const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            for (int k = 0; k < 8; ++k) own.d[i] += a[row][k] * b[k][column];
        }
    }
}
EMU_UNCHECKED inline void emu_mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    EmuFragments mine{d, a, b};
    emulator.together(0xffffffffu, &mine, emu_mma_m16n8k8_tf32_warp);
}
