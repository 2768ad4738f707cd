// Decompressors over zlib, liblzma and libzstd.
#include "core/base/decompress.hpp"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

constexpr std::uint64_t kXzMemoryLimit = std::uint64_t{1} << 30;  // `xz -9` needs 65 MiB

// The zero bytes that `in` starts with: xz pads between and behind its streams, tapes pad gzip.
std::size_t padding(std::span<const char> in) {
  const auto end = std::find_if(in.begin(), in.end(), [](char c) { return c != 0; });
  return static_cast<std::size_t>(end - in.begin());
}

class Gzip : public Decompressor {
 public:
  Gzip() {
    // 16 + 15: the gzip wrapper only, largest window.
    if (inflateInit2(&stream_, 16 + 15) != Z_OK) throw Error("zlib cannot be initialised");
  }
  ~Gzip() override { inflateEnd(&stream_); }

  Step step(std::span<const char> in, std::span<char> out) override {
    if (complete_) {
      if (const std::size_t zeros = padding(in); zeros > 0 || in.empty()) return {zeros, 0, {}};
      inflateReset(&stream_);
      complete_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(std::min<std::size_t>(in.size(), UINT_MAX));
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size(), UINT_MAX));
    const uInt in_before = stream_.avail_in, out_before = stream_.avail_out;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    Step step{in_before - stream_.avail_in, out_before - stream_.avail_out, {}};
    complete_ = status == Z_STREAM_END;
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      step.problem = stream_.msg ? stream_.msg : "damaged data";
    }
    return step;
  }
  bool complete() const override { return complete_; }

 private:
  z_stream stream_{};
  bool complete_ = false;
};

class Xz : public Decompressor {
 public:
  Xz() { begin(); }
  ~Xz() override { lzma_end(&stream_); }

  Step step(std::span<const char> in, std::span<char> out) override {
    if (complete_) {
      if (const std::size_t zeros = padding(in); zeros > 0 || in.empty()) return {zeros, 0, {}};
      begin();
    }
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret status = lzma_code(&stream_, LZMA_RUN);
    Step step{in.size() - stream_.avail_in, out.size() - stream_.avail_out, {}};
    complete_ = status == LZMA_STREAM_END;
    if (status == LZMA_MEM_ERROR) throw std::bad_alloc();
    if (status == LZMA_MEMLIMIT_ERROR) {
      step.problem = "decompression needs more than 1 GiB of memory";
    } else if (status == LZMA_FORMAT_ERROR) {
      step.problem = "data that is not xz";
    } else if (status != LZMA_OK && status != LZMA_STREAM_END && status != LZMA_BUF_ERROR) {
      step.problem = "damaged data";
    }
    return step;
  }
  bool complete() const override { return complete_; }

 private:
  void begin() {
    if (lzma_stream_decoder(&stream_, kXzMemoryLimit, 0) != LZMA_OK) {
      throw Error("liblzma cannot be initialised");
    }
    complete_ = false;
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool complete_ = false;
};

class Zstd : public Decompressor {
 public:
  Zstd() : stream_(ZSTD_createDStream()) {
    if (!stream_) throw Error("libzstd cannot be initialised");
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }

  Step step(std::span<const char> in, std::span<char> out) override {
    if (complete_ && in.empty()) return {};
    ZSTD_inBuffer source{in.data(), in.size(), 0};
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    const std::size_t status = ZSTD_decompressStream(stream_, &target, &source);
    Step step{source.pos, target.pos, {}};
    if (ZSTD_getErrorCode(status) == ZSTD_error_memory_allocation) throw std::bad_alloc();
    if (ZSTD_isError(status)) {
      step.problem = ZSTD_getErrorName(status);
    } else if (step.consumed > 0 || step.produced > 0) {
      complete_ = status == 0;
    }
    return step;
  }
  bool complete() const override { return complete_; }

 private:
  ZSTD_DStream* stream_;
  bool complete_ = false;
};

}  // namespace

Compression compression_of(std::span<const char> first_bytes) {
  const std::string_view head(first_bytes.data(), first_bytes.size());
  if (head.starts_with("\x1f\x8b")) return Compression::gzip;
  if (head.starts_with(std::string_view("\xfd"
                                        "7zXZ\0",
                                        6))) {
    return Compression::xz;
  }
  if (head.starts_with("\x28\xb5\x2f\xfd")) return Compression::zstd;
  return Compression::none;
}

const char* name_of(Compression compression) {
  switch (compression) {
    case Compression::gzip:
      return "gzip";
    case Compression::xz:
      return "xz";
    case Compression::zstd:
      return "zstd";
    case Compression::none:
      break;
  }
  return "plain";
}

std::unique_ptr<Decompressor> make_decompressor(Compression compression) {
  switch (compression) {
    case Compression::gzip:
      return std::make_unique<Gzip>();
    case Compression::xz:
      return std::make_unique<Xz>();
    case Compression::zstd:
      return std::make_unique<Zstd>();
    case Compression::none:
      break;
  }
  throw Error("plain text needs no decompressor");
}

}  // namespace weft
