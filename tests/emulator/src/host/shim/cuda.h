// CUDA for a C++ compiler: included before a .cu file, so that the kernels' own source runs on a CPU.
//
// One thread of the host runs a block; each CUDA thread is a fiber of it, which gives way only at barriers and warp
// collectives. The runtime (fibers, barriers, collectives, checks) is in Rust, behind the table `emulator`. The
// equivalents of inline PTX are in tensor_core.h and in the functions `emu_...` here; prelude.cuh calls them if
// CUDA_EMU is defined.
//
// Not modelled: grid-wide synchronisation (blocks run one after another), bank conflicts, weak memory order, the
// approximations of fast mathematics.
#pragma once
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define CUDA_EMU 1

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__

// The shared memory of a module is a section of its own, so that the runtime knows its bounds and can poison it when a
// block begins. (g++ ignores the section inside function templates, so shared arrays are declared in the kernel itself.)
#define EMU_TEXT_(x) #x
#define EMU_TEXT(x) EMU_TEXT_(x)
#define EMU_JOIN_(a, b) a##b
#define EMU_JOIN(a, b) EMU_JOIN_(a, b)
#define __shared__ static __attribute__((section("cuda_shared_" EMU_TEXT(EMU_MODULE))))

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define EMU_VECTOR(T, name)                                                                           \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                \
    struct name##3 { T x, y, z; };                                                                    \
    struct alignas(4 * sizeof(T)) name##4 { T x, y, z, w; };                                          \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                        \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTOR(float, float)
EMU_VECTOR(int, int)
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) double2 { double x, y; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

// The functions of the runtime for the kernels; `Table` in ../library.rs is the same list.
struct Emulator {
    void (*barrier)(const char* file, unsigned line);
    void (*synchronise_warp)(unsigned mask);
    // Return the value of another lane of the mask, and the lanes whose value is not 0.
    uint64_t (*from_lane)(unsigned mask, uint64_t mine, unsigned lane);
    unsigned (*ballot)(unsigned mask, unsigned mine);
    // Calls `all` once with the values of all lanes, when the last lane has arrived.
    void (*together)(unsigned mask, void* mine, void (*all)(void**));
    void* (*dynamic_shared)();
    void (*copy_async)(void* to, const void* from, unsigned bytes, unsigned source_bytes, const void* site);
    void (*commit_copies)();
    void (*wait_for_copies)(unsigned groups);
    void (*access)(const void* address, size_t bytes, unsigned kind, const void* site);
    void (*undefined)(const char* what, const char* file, unsigned line);
};
extern "C" {
extern Emulator emulator;
// The runtime writes these variables whenever another thread continues.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
}
constexpr int warpSize = 32;

#define __syncthreads() emulator.barrier(__FILE__, __LINE__)
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulator.synchronise_warp(mask); }
inline void __threadfence() {}
inline void __threadfence_block() {}

// Warp collectives.

