// The ids of the queries and documents of a report. Ranks number them, so what jobs store has numbers; the data server's export
// has the ids in an order that gives the numbers back (coordinator/data/plan/document_numbering.h).
#pragma once

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/v1/data.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct ReportIds {
  std::vector<std::string> queries;    // by number
  std::vector<std::string> documents;  // by number; empty: not asked for
};

// Reads the ids from the parts of a BEIR export. Keeps ids only, never texts.
class ReportIdsReader {
 public:
  // `documents`: also read theirs, from the corpus.
  ReportIdsReader(const std::string& split, bool documents);
  // INTERNAL: a line of the export has no id.
  absl::Status Take(const muster::v1::ExportDatasetResponse& part);
  // Whether everything that is needed has arrived: the rest of the export may be canceled.
  bool IsComplete() const { return has_queries_ && (has_documents_ || !needs_documents_); }
  // After the last part, or when complete. FAILED_PRECONDITION: an id has changed on its way.
  absl::StatusOr<ReportIds> Finish();

 private:
  enum class File { kOther, kCorpus, kQrels };
  absl::Status TakeLine(std::string_view line);
  void EndFile();

  const std::string qrels_;
  const bool needs_documents_;
  File file_ = File::kOther;
  std::string rest_;  // the beginning of a line
  bool is_header_ = true;
  bool has_queries_ = false, has_documents_ = false;
  ReportIds ids_;
};

// The ids of the job's report, from its data server. Documents take a transfer of the whole corpus, which is why they are left
// out unless asked for. FAILED_PRECONDITION: the dataset's name was removed or has other content now, so that its ids are
// no longer known.
absl::StatusOr<ReportIds> FetchReportIds(const std::shared_ptr<grpc::Channel>& data, const muster::v1::Job& job,
                                         bool documents);

}  // namespace muster
