#include "common/engine/cpu/cpu_stream.h"

#include <sys/mman.h>  // madvise

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "common/base/parallel.h"
#include "common/engine/cpu/matmul_cache.h"

#if defined(__x86_64__)
#include <immintrin.h>  // the control register of the vector unit
#endif

namespace kindred {
namespace {

constexpr int64_t kAlignment = 256;
constexpr int64_t kHugePage =
    2 << 20;  // an arena on 4 KiB pages spends a tenth of a first step in page faults

std::atomic<bool> native_bf16_allowed{true};

class CpuStream final : public Stream {
 public:
  Device device() const override { return {}; }
  void wait() override {}

  std::shared_ptr<std::byte> allocate(int64_t bytes) override {
    const int64_t alignment = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
    const int64_t size = (std::max<int64_t>(1, bytes) + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(size));
    if (memory == nullptr) fail("cannot get ", bytes_text(bytes), " of memory");
    if (alignment == kHugePage)
      madvise(memory, static_cast<size_t>(size), MADV_HUGEPAGE);  // a wish: may be refused
    std::memset(memory, 0, static_cast<size_t>(size));
    return {static_cast<std::byte*>(memory), [](std::byte* data) { std::free(data); }};
  }

  void copy(void* to, const void* from, int64_t bytes) override {
    parallel_ranges(bytes, kCopyGrain, [=](int64_t begin, int64_t end) {
      std::memcpy(static_cast<std::byte*>(to) + begin, static_cast<const std::byte*>(from) + begin,
                  static_cast<size_t>(end - begin));
    });
  }

  void zero(void* data, int64_t bytes) override {
    parallel_ranges(bytes, kCopyGrain, [=](int64_t begin, int64_t end) {
      std::memset(static_cast<std::byte*>(data) + begin, 0, static_cast<size_t>(end - begin));
    });
  }

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  MatmulCache matmuls{*this};

 private:
  static constexpr int64_t kCopyGrain = 256
                                        << 10;  // below this, waking a second core costs more than it saves
};

CpuStream& cpu_stream(Stream& stream) {
  KINDRED_ASSERT(stream.device().type == Device::cpu);
  return static_cast<CpuStream&>(stream);
}

}  // namespace

std::unique_ptr<Stream> make_cpu_stream() {
  flush_denormals();
  return std::make_unique<CpuStream>();
}

void flush_denormals() {
#if defined(__x86_64__)
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;  // bits of MXCSR
  parallel_for(thread_count(), [](int64_t) { _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero); });
#endif
}

bool native_bf16() {
  static const bool has_avx512 = [] {
    const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
    return (isa & wanted) == wanted;
  }();
  return has_avx512 && native_bf16_allowed;
}

void allow_native_bf16(bool allowed) { native_bf16_allowed = allowed; }

dnnl::engine& dnnl_engine(Stream& stream) { return cpu_stream(stream).engine; }
dnnl::stream& dnnl_stream(Stream& stream) { return cpu_stream(stream).stream; }
MatmulCache& matmul_cache(Stream& stream) { return cpu_stream(stream).matmuls; }

}  // namespace kindred
