// The CPU's stream: a call is the work itself, so nothing is ever queued. No oneDNN names here; *_cpu.cc
// files that need its handles include engine/cpu/dnnl_stream.h.
#pragma once

#include <memory>

#include "common/engine/stream.h"

namespace kindred {

std::unique_ptr<Stream> make_cpu_stream();

/// Makes the calling thread and its pool treat denormal numbers as zero: they cost a hundred cycles each and
/// carry nothing here. make_cpu_stream calls it; threads started later inherit it from the thread that starts
/// them.
void flush_denormals();

/// False where oneDNN has no bf16 primitives: it asks for AVX-512, and emulates what AVX512_BF16 adds to it.
bool native_bf16();
/// For tests: false makes this process compute as on a CPU without. True means what the CPU can do.
void allow_native_bf16(bool allowed);

}  // namespace kindred
