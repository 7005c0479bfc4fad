// The functions that the compiler calls in the checked build: with -fsanitize=thread before every access to memory, and
// with parts of -fsanitize=undefined where behaviour is undefined. They all call the runtime; neither libtsan nor
// libubsan is linked. This file is compiled without -fsanitize.
#include "cuda.h"

extern "C" {
Emulator emulator;
uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

// The start of this library in memory. A site is the offset from there, as addr2line expects it.
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));
const void* emu_image_begin() { return __ehdr_start; }
const void* emu_image_end() { return _end; }

#define READ 0
#define WRITE 1
#define HERE __builtin_return_address(0)
#define ACCESSES(bytes)                                                                               \
    void __tsan_read##bytes(void* p) { emulator.access(p, bytes, READ, HERE); }                       \
    void __tsan_write##bytes(void* p) { emulator.access(p, bytes, WRITE, HERE); }                     \
    void __tsan_unaligned_read##bytes(void* p) { emulator.access(p, bytes, READ, HERE); }             \
    void __tsan_unaligned_write##bytes(void* p) { emulator.access(p, bytes, WRITE, HERE); }           \
    void __tsan_volatile_read##bytes(void* p) { emulator.access(p, bytes, READ, HERE); }              \
    void __tsan_volatile_write##bytes(void* p) { emulator.access(p, bytes, WRITE, HERE); }
ACCESSES(1) ACCESSES(2) ACCESSES(4) ACCESSES(8) ACCESSES(16)
void __tsan_read_range(void* p, size_t bytes) { emulator.access(p, bytes, READ, HERE); }
void __tsan_write_range(void* p, size_t bytes) { emulator.access(p, bytes, WRITE, HERE); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}

struct Place {
    const char* file;
    unsigned line, column;
};
static void undefined(const char* what, const void* place) {
    emulator.undefined(what, ((const Place*)place)->file, ((const Place*)place)->line);
}
void __ubsan_handle_out_of_bounds(void* at, void*) { undefined("index outside the array", at); }
void __ubsan_handle_type_mismatch_v1(void* at, void*) { undefined("misaligned access", at); }
void __ubsan_handle_shift_out_of_bounds(void* at, void*, void*) { undefined("shift by too much", at); }
void __ubsan_handle_add_overflow(void* at, void*, void*) { undefined("integer overflow", at); }
void __ubsan_handle_sub_overflow(void* at, void*, void*) { undefined("integer overflow", at); }
void __ubsan_handle_mul_overflow(void* at, void*, void*) { undefined("integer overflow", at); }
void __ubsan_handle_negate_overflow(void* at, void*) { undefined("integer overflow", at); }
void __ubsan_handle_divrem_overflow(void* at, void*, void*) { undefined("division by zero", at); }
}
