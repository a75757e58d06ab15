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

// A short id stands in its digest, for messages.
std::string IdOfDigest(const Digest128& digest) {
  if (digest.back() >= digest.size()) return "";
  return absl::StrCat(" \"", std::string(reinterpret_cast<const char*>(digest.data()), digest.back()), "\"");
}

}  // namespace

void References::Add(const Place& place, const Reference& query, const Reference& document, Relation relation,
                     float grade, uint16_t source) {
  file_->entries.push_back({.number = place.number,
                            .query = DigestOf(query),
                            .document = DigestOf(document),
                            .grade = grade,
                            .source = source,
                            .relation = relation,
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
  uint64_t without_query = 0, without_document = 0, missing = 0;
  std::string first;
  for (const auto& [path, file] : files_) {
    for (const Entry& entry : file.entries) {
      const auto query = NumberOf(entry.query, entry.has_query, queries);
      const auto document = NumberOf(entry.document, entry.has_document, documents);
      without_query += !query.has_value();
      without_document += !document.has_value();
      if (query.has_value() && document.has_value()) {
        judge(file.split, *query, *document, entry.relation, entry.grade, entry.source,
              entry.has_query ? 0 : file.number);
      } else if (missing++ == 0) {
        first = absl::StrCat(Place{path, entry.number, entry.is_row}.Text(), " names ",
                             query.has_value() ? "document" : "query",
                             IdOfDigest(query.has_value() ? entry.document : entry.query));
      }
    }
  }
  report.set_judgments_without_query(without_query);
  report.set_judgments_without_document(without_document);
  if (missing == 0) return absl::OkStatus();
  RETURN_IF_ERROR(Check(without_query, without_document, missing, first));
  notes.push_back(absl::StrCat(Plural(missing, "judgment"), " of ", size_, missing == 1 ? " names" : " name",
                               " a query or document that is not there, left out: ", without_query, without_query == 1 ? " query" : " queries",
                               " and ", Plural(without_document, "document"), " missing; ", first));
  return absl::OkStatus();
}

absl::Status References::Check(uint64_t without_query, uint64_t without_document, uint64_t missing,
                               const std::string& first) const {
  for (const auto& [without, kind, where] :
       {std::tuple(without_document, "document", "corpus"), std::tuple(without_query, "query", "queries file")}) {
    if (without == size_) {
      return absl::InvalidArgumentError(absl::StrCat("none of ", size_, size_ == 1 ? " judgment" : " judgments", " names a ", kind,
                                                     " of this ", where, ": is it another ", where, "? ", first,
                                                     ", which is not there."));
    }
  }
  const double share = static_cast<double>(missing) / static_cast<double>(size_);
  const bool allowed = max_missing_share_.has_value() ? share <= *max_missing_share_
                                                      : share <= kMaxMissingShare || missing <= kAlwaysAllowed;
  if (allowed) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "%d of %d judgments (%.3g %%) name a query or document that is not there; at most %.3g %% may. The first: %s. Is it "
      "another corpus? To import the others, raise --max-missing-share.",
      missing, size_, 100 * share, 100 * max_missing_share_.value_or(kMaxMissingShare), first));
}

}  // namespace muster
