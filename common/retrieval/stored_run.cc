#include "common/retrieval/stored_run.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

static_assert(std::endian::native == std::endian::little, "the file of rankings is written as it is in memory");

// Reads numbers of 4 bytes, which need not be aligned.
class RunReader {
 public:
  explicit RunReader(std::string_view bytes) : bytes_(bytes) {}
  bool AtEnd() const { return bytes_.empty(); }

  template <typename T>
  bool Read(size_t count, std::vector<T>& values) {
    static_assert(sizeof(T) == 4);
    if (bytes_.size() / sizeof(T) < count) return false;
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), bytes_.data(), count * sizeof(T));
    bytes_.remove_prefix(count * sizeof(T));
    return true;
  }

 private:
  std::string_view bytes_;
};

}  // namespace

StoredRunWriter::StoredRunWriter(const std::filesystem::path& file)
    : file_(file), out_(file, std::ios::binary | std::ios::trunc) {
  out_.write(kStoredRunMagic.data(), kStoredRunMagic.size());
}

void StoredRunWriter::Add(uint32_t query, std::span<const uint32_t> documents, std::span<const float> scores) {
  const uint32_t head[] = {query, static_cast<uint32_t>(documents.size())};
  out_.write(reinterpret_cast<const char*>(head), sizeof(head));
  out_.write(reinterpret_cast<const char*>(documents.data()), static_cast<std::streamsize>(documents.size_bytes()));
  out_.write(reinterpret_cast<const char*>(scores.data()), static_cast<std::streamsize>(scores.size_bytes()));
}

absl::Status StoredRunWriter::Finish() {
  out_.close();
  if (out_) return absl::OkStatus();
  // Not ErrnoToStatus: it would be OK where the stream failed without a number.
  return absl::InternalError(absl::StrCat(file_.string(), ": the rankings cannot be written",
                                          errno == 0 ? "" : absl::StrCat(": ", std::strerror(errno))));
}

absl::Status ForEachRanking(std::string_view bytes, const std::function<absl::Status(const StoredRanking&)>& take) {
  const auto broken = [](const std::string& what) {
    return absl::DataLossError(absl::StrCat(kStoredRunFile, ": ", what, ". The file is damaged."));
  };
  if (bytes.substr(0, kStoredRunMagic.size()) != kStoredRunMagic) return broken("does not begin as a file of rankings does");
  RunReader reader(bytes.substr(kStoredRunMagic.size()));
  std::vector<uint32_t> head, documents;
  std::vector<float> scores;
  while (!reader.AtEnd()) {
    if (!reader.Read(2, head)) return broken("ends within a ranking");
    if (!reader.Read(head[1], documents) || !reader.Read(head[1], scores)) {
      return broken(absl::StrCat("ends within the ranking of query ", head[0]));
    }
    RETURN_IF_ERROR(take({head[0], documents, scores}));
  }
  return absl::OkStatus();
}

}  // namespace muster
