#include "coordinator/core/message_change.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"
#include "coordinator/core/state.h"

namespace muster {
namespace {

using journal::v1::MessageChange;

// The change, which turns `before` into `after`.
MessageChange CheckedChange(const JobRecord& before, const JobRecord& after) {
  const MessageChange change = ChangeOf(before, after);
  MessageChange read;
  EXPECT_TRUE(read.ParseFromString(change.SerializeAsString()));
  JobRecord changed = before;
  const absl::Status status = ApplyChange(read, changed);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(DeterministicBytes(changed), DeterministicBytes(after))
      << before.DebugString() << "\n to \n" << after.DebugString() << "\n by \n" << change.DebugString();
  EXPECT_EQ(IsEmpty(change), DeterministicBytes(before) == DeterministicBytes(after));
  return change;
}

JobRecord Gang(int ranks) {
  JobRecord record;
  record.mutable_job()->set_id("gang");
  record.mutable_job()->set_revision(1);
  record.mutable_job()->mutable_spec()->mutable_duration()->set_steps(0);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    auto& info = *record.mutable_job()->add_attempts();
    info.set_number(attempt);
    for (int rank = 0; rank < ranks; ++rank) {
      info.add_ranks()->set_rank(rank);
      info.mutable_ranks(rank)->set_worker(absl::StrCat("w", rank / 8));
    }
  }
  for (int rank = 0; rank < ranks; ++rank) record.mutable_running()->add_ranks();
  return record;
}

TEST(MessageChange, OfEqualMessagesIsEmpty) { EXPECT_TRUE(IsEmpty(CheckedChange(Gang(8), Gang(8)))); }

TEST(MessageChange, OfOneRankIsAsSmallInAWideGang) {
  std::vector<size_t> sizes;
  for (const int ranks : {8, 100}) {
    const JobRecord before = Gang(ranks);
    JobRecord after = before;
    after.mutable_running()->mutable_ranks(5)->set_started(true);
    after.mutable_job()->set_revision(2);
    sizes.push_back(CheckedChange(before, after).ByteSizeLong());
  }
  EXPECT_EQ(sizes[0], sizes[1]);
  EXPECT_LT(sizes[0], 50u);
}

TEST(MessageChange, OfAListThatLosesItsOldestHasTheSizeOfWhatIsNew) {
  const JobRecord before = Gang(8);
  JobRecord after = before;
  after.mutable_job()->mutable_attempts()->DeleteSubrange(0, 1);
  after.mutable_job()->add_attempts()->set_number(4);
  EXPECT_LT(CheckedChange(before, after).ByteSizeLong(), 30u);
}

struct Case {
  std::string name;
  std::function<void(JobRecord&)> before, after;
};

TEST(MessageChange, MakesEveryKindOfChange) {
  const auto nothing = [](JobRecord&) {};
  const std::vector<Case> cases = {
      {"a message comes", nothing, [](JobRecord& r) { r.mutable_start_failures(); }},
      {"a message goes", [](JobRecord& r) { r.mutable_start_failures()->set_count(1); }, nothing},
      {"a value becomes its default", [](JobRecord& r) { r.set_cause_pending(true); }, nothing},
      {"another of a oneof", [](JobRecord& r) { r.mutable_job()->mutable_spec()->mutable_duration()->set_steps(0); },
       [](JobRecord& r) { r.mutable_job()->mutable_spec()->mutable_duration()->set_epochs(0); }},
      {"a map changes", [](JobRecord& r) { (*r.mutable_job()->add_evaluations()->mutable_metrics())["mrr"] = 1; },
       [](JobRecord& r) { (*r.mutable_job()->add_evaluations()->mutable_metrics())["map"] = 1; }},
      {"a map is emptied", [](JobRecord& r) { (*r.mutable_job()->mutable_progress()->mutable_seconds())["a"] = 1; },
       [](JobRecord& r) { r.mutable_job()->mutable_progress(); }},
      {"not a number", nothing,
       [](JobRecord& r) { r.mutable_job()->mutable_progress()->set_loss(std::numeric_limits<double>::quiet_NaN()); }},
      {"the sign of zero", [](JobRecord& r) { r.mutable_job()->mutable_progress()->set_loss(0.0); },
       [](JobRecord& r) { r.mutable_job()->mutable_progress()->set_loss(-0.0); }},
      {"a list is emptied", [](JobRecord& r) { r.add_causes("a"); }, nothing},
      {"text in a list", [](JobRecord& r) { r.add_causes("a"), r.add_causes("b"), r.add_causes("c"); },
       [](JobRecord& r) { r.add_causes("a"), r.add_causes("x"), r.add_causes("c"); }},
      {"texts move up", [](JobRecord& r) { r.add_requests("a"), r.add_requests("b"), r.add_requests("c"); },
       [](JobRecord& r) { r.add_requests("b"), r.add_requests("c"), r.add_requests("d"); }},
      {"one leaves the middle",
       [](JobRecord& r) { for (int i = 0; i < 3; ++i) r.mutable_job()->add_checkpoints()->set_step(i + 1); },
       [](JobRecord& r) { for (int i = 0; i < 3; i += 2) r.mutable_job()->add_checkpoints()->set_step(i + 1); }},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    JobRecord before, after;
    one.before(before);
    one.after(after);
    CheckedChange(before, after);
    CheckedChange(after, before);
    CheckedChange(JobRecord(), after);
  }
}

// Changes a few things of a record, as any event might.
void Disturb(std::mt19937& draw, JobRecord& record) {
  auto& job = *record.mutable_job();
  const auto text = [&] { return absl::StrCat("t", draw() % 3); };
  for (uint32_t times = draw() % 4; times > 0; --times) {
    switch (draw() % 14) {
      case 0: job.set_revision(draw() % 3); break;
      case 1: job.set_reason(draw() % 2 == 0 ? "" : text()); break;
      case 2: record.add_requests(text()); break;
      case 3:
        if (record.requests_size() > 0) record.mutable_requests()->DeleteSubrange(static_cast<int>(draw() % record.requests_size()), 1);
        break;
      case 4: {
        auto& info = *job.add_attempts();
        info.set_number(draw() % 4);
        for (uint32_t i = draw() % 4; i > 0; --i) info.add_ranks()->set_worker(text());
        break;
      }
      case 5:
        if (job.attempts_size() > 0) job.mutable_attempts()->DeleteSubrange(static_cast<int>(draw() % job.attempts_size()), 1);
        break;
      case 6:
        if (job.attempts_size() > 0) {
          job.mutable_attempts(static_cast<int>(draw() % job.attempts_size()))->mutable_ended()->set_seconds(draw() % 2);
        }
        break;
      case 7: record.clear_running(); break;
      case 8: record.mutable_running()->add_ranks()->set_started(draw() % 2 == 0); break;
      case 9:
        if (record.running().ranks_size() > 0) {
          record.mutable_running()->mutable_ranks(static_cast<int>(draw() % record.running().ranks_size()))->set_stopped(draw() % 2 == 0);
        }
        break;
      case 10: record.mutable_running()->mutable_stop()->set_reason(text()); break;
      case 11: (*job.add_evaluations()->mutable_metrics())[text()] = static_cast<double>(draw() % 2); break;
      case 12:
        if (job.evaluations_size() > 0) (*job.mutable_evaluations(0)->mutable_metrics())[text()] = 0.5;
        break;
      default: job.clear_evaluations();
    }
  }
}

TEST(MessageChange, LeadsFromAnyRecordToAnyOther) {
  for (uint32_t seed = 1; seed <= 2000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 draw(seed);
    JobRecord before;
    for (int i = 0; i < 10; ++i) Disturb(draw, before);
    JobRecord after = before;
    Disturb(draw, after);
    CheckedChange(before, after);
  }
}

TEST(MessageChange, IsRefusedWhereItDoesNotFit) {
  MessageChange dropped, element, inside, broken, unknown;
  dropped.add_fields()->set_number(JobRecord::kCausesFieldNumber);
  dropped.mutable_fields(0)->set_dropped_first(3'000'000'000u);
  dropped.mutable_fields(0)->set_dropped_last(3'000'000'000u);
  element.add_fields()->set_number(JobRecord::kRefusedFieldNumber);
  element.mutable_fields(0)->add_elements()->set_index(1);
  inside.add_fields()->set_number(JobRecord::kRunningFieldNumber);
  inside.mutable_fields(0)->mutable_message()->add_cleared(1);
  broken.set_set("\xff");
  for (const MessageChange* change : {&dropped, &element, &inside, &broken}) {
    JobRecord record;
    record.add_refused();
    const absl::Status status = ApplyChange(*change, record);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << change->DebugString();
  }
  unknown.add_fields()->set_number(999);
  JobRecord record;
  EXPECT_EQ(ApplyChange(unknown, record).code(), absl::StatusCode::kFailedPrecondition);
}

// A newer version wrote field 999 of a record, and may remove it again.
TEST(MessageChange, KeepsAndClearsFieldsThatItDoesNotKnow) {
  JobRecord record;
  record.GetReflection()->MutableUnknownFields(&record)->AddVarint(999, 1);
  JobRecord after = record;
  after.set_last_attempt(1);
  ASSERT_TRUE(ApplyChange(ChangeOf(record, after), record).ok());
  EXPECT_EQ(record.GetReflection()->GetUnknownFields(record).field_count(), 1);
  MessageChange cleared;
  cleared.add_cleared(999);
  ASSERT_TRUE(ApplyChange(cleared, record).ok());
  EXPECT_TRUE(record.GetReflection()->GetUnknownFields(record).empty());
}

}  // namespace
}  // namespace muster
