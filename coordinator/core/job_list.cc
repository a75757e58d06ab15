#include "coordinator/core/job_list.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/name_page.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

using journal::v1::StoredJob;
using muster::v1::JobPhase;
using muster::v1::ListJobsRequest;
using muster::v1::ListJobsResponse;

constexpr uint32_t kDefaultPage = 100;

bool OldestFirst(const ListJobsRequest& request) { return request.order() == muster::v1::JOB_ORDER_OLDEST_FIRST; }

// A digest of everything that decides which jobs a list contains, and in which order.
std::string Fingerprint(ListJobsRequest request) {
  request.clear_page_size();
  request.clear_page_token();
  request.clear_view();
  if (!OldestFirst(request)) request.clear_order();
  return Sha256Hex(DeterministicBytes(request)).substr(0, 8);
}

// Where the next page begins, as text: opaque to clients.
std::string TokenOf(const SubmissionPlace& place, const ListJobsRequest& request) {
  return absl::StrCat(std::get<0>(place), ".", std::get<1>(place), ".", Fingerprint(request));
}

absl::StatusOr<SubmissionPlace> PlaceOfToken(const ListJobsRequest& request) {
  const std::vector<std::string> parts = absl::StrSplit(request.page_token(), '.');
  SubmissionPlace place;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &std::get<0>(place)) ||
      !absl::SimpleAtoi(parts[1], &std::get<1>(place))) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_token: \"", request.page_token(), "\" is not one that a list returned. Leave it empty."));
  }
  if (parts[2] != Fingerprint(request)) {
    return absl::InvalidArgumentError(
        "page_token: comes from a list with another filter or order. Repeat the request of the first page, or leave the token "
        "empty.");
  }
  return place;
}

std::set<JobPhase> PhasesOf(const ListJobsRequest& request) {
  std::set<JobPhase> phases;
  for (const int phase : request.phases()) phases.insert(static_cast<JobPhase>(phase));
  return phases;
}

// Walks several disjoint indexes as one, in either direction.
class Walk {
 public:
  // From `from` on (inclusive), in the direction of the list.
  Walk(const std::vector<const JobsInOrder*>& sets, bool oldest_first, const SubmissionPlace* from)
      : oldest_first_(oldest_first) {
    for (const JobsInOrder* set : sets) {
      if (oldest_first) {
        forward_.push_back({from == nullptr ? set->begin() : set->lower_bound(*from), set->end()});
      } else {
        const auto begin = from == nullptr ? set->end() : set->upper_bound(*from);
        backward_.push_back({std::make_reverse_iterator(begin), set->rend()});
      }
    }
  }
  const SubmissionPlace* Next() { return oldest_first_ ? Take(forward_, false) : Take(backward_, true); }

 private:
  template <typename Iterator>
  static const SubmissionPlace* Take(std::vector<std::pair<Iterator, Iterator>>& ranges, bool greatest) {
    std::pair<Iterator, Iterator>* first = nullptr;
    for (auto& range : ranges) {
      if (range.first == range.second) continue;
      if (first == nullptr || (greatest ? *first->first < *range.first : *range.first < *first->first)) first = &range;
    }
    return first == nullptr ? nullptr : &*first->first++;
  }

  const bool oldest_first_;
  std::vector<std::pair<JobsInOrder::const_iterator, JobsInOrder::const_iterator>> forward_;
  std::vector<std::pair<JobsInOrder::const_reverse_iterator, JobsInOrder::const_reverse_iterator>> backward_;
};

// The jobs that may fit: a superset of those that do.
struct Candidates {
  std::vector<const JobsInOrder*> sets;
  size_t jobs = 0;
  JobsInOrder gathered;  // `sets` points into it

  void Offer(std::vector<const JobsInOrder*> others) {
    size_t count = 0;
    for (const JobsInOrder* set : others) count += set->size();
    if (count >= jobs) return;
    sets = std::move(others);
    jobs = count;
  }
  void Gather(JobsInOrder few) {
    if (few.size() >= jobs) return;
    gathered = std::move(few);
    jobs = gathered.size();
    sets = {&gathered};
  }
};

template <typename Key>
std::vector<const JobsInOrder*> SetOf(const Key& key, const std::map<Key, JobsInOrder>& index) {
  const auto found = index.find(key);
  if (found == index.end()) return {};
  return {&found->second};
}

// Jobs whose key begins with the prefix, starting at `entry`; nothing: there are too many to gather.
template <typename Iterator, typename Place>
std::optional<JobsInOrder> WithPrefix(const std::string& prefix, Iterator entry, Iterator end, const Place& place_of) {
  JobsInOrder few;
  for (; entry != end && absl::StartsWith(entry->first, prefix); ++entry) {
    if (few.size() == kMostVisitedByList) return std::nullopt;
    few.insert(place_of(entry->second));
  }
  return few;
}

