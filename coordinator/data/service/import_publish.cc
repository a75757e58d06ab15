#include "coordinator/data/service/import_publish.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/deterministic_bytes.h"
#include "common/status.h"
#include "common/timestamp.h"
#include "coordinator/data/import/report_notes.h"
#include "coordinator/data/service/ownership.h"
#include "coordinator/data/store/dataset_report.h"
#include "coordinator/data/store/merge_add.h"
#include "coordinator/data/store/merge_splits.h"

namespace muster {
namespace {

using muster::v1::ImportReport;
using Existing = std::optional<muster::v1::Dataset>;

absl::StatusOr<Existing> Look(const DataContext& data, const std::string& name) {
  absl::StatusOr<muster::v1::Dataset> found = data.stores.catalogue->GetDataset(name);
  if (found.ok()) return *std::move(found);
  if (absl::IsNotFound(found.status())) return std::nullopt;
  return found.status();
}

std::map<std::string, uint64_t> QueriesBySplit(const muster::v1::Dataset& dataset) {
  std::map<std::string, uint64_t> queries;
  for (const auto& split : dataset.splits()) queries[split.name()] = split.queries();
  return queries;
}

struct Changes {
  std::vector<std::string> kept;
  std::vector<std::string> notes;
};

Changes Compare(const muster::v1::Dataset& before, const muster::v1::Dataset& fresh) {
  Changes changes;
  const auto old = QueriesBySplit(before), brought = QueriesBySplit(fresh);
  for (const auto& [split, queries] : brought) {
    const auto found = old.find(split);
    changes.notes.push_back(found == old.end() ? absl::StrCat("split ", split, ": added")
                                               : absl::StrCat("split ", split, ": replaced (queries: ", found->second,
                                                              " before, ", queries, " now)"));
  }
  for (const auto& [split, queries] : old) {
    if (brought.contains(split)) continue;
    changes.kept.push_back(split);
    changes.notes.push_back(absl::StrCat("split ", split, ": kept"));
  }
  return changes;
}

void SetContent(const std::string& name, DatasetFacts facts, ImportReport& report) {
  AddFacts(facts, report);
  *report.mutable_dataset() = std::move(facts.dataset);
  report.mutable_dataset()->set_name(name);
}

// The imported dataset plus the kept splits of the old one, in a separate folder; completes the report's dataset.
absl::StatusOr<ScratchFolder> WithKeptSplits(const DataContext& data, const muster::v1::Dataset& before,
                                             const std::vector<std::string>& kept, const ScratchFolder& imported,
                                             ImportReport& report) {
  const auto old = data.stores.shelf->Open(before.digest());
  if (!old.ok()) {
    return WithContext(old.status(), absl::StrCat("replace: the splits ", absl::StrJoin(kept, ", "), " of dataset ",
                                                  before.name(), " cannot be kept"));
  }
  ASSIGN_OR_RETURN(const auto fresh, Dataset::Open(imported.path()));
  RETURN_IF_ERROR(data.budget.CheckRoom(before.bytes() + report.dataset().bytes()));
  ASSIGN_OR_RETURN(ScratchFolder merged, ScratchFolder::Make(data.stores.state->scratch(), "merge"));
  ASSIGN_OR_RETURN(const auto writer, DatasetWriter::Create(merged.path()));
  RETURN_IF_ERROR(MergeSplits(*fresh, **old, kept, *writer));
  ASSIGN_OR_RETURN(DatasetFacts facts, writer->Finish());
  SetContent(before.name(), std::move(facts), report);
  return merged;
}

// The existing dataset plus the imported judgments, in a separate folder; completes the report's dataset.
absl::StatusOr<ScratchFolder> WithAdded(const DataContext& data, const ImportStart& start, const ScratchFolder& imported,
                                        ImportReport& report) {
  ASSIGN_OR_RETURN(const auto fresh, Dataset::Open(imported.path()));
  RETURN_IF_ERROR(data.budget.CheckRoom(start.base_bytes + report.dataset().bytes()));
  ASSIGN_OR_RETURN(ScratchFolder merged, ScratchFolder::Make(data.stores.state->scratch(), "add"));
  ASSIGN_OR_RETURN(const auto writer, DatasetWriter::Create(merged.path()));
  RETURN_IF_ERROR(AddDataset(*start.base, *fresh, *writer, start.progress));
  ASSIGN_OR_RETURN(DatasetFacts facts, writer->Finish());
  SetContent(std::string(report.dataset().name()), std::move(facts), report);
  ASSIGN_OR_RETURN(const auto result, Dataset::Open(merged.path()));
  *report.mutable_added() = CountAdded(*start.base, *fresh, *result);
  return merged;
}

// A folder of many unrelated files would have a note for each: the report must stay readable, and fit a message.
void BoundNotes(ImportReport& report) {
  constexpr int kMostNotes = 100;
  const int more = report.notes_size() - kMostNotes;
  if (more <= 0) return;
  report.mutable_notes()->DeleteSubrange(kMostNotes, more);
  report.add_notes(absl::StrCat("… and ", more, " notes more"));
}

absl::Status CheckUnchanged(const Existing& before, const Existing& now, const std::string& name) {
  const bool same = before.has_value() == now.has_value() &&
                    (!now.has_value() || DeterministicBytes(*before) == DeterministicBytes(*now));
  if (same) return absl::OkStatus();
  const std::string what = now.has_value() ? absl::StrCat("now: ", Describe(*now)) : "now it is gone";
  return WithReason(
      absl::AbortedError(absl::StrCat("import: dataset \"", name, "\" changed while this import ran (", what,
                                      "). Nothing of this import is kept; look at the dataset, then import "
                                      "again.")),
      "NAME_CHANGED");
}

}  // namespace

absl::Status ReadAnswer(const std::string& bytes, ImportReport& report) {
  if (report.ParseFromString(bytes)) return absl::OkStatus();
  return absl::DataLossError("catalog: the report of a request is damaged");
}

absl::StatusOr<ImportStart> BeginImport(const DataContext& data, const Principal& caller,
                                        const muster::v1::ImportHeader& header) {
  ImportStart start;
  ASSIGN_OR_RETURN(start.tokens, ReportTokens::Prepare(data.stores, header));
  start.adds = header.add();
  if (!header.add()) {
    ASSIGN_OR_RETURN(start.before, Look(data, header.name()));
    if (start.before.has_value()) RETURN_IF_ERROR(CheckReplace(caller, *start.before, header.replace()));
    return start;
  }
  if (header.replace()) {
    return absl::InvalidArgumentError("add: excludes replace. Add to the dataset's judgments, or replace its splits.");
  }
  const auto before = data.stores.catalogue->GetDataset(header.name());
  if (!before.ok()) return WithContext(before.status(), "add");
  RETURN_IF_ERROR(CheckOwner(caller, *before));
  start.before = *before;
  auto base = data.stores.shelf->Open(before->digest());
  if (!base.ok()) return WithContext(base.status(), "add");
  start.base = *std::move(base);
  start.base_bytes = before->bytes();
  return start;
}

absl::Status PublishImport(const DataContext& data, const Principal& caller, const ImportStart& start,
                           const MutationRequest& request, ScratchFolder scratch, ImportReport& report) {
  const Existing& before = start.before;
  const std::string name = report.dataset().name();
  BoundNotes(report);
  if (start.adds) {
    ASSIGN_OR_RETURN(scratch, WithAdded(data, start, scratch, report));
  } else if (before.has_value()) {
    const Changes changes = Compare(*before, report.dataset());
    if (!changes.kept.empty()) {
      ASSIGN_OR_RETURN(scratch, WithKeptSplits(data, *before, changes.kept, scratch, report));
    }
    for (const std::string& note : changes.notes) report.add_notes(note);
  }
  {
    ASSIGN_OR_RETURN(const auto dataset, Dataset::Open(scratch.path()));
    DescribeDataset(*dataset, report);
    AddNotesOnSharedQueries(*dataset, report);
    AddIdenticalIds(*dataset, report);
    if (start.tokens.has_value()) start.tokens->Count(*dataset, report);
  }
  report.mutable_dataset()->set_owner(OwnerAfter(caller, before.has_value() ? before->owner() : ""));
  absl::MutexLock lock(&data.stores.names);
  ASSIGN_OR_RETURN(const std::optional<std::string> first, FirstAnswer(*data.stores.catalogue, request, data.clock.Now()));
  if (first.has_value()) return ReadAnswer(*first, report);
  ASSIGN_OR_RETURN(const Existing now, Look(data, name));
  RETURN_IF_ERROR(CheckUnchanged(before, now, name));
  *report.mutable_dataset()->mutable_imported() = ToProto(data.clock.Now());
  RETURN_IF_ERROR(data.stores.shelf->Publish(scratch.path(), report.dataset().digest()));
  return data.stores.catalogue->PutImport(report, request.Answered(data.clock.Now(), report.SerializeAsString()));
}

}  // namespace muster
