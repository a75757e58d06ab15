#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/files.h"
#include "common/model/hf_config.h"
#include "worker/rank/model/encoder.h"

namespace muster {
namespace {

std::filesystem::path FileNamed(const char* name) { return std::filesystem::path(testing::TempDir()) / name; }

TEST(Safetensors, RoundTripKeepsOrderTypesShapesAndBits) {
  const std::vector<Parameter> written = {{"b.weight", at::randn({3, 5})},
                                          {"a", at::randn({7}, at::kDouble)},
                                          {"step", at::full({}, int64_t{1} << 40, at::kLong)},
                                          {"empty", at::zeros({0, 4})},
                                          {"half", at::randn({9}).to(at::kBFloat16)},
                                          {"strided", at::randn({4, 6}).t()}};
  const auto file = FileNamed("round.safetensors");
  ASSERT_TRUE(WriteSafetensors(file, written).ok());
  const auto read = ReadSafetensors(file);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), written.size());
  for (size_t i = 0; i < written.size(); ++i) {
    EXPECT_EQ((*read)[i].name, written[i].name);
    EXPECT_EQ((*read)[i].value.scalar_type(), written[i].value.scalar_type());
    EXPECT_TRUE(at::equal((*read)[i].value, written[i].value)) << written[i].name;
  }
}

TEST(Safetensors, WritesTheSameBytesAgainAndLeavesNothingAside) {
  const std::vector<Parameter> tensors = {{"x", at::arange(10, at::kFloat)}};
  const auto folder = FileNamed("alone");
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(WriteSafetensors(folder / "a", tensors).ok());
  const std::string first = ReadFile(folder / "a").value();
  ASSERT_TRUE(WriteSafetensors(folder / "a", tensors).ok());
  EXPECT_EQ(ReadFile(folder / "a").value(), first);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

TEST(Safetensors, RefusesTwoTensorsOfOneName) {
  const std::vector<Parameter> tensors = {{"x", at::zeros({1})}, {"x", at::zeros({1})}};
  EXPECT_EQ(WriteSafetensors(FileNamed("twice"), tensors).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Safetensors, RefusesAFileThatWasCutShort) {
  const auto file = FileNamed("short.safetensors");
  ASSERT_TRUE(WriteSafetensors(file, std::vector<Parameter>{{"x", at::zeros({100})}}).ok());
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  EXPECT_FALSE(ReadSafetensors(file).ok());
  std::filesystem::resize_file(file, 4);
  EXPECT_FALSE(ReadSafetensors(file).ok());
  EXPECT_FALSE(ReadSafetensors(FileNamed("absent.safetensors")).ok());
}

TEST(Safetensors, ErrorNamesTheFolderThatIsMissing) {
  const absl::Status status = WriteSafetensors("/nowhere/x.safetensors", std::vector<Parameter>{{"x", at::zeros({1})}});
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/nowhere"), std::string::npos);
}

}  // namespace
}  // namespace muster
