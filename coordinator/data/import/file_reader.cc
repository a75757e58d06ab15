#include "coordinator/data/import/file_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/split_name.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/file_look.h"
#include "coordinator/data/import/schemas/fields.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

constexpr size_t kMaxHead = 1 << 20;  // bytes in which the first line must end, to show the format

bool EndsWithAny(std::string_view path, std::initializer_list<absl::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](absl::string_view ending) { return absl::EndsWith(ToAbsl(path), ending); });
}

// Files whose lines have tab-separated fields and no header, by their names (MS MARCO's, and BEIR's qrels).
bool IsNamedAsLines(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  if (IsInQrelsFolder(path) || absl::EndsWith(ToAbsl(path), ".qrels")) return true;
  if (!absl::EndsWith(ToAbsl(name), ".tsv") && !absl::EndsWith(ToAbsl(name), ".txt")) return false;
  return name.starts_with("collection") || name.starts_with("queries") || name.starts_with("qrels") ||
         name.find("triples") != std::string_view::npos;
}

// Zero bytes in every other position: UTF-16 without a byte-order mark.
bool LooksLikeUtf16(std::string_view head) {
  if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF")) return true;
  return head.size() >= 4 && ((head[0] == 0 && head[2] == 0 && head[1] != 0 && head[3] != 0) ||
                              (head[1] == 0 && head[3] == 0 && head[0] != 0 && head[2] != 0));
}

std::string_view FirstLineOf(std::string_view head) {
  if (head.starts_with(kByteOrderMark)) head.remove_prefix(kByteOrderMark.size());
  while (!head.empty() && absl::ascii_isspace(static_cast<unsigned char>(head.front()))) head.remove_prefix(1);
  std::string_view line = head.substr(0, head.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

FileReader::FileReader(Options options, JsonParser& json, Sink sink)
    : options_(std::move(options)), json_(json), sink_(std::move(sink)) {}

absl::StatusOr<FileReader::Format> FileReader::FormatOf(std::string_view head) const {
  const std::string_view path = options_.plain_path;
  if (head.starts_with("PAR1")) return Format::kParquet;
  const bool has_records = EndsWithAny(path, {".jsonl", ".ndjson", ".json", ".csv", ".tsv"});
  const bool must_read = options_.must_read || path == kStandardInput;
  if (LooksLikeUtf16(head) && (has_records || must_read)) {
    return absl::InvalidArgumentError(absl::StrCat(
        options_.path, ":1: byte 1 begins UTF-16, and texts must be in UTF-8. Convert the file: iconv -f UTF-16 -t UTF-8 ",
        options_.path, " > utf8-", options_.path.substr(options_.path.rfind('/') + 1), "."));
  }
  const std::string_view line = FirstLineOf(head);
  const bool is_json_file = EndsWithAny(path, {".jsonl", ".ndjson", ".json"});
  if (is_json_file) return Format::kJson;
  if (IsNamedAsLines(path) && !line.starts_with('{')) return Format::kLines;
  if (!has_records && !must_read && !IsTrecLine(line)) return Format::kOther;
  if (line.starts_with('{') || (line.starts_with('[') && !has_records)) return Format::kJson;
  if (IsTrecLine(line)) return Format::kLines;
  if (has_records) return Format::kDelimited;
  return DelimiterOf(line) != '\0' ? Format::kDelimited : Format::kJson;
}

absl::Status FileReader::Decide(bool at_end) {
  // Before the first line is complete, only what the first bytes show can be decided.
  const bool has_line = FirstLineOf(head_).size() > 0 && head_.find('\n', head_.find_first_not_of(" \t\r\n")) != std::string::npos;
  if (!at_end && !has_line && head_.size() < kMaxHead && !head_.starts_with("PAR1")) return absl::OkStatus();
  ASSIGN_OR_RETURN(format_, FormatOf(head_));
  const std::string head = std::exchange(head_, "");
  switch (format_) {
    case Format::kUnknown:
    case Format::kOther: return absl::OkStatus();
    case Format::kJson:
      splitter_.emplace(options_.path, true, [this](uint64_t line, std::string_view text) {
        if (text.find_first_not_of(" \t") == std::string_view::npos) return absl::OkStatus();  // an empty line
        const absl::Status status = json_.ParseObject(text, record_);
        record_.number = line;
        return sink_({options_.path, line}, status, text, record_);
      });
      break;
    case Format::kLines:
      splitter_.emplace(options_.path, false, [this](uint64_t line, std::string_view text) {
        if (text.find_first_not_of(" \t") == std::string_view::npos) return absl::OkStatus();  // an empty line
        absl::Status status;
        record_.Clear();
        const size_t invalid = FirstInvalidUtf8(text), nul = text.find('\0');
        if (invalid != std::string_view::npos) {
          status = absl::InvalidArgumentError(absl::StrCat("expected UTF-8, byte ", invalid + 1, " of the line is not. If the file is in Latin-1 or "
                                                           "Windows-1252, convert it: iconv -f WINDOWS-1252 -t UTF-8"));
        } else if (nul != std::string_view::npos) {
          status = absl::InvalidArgumentError(absl::StrCat("expected text without NUL, byte ", nul + 1, " of the line is NUL (0x00)"));
        }
        record_.Add(InputRecord::Kind::kText, {}, text);
        record_.number = line;
        return sink_({options_.path, line}, status, text, record_);
      });
      break;
    case Format::kDelimited:
      delimited_.emplace(options_.path, [this](uint64_t line, const absl::Status& status, InputRecord& record) {
        record.number = line;
        return sink_({options_.path, line}, status, {}, record);
      });
      break;
    case Format::kParquet:
      parquet_.emplace(options_.path, options_.parquet, options_.scratch, [this](uint64_t row, std::string_view text) {
        const absl::Status status = json_.ParseObject(text, record_);
        record_.number = row;
        return sink_({options_.path, row, true}, status, {}, record_);
      });
      break;
  }
  return FeedDecided(head);
}

absl::Status FileReader::FeedDecided(std::string_view bytes) {
  if (splitter_.has_value()) return splitter_->Feed(bytes);
  if (delimited_.has_value()) return delimited_->Feed(bytes);
  if (parquet_.has_value()) return parquet_->Feed(bytes);
  return absl::OkStatus();
}

absl::Status FileReader::Feed(std::string_view bytes) {
  if (begin_.size() < kLookBytes) begin_ += bytes.substr(0, kLookBytes - begin_.size());
  if (format_ != Format::kUnknown) return FeedDecided(bytes);
  head_ += bytes;
  return Decide(false);
}

absl::Status FileReader::Finish() {
  if (format_ == Format::kUnknown) RETURN_IF_ERROR(Decide(true));
  if (splitter_.has_value()) return splitter_->Finish();
  if (delimited_.has_value()) return delimited_->Finish();
  if (parquet_.has_value()) return parquet_->Finish();
  return absl::OkStatus();
}

}  // namespace muster