inline unsigned emu_lane() { return ((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x) % 32; }

template <class T> inline T emu_from_lane(unsigned mask, T value, unsigned lane) {
    static_assert(sizeof(T) <= 8, "a lane brings at most eight bytes");
    if (!(mask >> lane & 1)) emulator.undefined("shuffle from a lane outside the mask", "", 0);
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    bits = emulator.from_lane(mask, bits, lane);
    memcpy(&value, &bits, sizeof(T));
    return value;
}
template <class T> inline T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
    return emu_from_lane(mask, value, (emu_lane() & ~(width - 1u)) | (from & (width - 1u)));
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    const unsigned lane = emu_lane(), from = lane ^ bits;
    return emu_from_lane(mask, value, from < (lane & ~(width - 1u)) + width ? from : lane);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned lane = emu_lane();
    return emu_from_lane(mask, value, (lane & (width - 1u)) + by < (unsigned)width ? lane + by : lane);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned lane = emu_lane();
    return emu_from_lane(mask, value, (lane & (width - 1u)) >= by ? lane - by : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) { return emulator.ballot(mask, predicate != 0); }
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

// Memory. The fibers of a launch share one thread of the host, so a read followed by a write is atomic; the checks are
// told that this was intended.

#define EMU_UNCHECKED __attribute__((noinline, no_sanitize("thread"), no_sanitize("undefined")))
#ifdef EMU_CHECKED
#define EMU_ATOMIC(p) emulator.access(p, sizeof *p, 2, __builtin_return_address(0))
#else
#define EMU_ATOMIC(p)
#endif
template <class T, class F> EMU_UNCHECKED T emu_atomic(T* p, F change) {
    EMU_ATOMIC(p);
    const T old = *p;
    *p = change(old);
    return old;
}
#define EMU_ATOMIC_FUNCTION(name, result)                                                                 \
    template <class T> __forceinline__ T name(T* p, std::common_type_t<T> value) {                        \
        return emu_atomic(p, [=](T old) -> T { return result; });                                         \
    }
EMU_ATOMIC_FUNCTION(atomicAdd, old + value)
EMU_ATOMIC_FUNCTION(atomicMax, old > value ? old : value)
EMU_ATOMIC_FUNCTION(atomicMin, old < value ? old : value)
EMU_ATOMIC_FUNCTION(atomicExch, value)
template <class T> __forceinline__ T atomicCAS(T* p, std::common_type_t<T> expected, std::common_type_t<T> value) {
    return emu_atomic(p, [=](T old) -> T { return old == expected ? value : old; });
}
template <class T> inline T __ldg(const T* p) { return *p; }
inline void* emu_dyn_smem() { return emulator.dynamic_shared(); }
__attribute__((noinline)) inline void emu_cp_async(void* to, const void* from, int bytes, int source_bytes) {
    emulator.copy_async(to, from, bytes, source_bytes, __builtin_return_address(0));
}
inline void emu_cp_async_commit() { emulator.commit_copies(); }
inline void emu_cp_async_wait(int groups) { emulator.wait_for_copies(groups); }

// Arithmetic. The compiler is told to fuse nothing by itself, so these functions round as they promise.

template <class To, class From> inline To emu_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float x) { return emu_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emu_bits<unsigned>(x); }
inline float __int_as_float(int x) { return emu_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emu_bits<float>(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __int2float_rn(int x) { return float(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __mulhi(int a, int b) { return int(int64_t(a) * b >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class A, class B> constexpr std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B> constexpr std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }

#include "tensor_core.h"

// The runtime's description of a kernel. The arguments are those of cuLaunchKernel, a pointer to each. They lie in host
// memory, which the checks do not cover; the volatile pointer keeps the kernel from being inlined into this function.

struct EmuKernel {
    void (*run)(void** arguments);
    char *shared_begin, *shared_end;
};
#define EMU_HOST_MEMORY __attribute__((no_sanitize("thread"), no_sanitize("undefined")))
template <class... A, size_t... I>
EMU_HOST_MEMORY inline void emu_call(void (*volatile kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*(std::decay_t<A>*)arguments[I]...);
}
template <class... A> EMU_HOST_MEMORY inline void emu_unpack(void (*kernel)(A...), void** arguments) {
    emu_call<A...>(kernel, arguments, std::index_sequence_for<A...>{});
}
extern "C" {
extern char EMU_JOIN(__start_cuda_shared_, EMU_MODULE)[] __attribute__((weak, visibility("hidden")));
extern char EMU_JOIN(__stop_cuda_shared_, EMU_MODULE)[] __attribute__((weak, visibility("hidden")));
}
#define EMU_EXPORT(kernel)                                                                                            \
    static EMU_HOST_MEMORY void emu_run_##kernel(void** arguments) { emu_unpack(kernel, arguments); }                 \
    extern "C" {                                                                                                      \
    extern const EmuKernel emu_kernel_##kernel;                                                                       \
    const EmuKernel emu_kernel_##kernel = {emu_run_##kernel, EMU_JOIN(__start_cuda_shared_, EMU_MODULE),              \
                                           EMU_JOIN(__stop_cuda_shared_, EMU_MODULE)};                                \
    }
