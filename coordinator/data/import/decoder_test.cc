#include "coordinator/data/import/decoder.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

namespace muster {
namespace {

std::string Gzip(const std::string& text) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string LongText() {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "line " + std::to_string(i * 2654435761u) + "\n";
  return text;
}

struct Decoded {
  std::string text;
  absl::Status status;
};

Decoded Decode(const std::string& bytes, size_t piece) {
  Decoded decoded;
  Decoder decoder("f", [&](std::string_view text) {
    decoded.text += text;
    return absl::OkStatus();
  });
  for (size_t at = 0; at < bytes.size() && decoded.status.ok(); at += piece) {
    decoded.status = decoder.Feed(std::string_view(bytes).substr(at, piece));
  }
  if (decoded.status.ok()) decoded.status = decoder.Finish();
  return decoded;
}

TEST(Decoder, GivesTheTextBackInAnyPieces) {
  const std::string text = LongText();
  for (const std::string& bytes : {text, Gzip(text), Zstd(text), Gzip(text.substr(0, 1000)) + Gzip(text.substr(1000)),
                                   Zstd(text.substr(0, 1000)) + Zstd(text.substr(1000))}) {
    for (const size_t piece : {size_t{3}, size_t{4096}, bytes.size()}) {
      const Decoded decoded = Decode(bytes, piece);
      EXPECT_TRUE(decoded.status.ok()) << decoded.status;
      EXPECT_TRUE(decoded.text == text) << "pieces of " << piece;
    }
  }
}

TEST(Decoder, TakesShortFiles) {
  EXPECT_EQ(Decode("", 1).text, "");
  EXPECT_EQ(Decode("ab", 1).text, "ab");
  EXPECT_TRUE(Decode("", 1).status.ok());
}

TEST(Decoder, RefusesStreamsThatEndEarlyOrAreDamaged) {
  const std::string text = LongText();
  const std::string remedy = ". Compress the file again, or import it uncompressed.";
  const std::string gzip = Gzip(text), zstd = Zstd(text);
  EXPECT_EQ(Decode(gzip.substr(0, gzip.size() / 2), 999).status.message(), "f: the gzip stream ends early" + remedy);
  EXPECT_EQ(Decode(zstd.substr(0, zstd.size() / 2), 999).status.message(), "f: the zstd stream ends early" + remedy);
  EXPECT_EQ(Decode(gzip.substr(0, 500) + std::string(500, 'x'), 999).status.message(),
            "f: the gzip stream is damaged" + remedy);
}

}  // namespace
}  // namespace muster
