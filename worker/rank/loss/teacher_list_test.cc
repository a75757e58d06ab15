#include "worker/rank/loss/teacher_list.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/random.h"

namespace muster {
namespace {

using muster::v1::DistillKind;

constexpr DistillKind kKinds[] = {DistillKind::DISTILL_KIND_KL, DistillKind::DISTILL_KIND_MARGIN_MSE};
const std::vector<double> kTeacher = {2, -1, 0.5, 3};
const std::vector<bool> kPositive = {true, false, false, true};

struct ListLoss {
  double loss = 0;
  std::vector<double> d;
};
ListLoss LossOfList(DistillKind kind, const std::vector<double>& student, const std::vector<double>& teacher = kTeacher,
                    const std::vector<bool>& is_positive = kPositive) {
  ListLoss list{.d = std::vector<double>(student.size(), 7)};
  list.loss = EvaluateTeacherList(kind, student, teacher, is_positive, list.d);
  return list;
}

TEST(TeacherList, MatchesFiniteDifferences) {
  CounterRandom random(1);
  for (const DistillKind kind : kKinds) {
    std::vector<double> s(4);
    for (double& score : s) score = 4 * random.Uniform() - 2;
    const ListLoss list = LossOfList(kind, s);
    for (size_t i = 0; i < s.size(); ++i) {
      const double h = 1e-6;
      std::vector<double> up = s, down = s;
      up[i] += h;
      down[i] -= h;
      EXPECT_NEAR(list.d[i], (LossOfList(kind, up).loss - LossOfList(kind, down).loss) / (2 * h), 1e-7) << DistillKind_Name(kind);
    }
  }
}

TEST(TeacherList, AStudentThatAgreesHasNoLossAndNoGradient) {
  for (const DistillKind kind : kKinds) {
    std::vector<double> s = kTeacher;
    for (double& score : s) score += 5;  // adding a constant to all scores changes no difference
    const ListLoss list = LossOfList(kind, s);
    EXPECT_NEAR(list.loss, 0, 1e-14) << DistillKind_Name(kind);
    for (const double d : list.d) EXPECT_NEAR(d, 0, 1e-14);
  }
}

TEST(TeacherList, GradientsSumToZero) {
  for (const DistillKind kind : kKinds) {
    const ListLoss list = LossOfList(kind, {0.1, 0.7, -0.3, 0.2});
    EXPECT_NEAR(list.d[0] + list.d[1] + list.d[2] + list.d[3], 0, 1e-14) << DistillKind_Name(kind);
  }
}

TEST(TeacherList, MarginMseIsTheMeanOverPairsOfAPositiveAndAnother) {
  // The student's margins are 1, 0, 2, 1, the teacher's 3, 1.5, 4, 2.5; so the errors are -2, -1.5, -2, -1.5.
  EXPECT_NEAR(LossOfList(DistillKind::DISTILL_KIND_MARGIN_MSE, {1, 0, 1, 2}).loss, (4 + 2.25 + 4 + 2.25) / 4, 1e-14);
}

TEST(TeacherList, KlIsTheDivergenceFromTheTeachersDistribution) {
  const double p = 1 / (1 + std::exp(-1.0)), q = 1 / (1 + std::exp(-0.25));  // of the list's first passage
  const ListLoss list = LossOfList(DistillKind::DISTILL_KIND_KL, {0.25, 0}, {1, 0}, {true, false});
  EXPECT_NEAR(list.loss, p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q)), 1e-14);
  EXPECT_NEAR(list.d[0], q - p, 1e-14);
}

TEST(TeacherList, AListWithNothingToCompareHasNoLoss) {
  const auto expect_none = [](const ListLoss& list) {
    EXPECT_EQ(list.loss, 0);
    for (const double d : list.d) EXPECT_EQ(d, 0);
  };
  for (const DistillKind kind : kKinds) {
    expect_none(LossOfList(kind, {}, {}, {}));
    expect_none(LossOfList(kind, {1}, {2}, {true}));
  }
  for (const bool positive : {false, true}) {
    expect_none(LossOfList(DistillKind::DISTILL_KIND_MARGIN_MSE, {1, 2}, {5, 3}, {positive, positive}));
    EXPECT_GT(LossOfList(DistillKind::DISTILL_KIND_KL, {1, 2}, {5, 3}, {positive, positive}).loss, 0);
  }
}

TEST(TeacherList, IsFiniteForScoresOfTenThousand) {
  for (const DistillKind kind : kKinds) {
    const ListLoss list = LossOfList(kind, {1e4, -1e4, 0, 3}, {-1e4, 1e4, 0, 2});
    EXPECT_TRUE(std::isfinite(list.loss)) << DistillKind_Name(kind);
    for (const double d : list.d) EXPECT_TRUE(std::isfinite(d));
  }
}

}  // namespace
}  // namespace muster
