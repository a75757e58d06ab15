// The group's operations on four ranks: results, equal bits on all of them, and the same bits again.
#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status.h"
#include "tests/gpu/ranks.h"

namespace muster {
namespace {

constexpr int64_t kWorld = 4;
const std::vector<int64_t> kCounts = {5, 0, 1, 8};

at::Tensor RandomOf(int64_t rank, at::IntArrayRef shape, at::ScalarType type) {
  auto generator = at::detail::createCPUGenerator(100 + rank);
  if (type == at::kLong || type == at::kByte) return at::randint(0, 50, shape, generator, type);
  return at::randn(shape, generator, at::kDouble).to(type);
}

std::string BytesOf(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  return {static_cast<const char*>(host.const_data_ptr()), host.nbytes()};
}

absl::Status Expect(bool holds, absl::string_view what) {
  return holds ? absl::OkStatus() : absl::InternalError(what);
}

absl::Status GatherRows(Group& group, at::Device device, at::ScalarType type) {
  std::vector<at::Tensor> expected;
  for (int64_t r = 0; r < kWorld; ++r) expected.push_back(RandomOf(r, {kCounts[r], 3}, type));
  ASSIGN_OR_RETURN(const at::Tensor all, group.AllGatherRows(expected[group.rank()].to(device), kCounts));
  return Expect(at::equal(all.to(at::kCPU), at::cat(expected)), "gathered rows are not the ranks' rows");
}

// Within rounding of float64 sums; integers exactly.
absl::Status NearSum(const at::Tensor& own, const at::Tensor& wide, at::ScalarType type) {
  if (type == at::kLong || type == at::kByte) {
    return Expect(at::equal(own.to(at::kCPU), wide.to(type)), "the sum of integers is wrong");
  }
  const double limit = type == at::kDouble ? 1e-15 : type == at::kFloat ? 1e-6 : 1e-2;
  return AtMost("difference of a sum", RelativeDifference(own, wide), limit);
}

absl::Status ScatterRows(Group& group, at::Device device, at::ScalarType type, std::string& bytes) {
  at::Tensor sum = at::zeros({14, 3}, at::kDouble);
  for (int64_t r = 0; r < kWorld; ++r) sum += RandomOf(r, {14, 3}, type).to(at::kDouble);
  const at::Tensor full = RandomOf(group.rank(), {14, 3}, type).to(device);
  ASSIGN_OR_RETURN(const at::Tensor own, group.ReduceScatterRowsSum(full, kCounts));
  int64_t first = 0;
  for (int64_t r = 0; r < group.rank(); ++r) first += kCounts[r];
  bytes += BytesOf(own);
  RETURN_IF_ERROR(Expect(own.size(0) == kCounts[group.rank()], "a rank has another number of rows"));
  return own.numel() == 0 ? absl::OkStatus() : NearSum(own, sum.narrow(0, first, own.size(0)), type);
}

at::Tensor Repeated(const at::Tensor& tensor, int64_t times) { return times == 1 ? tensor : tensor.repeat({times}); }

// A scalar, an empty one, a small one and one that is larger than a bucket.
absl::Status ReduceAll(Group& group, at::Device device, at::ScalarType type, std::string& bytes) {
  const std::vector<std::vector<int64_t>> shapes = {{}, {0}, {7, 5}, {1 << 16}, {33}};
  const int64_t repeats[] = {1, 1, 1, 144, 1};
  std::vector<at::Tensor> own, sums;
  for (size_t i = 0; i < shapes.size(); ++i) {
    own.push_back(Repeated(RandomOf(group.rank(), shapes[i], type), repeats[i]).to(device));
    at::Tensor sum = at::zeros(shapes[i], at::kDouble);
    for (int64_t r = 0; r < kWorld; ++r) sum += RandomOf(r, shapes[i], type).to(at::kDouble);
    sums.push_back(Repeated(sum, repeats[i]));
  }
  RETURN_IF_ERROR(group.AllReduceSum(own));
  for (size_t i = 0; i < own.size(); ++i) {
    bytes += BytesOf(own[i]);
    if (own[i].numel() > 0) RETURN_IF_ERROR(NearSum(own[i], sums[i], type));
  }
  return absl::OkStatus();
}

constexpr std::pair<const char*, at::ScalarType> kTypes[] = {{"float32", at::kFloat},
                                                             {"float64", at::kDouble},
                                                             {"bfloat16", at::kBFloat16},
                                                             {"int64", at::kLong},
                                                             {"uint8", at::kByte}};

}  // namespace

absl::Status CollectiveTask(const RankOrder&, Group& group, at::Device device, Figures& report) {
  for (const auto& [name, type] : kTypes) {
    RETURN_IF_ERROR(WithContext(GatherRows(group, device, type), name));
    std::string scattered[2], reduced[2];
    for (const int time : {0, 1}) {
      RETURN_IF_ERROR(WithContext(ScatterRows(group, device, type, scattered[time]), name));
      if (type == at::kFloat || type == at::kBFloat16) {
        RETURN_IF_ERROR(WithContext(ReduceAll(group, device, type, reduced[time]), name));
      }
    }
    RETURN_IF_ERROR(
        Expect(scattered[0] == scattered[1], absl::StrCat(name, ": a second reduce-scatter has other bits")));
    RETURN_IF_ERROR(Expect(reduced[0] == reduced[1], absl::StrCat(name, ": a second all-reduce has other bits")));
    report["reduced"][name] = Sha256Hex(reduced[0]);
  }
  ASSIGN_OR_RETURN(const auto words, group.AllGatherBytes(std::string(3 * group.rank(), 'a' + group.rank())));
  for (int64_t r = 0; r < kWorld; ++r) {
    RETURN_IF_ERROR(Expect(words[r] == std::string(3 * r, 'a' + r), "gathered bytes are not the ranks' bytes"));
  }
  return group.Barrier();
}

void RunCollectivePart(Session& session) {
  session.Test("collective.four_ranks", [&](Figures& figures) -> absl::Status {
    ASSIGN_OR_RETURN(Ranks ranks, Ranks::Start(session, "collective", kWorld, absl::Seconds(40)));
    ASSIGN_OR_RETURN(const auto reports, ranks.Finish(absl::Seconds(50)));
    for (const Figures& report : reports) {
      RETURN_IF_ERROR(Expect(report["reduced"] == reports[0]["reduced"], "ranks hold different bits of a sum"));
    }
    figures["ranks"] = reports.size();
    return absl::OkStatus();
  });
}

}  // namespace muster