void Choose(const State& state, const ListJobsRequest& request, Candidates& candidates) {
  const StateIndex& index = state.index;
  candidates.sets = {&index.by_submission};
  candidates.jobs = index.by_submission.size();
  if (request.active_only()) candidates.Offer({&index.active_by_submission});
  if (!request.owner().empty()) candidates.Offer(SetOf(request.owner(), index.by_owner));
  if (!request.queue().empty()) candidates.Offer(SetOf(request.queue(), index.by_queue));
  if (!request.phases().empty()) {
    std::vector<const JobsInOrder*> phases;
    for (const JobPhase phase : PhasesOf(request)) {
      for (const JobsInOrder* set : SetOf(phase, index.by_phase)) phases.push_back(set);
    }
    candidates.Offer(std::move(phases));
  }
  if (!request.id_prefix().empty()) {
    auto few = WithPrefix(request.id_prefix(), state.jobs.lower_bound(request.id_prefix()), state.jobs.end(),
                          [](const JobRecord& record) { return SubmissionPlaceOf(record); });
    if (few.has_value()) candidates.Gather(*std::move(few));
  }
  if (!request.name_prefix().empty()) {
    const SubmissionPlace first = {std::numeric_limits<int64_t>::min(), 0, ""};
    auto few = WithPrefix(request.name_prefix(), index.by_name.lower_bound({request.name_prefix(), first}),
                          index.by_name.end(), [](const SubmissionPlace& place) { return place; });
    if (few.has_value()) candidates.Gather(*std::move(few));
  }
}

bool Fits(const JobRecord& record, const ListJobsRequest& request, const std::set<JobPhase>& phases) {
  const StoredJob& job = record.job();
  const std::string& name = job.spec().name();
  return (!request.active_only() || !IsFinal(job.phase())) && (phases.empty() || phases.contains(job.phase())) &&
         (request.owner().empty() || request.owner() == job.owner()) &&
         (request.queue().empty() || request.queue() == job.spec().resources().queue()) &&
         absl::StartsWith(job.id(), request.id_prefix()) && absl::StartsWith(name, request.name_prefix()) &&
         absl::StrContains(name, request.name_contains()) &&
         (!request.has_submitted_since() || FromProto(job.submitted()) >= FromProto(request.submitted_since())) &&
         (!request.has_submitted_before() || FromProto(job.submitted()) < FromProto(request.submitted_before()));
}

// Whether the job, and so all that follow it in the order of the list, are outside the time window.
bool IsBeyond(const SubmissionPlace& place, const ListJobsRequest& request) {
  const absl::Time submitted = absl::FromUnixNanos(std::get<0>(place));
  if (OldestFirst(request)) return request.has_submitted_before() && submitted >= FromProto(request.submitted_before());
  return request.has_submitted_since() && submitted < FromProto(request.submitted_since());
}

// Finds where the walk begins: after the previous page, or at the start of the time window. False: nothing is left.
absl::StatusOr<bool> Begin(const ListJobsRequest& request, SubmissionPlace& from) {
  if (!request.page_token().empty()) {
    absl::StatusOr<SubmissionPlace> place = PlaceOfToken(request);
    if (!place.ok()) return place.status();
    from = *std::move(place);
    // Sequences are unique, and all ids are above the empty one and below this one.
    std::get<2>(from) = OldestFirst(request) ? "" : "\x7f";
    return true;
  }
  if (OldestFirst(request)) {
    if (request.has_submitted_since()) from = {absl::ToUnixNanos(FromProto(request.submitted_since())), 0, ""};
    return request.has_submitted_since();
  }
  if (request.has_submitted_before()) from = {absl::ToUnixNanos(FromProto(request.submitted_before())), 0, ""};
  return request.has_submitted_before();
}

}  // namespace

absl::StatusOr<ListJobsResponse> ViewJobs(const State& state, const Soft& soft, const ListJobsRequest& request) {
  SubmissionPlace from;
  const absl::StatusOr<bool> begins = Begin(request, from);
  if (!begins.ok()) return begins.status();
  const size_t size = request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kMaxPageSize);
  const bool summary = request.view() == muster::v1::JOB_VIEW_SUMMARY;
  const std::set<JobPhase> phases = PhasesOf(request);
  Candidates candidates;
  Choose(state, request, candidates);
  Walk walk(candidates.sets, OldestFirst(request), *begins ? &from : nullptr);
  ListJobsResponse response;
  size_t visited = 0, found = 0, bytes = 0;
  while (const SubmissionPlace* place = walk.Next()) {
    if (IsBeyond(*place, request)) break;
    if (visited++ == kMostVisitedByList || found == size || bytes >= kPageBytes) {
      response.set_next_page_token(TokenOf(*place, request));
      break;
    }
    const JobRecord& record = state.jobs.at(std::get<2>(*place));
    if (!Fits(record, request, phases)) continue;
    ++found;
    if (summary) {
      *response.add_summaries() = SummaryOf(record, soft);
      bytes += response.summaries().rbegin()->ByteSizeLong();
    } else {
      *response.add_jobs() = ViewOf(record, soft);
      bytes += response.jobs().rbegin()->ByteSizeLong();
    }
  }
  return response;
}

}  // namespace muster
