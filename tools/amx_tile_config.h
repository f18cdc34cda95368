/* Forced into every C++ file of the engine when the compiler has GCC's bug PR114098: its
 * _tile_loadconfig tells the optimiser that 8 bytes of the configuration are read, while the
 * processor reads 64, so the rest is thrown away and the first tile instruction is illegal. */
#pragma once
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#undef _tile_loadconfig
#define _tile_loadconfig(config) \
    __asm__ volatile("ldtilecfg\t%0" ::"m"(*(const char(*)[64])(config)))
#endif
