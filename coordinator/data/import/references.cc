#include "coordinator/data/import/references.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

Digest128 DigestOf(const Reference& reference) {
  if (!reference.number.has_value()) return DigestOfId(reference.id);
  Digest128 digest{};
  std::memcpy(digest.data(), &*reference.number, sizeof(uint32_t));
  return digest;
}

std::optional<uint32_t> NumberOf(const Digest128& digest, bool is_number, const DigestIndex& index) {
  if (!is_number) return index.Find(digest);
  uint32_t number = 0;
  std::memcpy(&number, digest.data(), sizeof(number));
  return number;
}

std::string Plural(uint64_t count, absl::string_view what) { return absl::StrCat(count, " ", what, count == 1 ? "" : "s"); }

// Messages abbreviate ids that are digests.
std::string IdOfDigest(const Digest128& digest) {
  if (digest.back() >= digest.size()) return "";
  return absl::StrCat(" \"", std::string(reinterpret_cast<const char*>(digest.data()), digest.back()), "\"");
}

}  // namespace

void References::Add(const Place& place, const Reference& query, const Reference& document, const RecordedJudgment& judgment,
                     uint16_t source) {
  file_->entries.push_back({.number = place.number,
                            .query = DigestOf(query),
                            .document = DigestOf(document),
                            .judgment = judgment,
                            .source = source,
                            .is_row = place.is_row,
                            .has_query = query.number.has_value(),
                            .has_document = document.number.has_value()});
  ++size_;
}

absl::Status References::CopyFrom(const BaseRecords& base, DigestIndex& queries, DigestIndex& documents,
                                  DatasetWriter& writer) const {
  for (const auto& [path, file] : files_) {
    for (const Entry& entry : file.entries) {
      if (!entry.has_query) RETURN_IF_ERROR(base.CopyQuery(entry.query, queries, writer));
      if (!entry.has_document) RETURN_IF_ERROR(base.CopyDocument(entry.document, documents, writer));
    }
  }
  return absl::OkStatus();
}

absl::Status References::Resolve(const DigestIndex& queries, const DigestIndex& documents, Judge judge,
                                 std::vector<std::string>& notes, muster::v1::ImportReport& report) const {
  Missing missing;
  for (const auto& [path, file] : files_) {
    for (const Entry& entry : file.entries) {
      const auto query = NumberOf(entry.query, entry.has_query, queries);
      const auto document = NumberOf(entry.document, entry.has_document, documents);
      if (query.has_value() && document.has_value()) {
        judge(file.split, *query, *document, entry.judgment, entry.source, entry.has_query ? 0 : file.number);
        continue;
      }
      const auto names = [&](absl::string_view kind, const Digest128& id) {
        return absl::StrCat(Place{file.shown, entry.number, entry.is_row}.Text(), " names ", kind, IdOfDigest(id));
      };
      if (!query.has_value() && missing.query++ == 0) missing.first_query = names("query", entry.query);
      if (!document.has_value() && missing.document++ == 0) missing.first_document = names("document", entry.document);
      if (missing.either++ == 0) missing.first = query.has_value() ? missing.first_document : missing.first_query;
    }
  }
  report.set_judgments_without_query(missing.query);
  report.set_judgments_without_document(missing.document);
  if (missing.either == 0) return absl::OkStatus();
  RETURN_IF_ERROR(Check(missing));
  notes.push_back(absl::StrCat(Plural(missing.either, "judgment"), " of ", size_, missing.either == 1 ? " names" : " name",
                               " a query or document that does not exist, left out: ", missing.query, missing.query == 1 ? " query" : " queries",
                               " and ", Plural(missing.document, "document"), " missing; ", missing.first));
  return absl::OkStatus();
}

// No judgment can be kept. The advice depends on whether queries or documents do not match.
absl::Status References::NoneIsThere(absl::string_view kind, const std::string& first) const {
  const std::string what = absl::StrCat("none of ", Plural(size_, "judgment"), " names a ", kind);
  const std::string where = absl::StrCat(". ", first, ", which does not exist.");
  if (is_added_) {
    return absl::InvalidArgumentError(absl::StrCat(what, " of the dataset or of these files", where,
                                                   " muster data show NAME prints ids that the dataset has."));
  }
  if (kind == "query or document") {
    return absl::InvalidArgumentError(absl::StrCat(what, " of these files", where,
                                                   " Import the judgments with the queries and the corpus that they were made for."));
  }
  const bool is_query = kind == "query";
  return absl::InvalidArgumentError(absl::StrCat(
      what, is_query ? " of these queries: are they another split's or another dataset's" : " of this corpus: is it another corpus", "? ",
      first, ", which does not exist. Import the judgments with the ", is_query ? "queries" : "corpus", " that they were made for."));
}

absl::Status References::Check(const Missing& missing) const {
  if (missing.query == size_ && missing.document == size_) return NoneIsThere("query or document", missing.first);
  if (missing.query == size_) return NoneIsThere("query", missing.first_query);
  if (missing.document == size_) return NoneIsThere("document", missing.first_document);
  const double share = static_cast<double>(missing.either) / static_cast<double>(size_);
  const bool allowed = max_missing_share_.has_value() ? share <= *max_missing_share_
                                                      : share <= kMaxMissingShare || missing.either <= kAlwaysAllowed;
  if (allowed) return absl::OkStatus();
  const char* another = missing.document == 0 ? "Are the queries another split's or another dataset's"
                        : missing.query == 0  ? "Is it another corpus"
                                              : "Are the queries and the corpus another dataset's";
  return absl::InvalidArgumentError(absl::StrFormat(
      "%d of %d judgments (%.3g %%) name a missing query or document (%d queries, %d documents); at most %.3g %% "
      "may. The first: %s. %s? To import the others, raise --max-missing-share.",
      missing.either, size_, 100 * share, missing.query, missing.document,
      100 * max_missing_share_.value_or(kMaxMissingShare), missing.first, another));
}

}  // namespace muster
