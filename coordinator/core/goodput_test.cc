#include "coordinator/core/goodput.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/random.h"

namespace muster {
namespace {

// The same account, made by a visit to every attempt in every second.
class Visitor {
 public:
  void Set(const std::string& job, const AttemptUse& use) { attempts_[job].use = use; }
  void Erase(const std::string& job) { attempts_.erase(job); }
  void LimitAtRisk(const std::string& job, double most) {
    const auto found = attempts_.find(job);
    if (found != attempts_.end()) found->second.at_risk = std::min(found->second.at_risk, most);
  }
  std::array<double, kSlotUses> Pass(double seconds) {
    std::array<double, kSlotUses> spent = {};
    for (auto& [job, attempt] : attempts_) {
      const double all = attempt.use.slots * seconds;
      const double data = attempt.use.use == SlotUse::kTrain ? attempt.use.data_share * all : 0;
      spent[static_cast<size_t>(attempt.use.use)] += all - data;
      spent[static_cast<size_t>(SlotUse::kData)] += data;
      if (attempt.use.use == SlotUse::kTrain) attempt.at_risk += all;
    }
    return spent;
  }
  double AtRisk(const std::string& job) const {
    const auto found = attempts_.find(job);
    return found == attempts_.end() ? 0 : found->second.at_risk;
  }

 private:
  struct Attempt {
    AttemptUse use;
    double at_risk = 0;
  };
  std::map<std::string, Attempt> attempts_;
};

TEST(Goodput, EqualsAVisitToEveryAttempt) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    uint64_t draws = 0;
    const auto below = [&](uint64_t bound) { return MixKey(seed, ++draws) % bound; };
    Goodput goodput;
    Visitor visitor;
    for (int round = 0; round < 500; ++round) {
      const std::string job = absl::StrCat("job ", below(6));
      if (below(5) == 0) {
        goodput.Erase(job);
        visitor.Erase(job);
      } else if (below(4) == 0) {
        const double most = static_cast<double>(below(9));
        goodput.LimitAtRisk(job, most);
        visitor.LimitAtRisk(job, most);
      } else {
        const AttemptUse use = {.slots = static_cast<uint32_t>(1 + below(8)),
                                .use = static_cast<SlotUse>(below(kSlotUses)),
                                .data_share = static_cast<double>(below(9)) / 8};
        goodput.Set(job, use);
        visitor.Set(job, use);
      }
      const double seconds = static_cast<double>(below(4)) / 2;
      const auto spent = goodput.Pass(seconds), expected = visitor.Pass(seconds);
      for (size_t use = 0; use < kSlotUses; ++use) ASSERT_NEAR(spent[use], expected[use], 1e-9) << NameOf(SlotUse(use));
      for (int i = 0; i < 6; ++i) {
        const std::string other = absl::StrCat("job ", i);
        ASSERT_NEAR(goodput.AtRisk(other), visitor.AtRisk(other), 1e-9) << other;
      }
    }
  }
}

TEST(Goodput, SumsDoNotDriftOverManyChanges) {
  Goodput goodput;
  for (int i = 1; i <= 100'000; ++i) goodput.Set("a", {.slots = 3, .use = SlotUse::kTrain, .data_share = 1.0 / i});
  goodput.Erase("a");
  for (const double spent : goodput.Pass(1)) EXPECT_EQ(spent, 0);
}

TEST(Goodput, AShareThatIsNotANumberCountsAsTraining) {
  Goodput goodput;
  goodput.Set("a", {.slots = 2, .use = SlotUse::kTrain, .data_share = 0.0 / 0.0});
  EXPECT_EQ(goodput.Pass(1)[static_cast<size_t>(SlotUse::kTrain)], 2);
}

}  // namespace
}  // namespace muster
