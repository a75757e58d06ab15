#include "coordinator/data/import/decoder.h"

#include <zlib.h>
#include <zstd.h>

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr absl::string_view kGzipMagic("\x1f\x8b", 2);
constexpr absl::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);
constexpr size_t kPiece = 1 << 18;

absl::Status Broken(absl::string_view format, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the ", format, " stream ", what, ". Compress the file again, or import it uncompressed."));
}

}  // namespace

class Decoder::Codec {
 public:
  virtual ~Codec() = default;
  virtual absl::Status Feed(std::string_view bytes, const Sink& sink) = 0;
  virtual absl::Status Finish() = 0;
};

namespace {

class PlainCodec final : public Decoder::Codec {
 public:
  absl::Status Feed(std::string_view bytes, const Decoder::Sink& sink) override { return sink(bytes); }
  absl::Status Finish() override { return absl::OkStatus(); }
};

class GzipCodec final : public Decoder::Codec {
 public:
  GzipCodec() { inflateInit2(&stream_, 16 + MAX_WBITS); }
  ~GzipCodec() override { inflateEnd(&stream_); }

  absl::Status Feed(std::string_view bytes, const Decoder::Sink& sink) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    bool more = stream_.avail_in > 0;
    while (more) {
      if (ended_) {
        inflateReset(&stream_);
        ended_ = false;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
      stream_.avail_out = static_cast<uInt>(piece_.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) return Broken("gzip", "is damaged");
      ended_ = code == Z_STREAM_END;
      RETURN_IF_ERROR(sink({piece_.data(), piece_.size() - stream_.avail_out}));
      // After a full piece zlib may still hold output, even without more input.
      more = stream_.avail_in > 0 || (stream_.avail_out == 0 && !ended_);
    }
    return absl::OkStatus();
  }
  absl::Status Finish() override { return ended_ ? absl::OkStatus() : Broken("gzip", "ends early"); }

 private:
  z_stream stream_ = {};
  std::vector<char> piece_ = std::vector<char>(kPiece);
  bool ended_ = false;
};

class ZstdCodec final : public Decoder::Codec {
 public:
  absl::Status Feed(std::string_view bytes, const Decoder::Sink& sink) override {
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    bool more = in.size > 0;
    while (more) {
      ZSTD_outBuffer out = {piece_.data(), piece_.size(), 0};
      const size_t code = ZSTD_decompressStream(stream_.get(), &out, &in);
      if (ZSTD_isError(code) != 0) return Broken("zstd", "is damaged");
      ended_ = code == 0;
      RETURN_IF_ERROR(sink({piece_.data(), out.pos}));
      more = in.pos < in.size || (out.pos == out.size && !ended_);
    }
    return absl::OkStatus();
  }
  absl::Status Finish() override { return ended_ ? absl::OkStatus() : Broken("zstd", "ends early"); }

 private:
  std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream_{ZSTD_createDStream(), &ZSTD_freeDStream};
  std::vector<char> piece_ = std::vector<char>(kPiece);
  bool ended_ = false;
};

std::unique_ptr<Decoder::Codec> CodecFor(std::string_view head) {
  if (absl::StartsWith(ToAbsl(head), kGzipMagic)) return std::make_unique<GzipCodec>();
  if (absl::StartsWith(ToAbsl(head), kZstdMagic)) return std::make_unique<ZstdCodec>();
  return std::make_unique<PlainCodec>();
}

}  // namespace

Decoder::Decoder(std::string file, Sink sink) : file_(std::move(file)), sink_(std::move(sink)) {}
Decoder::~Decoder() = default;

absl::Status Decoder::Begin() {
  codec_ = CodecFor(head_);
  const std::string head = std::exchange(head_, {});
  return Feed(head);
}

absl::Status Decoder::Feed(std::string_view bytes) {
  if (codec_ == nullptr) {
    head_.append(bytes);
    return head_.size() < kZstdMagic.size() ? absl::OkStatus() : Begin();
  }
  // Errors of the sink already name their place; only the codec's own errors need the file's name.
  absl::Status sink_status;
  const absl::Status status = codec_->Feed(bytes, [&](std::string_view decoded) {
    return sink_status = decoded.empty() ? absl::OkStatus() : sink_(decoded);
  });
  return sink_status.ok() ? WithContext(status, file_) : sink_status;
}

absl::Status Decoder::Finish() {
  if (codec_ == nullptr) RETURN_IF_ERROR(Begin());
  return WithContext(codec_->Finish(), file_);
}

}  // namespace muster
